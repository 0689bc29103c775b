"""The dumb twin of every search: all runs, one after the other, and nothing remembered."""

from __future__ import annotations

from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.world import World


class TooManySteps(Exception):
    """The runs together are longer than asked for."""


def ends_of_all_runs(world: World, most_steps: int) -> set[State]:
    """The states in which some run ends: nobody can move, or a property is broken."""
    ends: set[State] = set()
    left = most_steps

    def follow(state: State) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManySteps
        actions = [] if violation(state) else enabled(state)
        for action in actions:
            follow(step(state, action))
        if not actions:
            ends.add(state)

    follow(initial(world))
    return ends
