"""The two-thread event for ever: an inductive invariant, checked by z3, without any bound.

The argument in words is specs/proofs/two_thread_event.md; this is the same in formulas.  A state
is a tuple of unknowns, a step a guard and what it changes, and the invariant is a list of
sentences.  Numbers are integers without a limit: rounds, device events, pieces of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest
import z3

OUT, B2, B3, B4 = (z3.IntVal(n) for n in range(4))  # the producer's next step; OUT: b1 or work
A1, A2, A3, A4 = (z3.IntVal(n) for n in range(4))  # the consumer's


class State(NamedTuple):
    """Unknowns; the device events are numbered in the order in which b2 makes them."""

    flag: z3.BoolRef
    producer: z3.ArithRef
    consumer: z3.ArithRef
    made: z3.ArithRef  # the device event in the attribute
    recorded: z3.ArithRef  # the one that b3 recorded last
    loaded: z3.ArithRef  # the one that the consumer holds after a2
    records: z3.ArithRef  # how many have returned without an error
    waits: z3.ArithRef
    work: z3.ArithRef  # pieces put on the producer's stream
    covers: z3.ArithRef  # how many of them come before the last b3
    owed: z3.ArithRef  # how many the last record that returned stands for
    ordered: z3.ArithRef  # how many come before what the consumer puts on its stream


Step = tuple[z3.BoolRef, Mapping[str, z3.ExprRef]]
Sentences = Mapping[str, z3.BoolRef]

ANY = State(
    z3.Bool("flag"),
    *(z3.Int(name) for name in State._fields[1:]),
)
FIRST = State(z3.BoolVal(False), OUT, A1, *(z3.IntVal(0) for _ in State._fields[3:]))


def producing(s: State) -> dict[str, Step]:
    """The steps of the producer; b1 that raises changes nothing and is left out."""
    return {
        "work": (s.producer == OUT, {"work": s.work + 1}),
        "b1": (z3.And(s.producer == OUT, z3.Not(s.flag)), {"producer": B2}),
        "b2": (s.producer == B2, {"producer": B3, "made": s.made + 1}),
        "b3": (s.producer == B3, {"producer": B4, "recorded": s.made, "covers": s.work}),
        "b3 raises": (s.producer == B3, {"producer": OUT}),
        "b4": (
            s.producer == B4,
            {"producer": OUT, "flag": z3.BoolVal(True), "records": s.records + 1, "owed": s.work},
        ),
    }


def waited(s: State) -> z3.ExprRef:
    """What the consumer's stream is ordered after, once a3 is done; an unrecorded event is none."""
    return z3.If(z3.And(s.loaded == s.recorded, s.covers > s.ordered), s.covers, s.ordered)


def consuming(s: State) -> dict[str, Step]:
    """The steps of the consumer."""
    return {
        "a1": (z3.And(s.consumer == A1, s.flag), {"consumer": A2}),
        "a2": (s.consumer == A2, {"consumer": A3, "loaded": s.made}),
        "a3": (s.consumer == A3, {"consumer": A4, "ordered": waited(s)}),
        "a3 raises": (s.consumer == A3, {"consumer": A1}),
        "a4": (s.consumer == A4, {"consumer": A1, "flag": z3.BoolVal(False), "waits": s.waits + 1}),
    }


def right(s: State) -> dict[str, Step]:
    return {**producing(s), **consuming(s)}


def clears_first(s: State) -> dict[str, Step]:
    """Broken: the flag comes down with a1, before the event is loaded."""
    early = {
        "a1": (z3.And(s.consumer == A1, s.flag), {"consumer": A2, "flag": z3.BoolVal(False)}),
        "a4": (s.consumer == A4, {"consumer": A1, "waits": s.waits + 1}),
    }
    return {**right(s), **early}


def sets_first(s: State) -> dict[str, Step]:
    """Broken: the flag goes up before the event is recorded."""
    early = {
        "b3": (
            s.producer == B3,
            {"producer": B4, "flag": z3.BoolVal(True), "records": s.records + 1, "owed": s.work},
        ),
        "b4": (s.producer == B4, {"producer": OUT, "recorded": s.made, "covers": s.work}),
    }
    return {**right(s), **early}


