"""Take steps out of a schedule as long as it still breaks the same property.

With a reduction the first way to a broken property may contain steps that have nothing to do with
it.  Deadlocks need none of this: every way to one contains the steps that settling takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from eplb_model.outcome import Action
from eplb_model.properties import Violation, violation
from eplb_model.step import enabled, initial, step
from eplb_model.world import World


def shorten(world: World, schedule: Sequence[Action], broken: Violation) -> tuple[Action, ...]:
    """A schedule from which no single step can be left out; at most as long as the given one."""
    short = tuple(schedule)
    at = len(short) - 1
    while at >= 0:
        candidate = (*short[:at], *short[at + 1 :])
        cut = _broken_after(world, candidate, broken)
        if cut is None:
            at -= 1
        else:
            short = candidate[:cut]
            at = min(at, len(short)) - 1
    return short


def _broken_after(world: World, schedule: Sequence[Action], wanted: Violation) -> int | None:
    """After how many steps a schedule breaks the same property alike; None if it doesn't."""
    state = initial(world)
    for number, action in enumerate(schedule):
        broken = violation(state)
        if broken is not None:
            return number if _alike(broken, wanted) else None
        if action not in enabled(state):
            return None
        state = step(state, action)
    broken = violation(state)
    return len(schedule) if broken is not None and _alike(broken, wanted) else None


def _alike(one: Violation, other: Violation) -> bool:
    return (one.verdict, one.sentence) == (other.verdict, other.sentence)
