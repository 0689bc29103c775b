"""Generated families against the answer for every number of ranks, and against what suffices."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from eplb_model.all_ranks.certificate import answer
from eplb_model.all_ranks.checker import refusal, sufficient
from eplb_model.all_ranks.instance import moves
from eplb_model.all_ranks.lint import Cutoff, examine
from eplb_model.check import Search, check
from eplb_model.outcome import Action
from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.world import World
from tests.families import Document, contended, families, family, rounds
from tests.generated import often


@given(families() | rounds())
@settings(often, max_examples=8)
def test_no_generated_family_contradicts_its_answer(made: Document):
    attack(made, 150, 400)


@pytest.mark.slow
@given(families() | rounds())
@settings(often, max_examples=100)
def test_no_generated_family_contradicts_its_answer_at_large(made: Document):
    attack(made, 600, 3_000)


def attack(made: Document, most: int, most_each: int) -> None:
    """Compare the answer for all with the check of each number of ranks around the cut-off."""
    with tempfile.TemporaryDirectory() as folder:
        subject = family(made, Path(folder))
        cutoff = examine(subject)
        if not isinstance(cutoff, Cutoff) or cutoff.ranks > 4:
            return
        found = answer(subject, Search(max_states=most))
        more = 2 if cutoff.ranks < 3 else 1
        verdicts = {
            ranks: check(subject.at(ranks), Search(max_states=most_each)).verdict
            for ranks in range(cutoff.least, cutoff.ranks + more + 1)
        }
        if found.answer == "holds":
            assert refusal(found.document) is None
            assert set(verdicts.values()) <= {"ok", "unknown"}, (made, verdicts)
            return
        if found.answer == "fails":
            assert verdicts[found.ranks or 0] in ("unknown", found.document["verdict"])
        if found.answer == "fails" and not cutoff.loose and len(cutoff.instances) == 1:
            assert found.ranks is not None
            first = found.ranks
            later = {each for ranks, each in verdicts.items() if ranks >= first}
            assert "ok" not in later, (made, verdicts)
        elif found.answer == "undecided" and "cut the search" not in found.because:
            assert cutoff.loose or "unknown" in verdicts.values(), (made, verdicts)


@given(contended())
@settings(often, max_examples=8)
def test_what_suffices_reaches_a_stuck_state_where_anything_does(made: Document):
    compare_reach(made, 500)


@pytest.mark.slow
@given(contended() | rounds() | families())
@settings(often, max_examples=100)
def test_what_suffices_reaches_a_stuck_state_where_anything_does_at_large(made: Document):
    compare_reach(made, 4_000)


def compare_reach(made: Document, most: int) -> None:
    """A cut-off instance explored by what suffices and in full: stuck, broken, or neither."""
    with tempfile.TemporaryDirectory() as folder:
        subject = family(made, Path(folder))
        cutoff = examine(subject)
        if not isinstance(cutoff, Cutoff):
            return
        world = subject.instance(min(cutoff.ranks, max(cutoff.least, 2)), cutoff.loose)
        full = reached(world, cutoff.loose, moves, most)
        if full is not None:
            assert reached(world, cutoff.loose, sufficient, most) == full


def reached(
    world: World,
    loose: tuple[str, ...],
    followed: Callable[[State, tuple[str, ...]], list[Action]],
    most: int,
) -> tuple[bool, bool] | None:
    """Whether some state is stuck, and whether some is broken; None if there are too many."""
    known = {initial(world)}
    left = list(known)
    stuck = broken = False
    while left:
        state = left.pop()
        if violation(state):
            broken = True
            continue
        stuck = stuck or bool(state.unfinished() and not enabled(state))
        for after in (step(state, action) for action in followed(state, loose)):
            if after not in known:
                known.add(after)
                left.append(after)
        if len(known) > most:
            return None
    return stuck, broken