def never_looks(s: State) -> dict[str, Step]:
    """Broken: b1 goes on although the flag is up."""
    return {**right(s), "b1": (s.producer == OUT, {"producer": B2})}


def invariant(s: State) -> dict[str, z3.BoolRef]:
    """What holds in every state: with the first two alone record and wait can't overlap."""
    return {
        "the flag up keeps the producer out": z3.Implies(s.flag, s.producer == OUT),
        "the flag down keeps the consumer out": z3.Implies(z3.Not(s.flag), s.consumer == A1),
        "what is about to be published is recorded": z3.Implies(
            s.producer == B4, z3.And(s.recorded == s.made, s.covers == s.work)
        ),
        "what is published is recorded": z3.Implies(
            s.flag, z3.And(s.recorded == s.made, s.covers >= s.owed)
        ),
        "what is loaded is what is published": z3.Implies(
            z3.Or(s.consumer == A3, s.consumer == A4), s.loaded == s.made
        ),
        "after a3 the order is there": z3.Implies(s.consumer == A4, s.ordered >= s.owed),
        "one record is ahead exactly while the flag is up": (
            s.records == s.waits + z3.If(s.flag, 1, 0)
        ),
    }


def guarantees(s: State) -> dict[str, z3.BoolRef]:
    """G1 to G4, each as a sentence about one state."""
    replaces = z3.Or(s.producer == B2, s.producer == B3, s.producer == B4)
    return {
        "G1": z3.Implies(s.consumer == A3, s.loaded == s.recorded),
        "G2": z3.Implies(s.consumer == A4, s.ordered >= s.owed),
        "G3": z3.Implies(s.consumer == A4, s.records == s.waits + 1),
        "G4": z3.Not(z3.And(s.records > s.waits, replaces)),
    }


def proved(assumed: z3.BoolRef | bool, claim: z3.BoolRef) -> bool:
    solver = z3.Solver()
    solver.add(assumed, z3.Not(claim))
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.unsat)


def not_inductive(
    steps: Callable[[State], Mapping[str, Step]], kept: Callable[[State], Sentences]
) -> Iterator[tuple[str, str]]:
    """Each step and sentence for which there is a counterexample to induction."""
    holds = z3.And(*kept(ANY).values())
    for name, (guard, changes) in steps(ANY).items():
        after = kept(ANY._replace(**changes))
        for sentence, claim in after.items():
            if not proved(z3.And(holds, guard), claim):
                yield name, sentence


def without(sentence: str) -> Callable[[State], Sentences]:
    return lambda s: {name: claim for name, claim in invariant(s).items() if name != sentence}


def test_the_invariant_holds_at_first_and_is_kept_by_every_step():
    assert [name for name, claim in invariant(FIRST).items() if not proved(True, claim)] == []
    assert list(not_inductive(right, invariant)) == []


@pytest.mark.parametrize("guarantee", ["G1", "G2", "G3", "G4"])
def test_each_guarantee_follows_from_the_invariant(guarantee):
    assert proved(z3.And(*invariant(ANY).values()), guarantees(ANY)[guarantee])


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
        (clears_first, "a1", "the flag down keeps the consumer out"),
        (sets_first, "b3", "what is published is recorded"),
        (never_looks, "b1", "the flag up keeps the producer out"),
    ],
)
def test_a_broken_sibling_has_a_counterexample_to_induction(steps, step, sentence):
    assert (step, sentence) in list(not_inductive(steps, invariant))


def test_the_steps_can_go_round_so_that_the_invariant_says_something():
    """A whole round from the first state, step by step; nothing of it is contradictory."""
    state = FIRST
    for name in ("work", "b1", "b2", "b3", "b4", "a1", "a2", "a3", "a4"):
        guard, changes = right(state)[name]
        assert proved(True, guard), name
        state = state._replace(**changes)

    assert [z3.simplify(each) for each in (state.records, state.waits, state.ordered)] == [1, 1, 1]
