"""From what a search reached to what went wrong: the way there, who waits for whom.

Rule: a finding says how it is reached by the shortest schedule of the search that found it, and
every schedule is followed again, step by step, before it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eplb_model.explore.fast.answer import Answer
from eplb_model.explore.shorten import shorten
from eplb_model.outcome import Action, Finding, Verdict
from eplb_model.properties import NOBODY_IS_LEFT_OUT, never_again, somebody_can_move, violation
from eplb_model.state import State
from eplb_model.trace import end_of, replay
from eplb_model.wait_for import circle, stuck_set, waiting
from eplb_model.world import World

if TYPE_CHECKING:
    from eplb_model.explore.search import Exploration
    from eplb_model.explore.stall import GivenUp

# Where several kinds of end are reached, the first of these is the verdict.
PRECEDENCE: tuple[Verdict, ...] = ("violation", "misuse", "race", "deadlock", "stall")


def finding_in(
    found: Exploration, ends: Mapping[str, list[int]], gave_up: tuple[GivenUp, ...]
) -> Finding | None:
    """What an exhaustive search found: the nearest of the worst."""
    for verdict in PRECEDENCE:
        if verdict == "stall":
            return _stall(found) or _given_up(found, gave_up)
        if verdict in ends:
            number = min(ends[verdict], key=lambda n: (found.depth_of[n], n))
            return _at_the_end_of(found, number, verdict)
    return None


def _at_the_end_of(found: Exploration, number: int, verdict: Verdict) -> Finding | None:
    """What a state shows.  A broken property may be reached without some of the settled steps."""
    way, state = found.way_to(number), found.states[number]
    if verdict != "deadlock":
        way = shorten(state.world, way, found.broken[number])
        state = end_of(state.world, way)
    return finding_at(state, way)


def _stall(found: Exploration) -> Finding | None:
    from eplb_model.explore.stall import find_stall  # noqa: PLC0415 (only such a search needs it)

    stall = find_stall(found)
    if stall is None:
        return None
    state = found.states[stall.entry]
    way = found.way_to(stall.entry)
    waits = tuple(each for each in waiting(state) if each.actor in stall.left_out)
    names = ", ".join(map(str, stall.left_out))
    return Finding(
        NOBODY_IS_LEFT_OUT.verdicts[0],
        f"{names}: waits for ever while others go on",
        way,
        waits,
        circle(waits, frozenset(stall.left_out)),
        loop=stall.loop,
    )


def _given_up(found: Exploration, gave_up: tuple[GivenUp, ...]) -> Finding | None:
    """The first loop in which a claim stays false although nobody is left out for ever."""
    if not gave_up:
        return None
    first = min(gave_up, key=lambda each: each.entry)
    way = found.way_to(first.entry)
    stays = f"{first.claim.condition} stays false on rank {first.rank} while others go on"
    message = f"{first.claim.sentence}: {stays}"
    return Finding("stall", message, way, loop=first.loop)


def finding_of(said: Answer) -> Finding | None:
    """What the fast search found: its nearest end of the worst kind."""
    kind = next((verdict for verdict in PRECEDENCE if verdict in said.ends), None)
    if kind is None:
        return None
    schedule, state = said.run_to(said.ends[kind][0])
    if kind != "deadlock":
        broken = violation(state)
        assert broken is not None, f"[model bug] no {kind} after all"
        schedule = shorten(state.world, schedule, broken)
        state = end_of(state.world, schedule)
    finding = _shown_by(state, schedule)
    assert finding is not None, f"[model bug] no {kind} after all"
    return finding


def finding_at(state: State, schedule: tuple[Action, ...]) -> Finding | None:
    """What a state shows, and how it was reached: a broken property, or nobody able to move."""
    return _shown_by(end_of(state.world, schedule), schedule)


def _shown_by(state: State, schedule: tuple[Action, ...]) -> Finding | None:
    broken = violation(state)
    if broken is not None:
        details = _unordered(state.world, schedule) if broken.verdict == "race" else ()
        return Finding(broken.verdict, broken.message, schedule, details=details)
    stuck = somebody_can_move.broken_by(state)
    if stuck is None:
        return None
    waits = waiting(state)
    ring = circle(waits, stuck_set(state, waits))
    message = "; ".join((stuck[1], *(f"fails: {each.sentence}" for each in never_again(state))))
    return Finding(stuck[0], message, schedule, waits, ring)


def _unordered(world: World, schedule: tuple[Action, ...]) -> tuple[str, ...]:
    """What orders the accesses of a run's last race with the rest, and what would order them."""
    from eplb_model.happens_before import races  # noqa: PLC0415 (only races need it)

    found = races(replay(world, schedule))
    if not found:
        return ()
    last = found[-1]
    return (*map(str, last.seen), last.missing)
