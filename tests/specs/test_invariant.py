"""The inductive invariant of the two-thread event: what z3 answers, and what it would refuse."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import z3

from specs.cpu_gpu_event import invariant as page
from specs.cpu_gpu_event.invariant import (
    ANY,
    BROKEN,
    FIRST,
    Sentences,
    State,
    guarantees,
    invariant,
    not_inductive,
    proved,
    questions,
    right,
)


def without(sentence: str) -> Callable[[State], Sentences]:
    return lambda s: {name: claim for name, claim in invariant(s).items() if name != sentence}


@pytest.mark.parametrize("question", questions(), ids=lambda each: each.name)
def test_z3_answers_as_expected(question):
    assert ("holds" if question.answer() else "violated") == question.expected


def test_the_guarantees_alone_are_no_invariant():
    found = list(not_inductive(right, guarantees))

    assert ("a2", "G1") in found


@pytest.mark.parametrize("sentence", invariant(ANY))
def test_no_sentence_can_be_left_out(sentence):
    kept = without(sentence)
    holds = z3.And(*kept(ANY).values())
    unproved = [name for name, claim in guarantees(ANY).items() if not proved(holds, claim)]

    gaps = list(not_inductive(right, kept))

    assert unproved or gaps


@pytest.mark.parametrize(
    ("steps", "step", "sentence"),
    [
        ("clears_first", "a1", "the flag down keeps the consumer out"),
        ("sets_first", "b3", "what is published is recorded"),
        ("never_looks", "b1", "the flag up keeps the producer out"),
    ],
)
def test_a_broken_sibling_has_a_counterexample_to_induction(steps, step, sentence):
    found = {each.__name__: each for each, _ in BROKEN}

    assert (step, sentence) in list(not_inductive(found[steps], invariant))


def test_the_steps_can_go_round_so_that_the_invariant_says_something():
    """A whole round from the first state, step by step; nothing of it is contradictory."""
    state = FIRST
    for name in ("work", "b1", "b2", "b3", "b4", "a1", "a2", "a3", "a4"):
        guard, changes = right(state)[name]
        assert proved(True, guard), name
        state = state._replace(**changes)

    assert [z3.simplify(each) for each in (state.records, state.waits, state.ordered)] == [1, 1, 1]


def test_the_header_counts_steps_and_sentences():
    assert page.__doc__
    counts = re.search(r"each of the (\d+) steps keeps each of its (\d+)", page.__doc__)

    assert counts
    assert [int(each) for each in counts.groups()] == [len(right(ANY)), len(invariant(ANY))]


def test_the_page_run_as_a_script_prints_every_answer(capsys):
    assert page.main() == 0

    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[: len(questions())]] == [
        each.name for each in questions()
    ]
    assert "clears_first: a1 does not keep" in said


def test_an_answer_that_is_not_expected_is_exit_code_1(monkeypatch):
    monkeypatch.setattr(page, "invariant", page.guarantees)

    assert page.main() == 1
