"""The part of a counterexample that matters: no step that could be left out, no rank too many.

Rules:
- Of a deadlock what matters is that its circle (or, without one, whoever waits) can never move
  again: that all of it is in the greatest stuck set (H1).  Who gets stuck behind it later is a
  victim and has no part in the schedule.
- Of a stall what matters is its loop: that it can be taken for ever, fairly, while whoever is left
  out waits in every state of it.
- A broken property has been shortened by the search already (`explore.shorten`).
- Steps are counted: after `MOST_STEPS` tried steps what is left is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eplb_model.outcome import Action, Actor, Finding
from eplb_model.state import State
from eplb_model.step import enabled, initial, step, wait_of
from eplb_model.wait_for import circle, stuck_set, waiting
from eplb_model.world import World

MOST_STEPS = 20_000  # of one actor each: a world with twice the actors affords half of it


@dataclass(frozen=True, slots=True)
class Reduced:
    """A schedule that still goes wrong in the same way, and the ranks that it is about."""

    schedule: tuple[Action, ...]
    last: State
    ranks: tuple[int, ...]
    circle: tuple[Actor, ...]
    left_out: int  # steps of the schedule that was found
    whole: bool  # whether every single step has been tried


def reduced(world: World, finding: Finding) -> Reduced:
    """What is enough of a finding's schedule."""
    wanted = frozenset(finding.circle) or frozenset(each.actor for each in finding.waiting)
    if finding.verdict not in ("deadlock", "stall") or not wanted:
        return _as_it_is(world, finding)
    attempt = _Attempt(world, wanted, finding.loop)
    short = tuple(finding.schedule)
    if attempt.holds(short) is None:
        return _as_it_is(world, finding)  # a stall that another search has found need not be one
    looped = [action.actor for action in finding.loop]
    inside = {actor.rank for actor in (*wanted, *looped)}
    for kept in (_only(short, inside), *_without_one_rank(short, inside)):
        if attempt.holds(kept) is not None:
            short = kept
            break
    short = _without_single_steps(attempt, short)
    last = attempt.holds(short, free=True)
    assert last is not None, "[model bug] a schedule that held does not"
    ring = circle(waiting(last), stuck_set(last)) if finding.circle else ()
    return Reduced(
        short,
        last,
        _ranks(short, (*wanted, *looped)),
        ring if frozenset(ring) <= wanted else finding.circle,
        len(finding.schedule) - len(short),
        attempt.left > 0,
    )


class _Attempt:
    """Replays schedules as long as the budget lasts, and says whether the same goes wrong."""

    def __init__(self, world: World, wanted: frozenset[Actor], loop: Sequence[Action]) -> None:
        self.left = MOST_STEPS * 8 // max(8, len(world.actors))
        self._world = world
        self._wanted = wanted
        self._loop = loop

    def holds(self, schedule: Sequence[Action], *, free: bool = False) -> State | None:
        """The last state, if the schedule can be followed and leads to what is wanted."""
        if self.left <= 0 and not free:
            return None
        self.left -= len(schedule) + len(self._loop) + 1
        last = follow(self._world, schedule)
        if last is None:
            return None
        if self._loop:
            return last if _goes_round(last, self._loop, self._wanted) else None
        return last if self._wanted <= stuck_set(last) else None


def _goes_round(start: State, loop: Sequence[Action], left_out: frozenset[Actor]) -> bool:
    """Whether a fair run takes a loop for ever while some actors with work left always wait.

    Fair as in `explore.stall`: every other actor moves in the loop, or can't somewhere in it.
    """
    state, treated = start, {action.actor for action in loop}
    for action in loop:
        able = {each.actor for each in enabled(state)}
        if action.actor not in able or able & left_out or not left_out <= set(state.unfinished()):
            return False
        try:
            if wait_of(state, action) is not None:
                return False
        except KeyError:
            return False
        treated.update(actor for actor in state.world.actors if actor not in able)
        state = step(state, action)
    return state == start and treated >= set(start.world.actors)


def follow(world: World, schedule: Iterable[Action]) -> State | None:
    """The state that a schedule leads to; None if some step of it can't be taken."""
    state = initial(world)
    for action in schedule:
        try:
            wait = wait_of(state, action)
        except KeyError:
            return None
        if wait is not None:
            return None
        state = step(state, action)
    return state


def _as_it_is(world: World, finding: Finding) -> Reduced:
    last = follow(world, finding.schedule)
    assert last is not None, "[model bug] the schedule of a finding can't be followed"
    wanted = (*finding.circle, *(each.actor for each in finding.waiting))
    looped = tuple(action.actor for action in finding.loop)
    ranks = _ranks(finding.schedule, (*wanted, *looped)) or tuple(range(len(world.ranks)))
    return Reduced(finding.schedule, last, ranks, finding.circle, 0, True)


def _only(schedule: Sequence[Action], ranks: set[int]) -> tuple[Action, ...]:
    return tuple(action for action in schedule if action.actor.rank in ranks)


def _without_one_rank(schedule: Sequence[Action], inside: set[int]) -> Iterable[tuple[Action, ...]]:
    """For a circle that needs help from outside: all but one of the other ranks, one by one."""
    ranks = sorted({action.actor.rank for action in schedule})
    return (_only(schedule, set(ranks) - {rank}) for rank in ranks if rank not in inside)


def _without_single_steps(attempt: _Attempt, schedule: tuple[Action, ...]) -> tuple[Action, ...]:
    """Take out steps from the last to the first, again and again, while what is left does it."""
    short, before = schedule, None
    while short != before:
        before = short
        for at in range(len(short) - 1, -1, -1):
            candidate = (*short[:at], *short[at + 1 :])
            if attempt.holds(candidate) is not None:
                short = candidate
    return short


def _ranks(schedule: Iterable[Action], wanted: Iterable[Actor]) -> tuple[int, ...]:
    moved = {action.actor.rank for action in schedule}
    return tuple(sorted(moved | {actor.rank for actor in wanted}))
