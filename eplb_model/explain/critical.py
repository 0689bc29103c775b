"""The critical step: the last moment from which some schedule still ends well.

Rules:
- It is found by exploring from the states of the schedule.  What can't end well any more never can
  again, so the moment is found by halving.
- Each exploration grows from a few states to a bound.  If the bound cuts it before a good end is
  seen, the answer is that nothing good was seen within so many states, and it says so.
- "Well" is a final state without work left, or a fair run that goes on for ever where programs do.
  For a stall whoever is left out has to move again and again in that run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eplb_model.explore.search import Bounds, Exploration, explore
from eplb_model.explore.settle import Settling
from eplb_model.explore.stall import has_fair_loop
from eplb_model.outcome import Action, Finding
from eplb_model.state import State
from eplb_model.step import initial, step
from eplb_model.world import World

GROWING = (100, 1_000, 10_000)  # states per exploration, in a world of up to eight actors

Good = Callable[[Exploration], bool]


@dataclass(frozen=True, slots=True)
class Critical:
    """`step` is the number of the step that decides, from 1; None if no step of them does.

    `always` says that even the first state can't end well, `never` that even the last one can.
    `bound` is the number of states after which an exploration gave up, None if none did.
    """

    step: int | None
    always: bool
    never: bool
    bound: int | None


def critical(world: World, schedule: Sequence[Action], finding: Finding) -> Critical:
    """The step of a schedule after which nothing ends well any more."""
    states = [initial(world)]
    for action in schedule:
        states.append(step(states[-1], action))
    question = _Question(world, finding)
    if not question.still_well(states[0]):
        return Critical(None, True, False, question.gave_up)
    if question.still_well(states[-1]):
        return Critical(None, False, True, None)
    well, lost = 0, len(states) - 1
    while lost - well > 1:
        middle = (well + lost) // 2
        if question.still_well(states[middle]):
            well = middle
        else:
            lost = middle
    return Critical(lost, False, False, question.gave_up)


class _Question:
    """Whether some schedule from a state ends well."""

    def __init__(self, world: World, finding: Finding) -> None:
        self.gave_up: int | None = None
        self._world = world
        left_out = [each.actor for each in finding.waiting if finding.verdict == "stall"]
        self._good: Good = lambda found: _ends_well(found) or has_fair_loop(found, left_out)
        # Settling finds races, and not what else a run that goes past one may end in.
        self._reduction = None if finding.verdict == "race" else Settling(world)

    def still_well(self, state: State) -> bool:
        actors = max(8, len(self._world.actors))
        for most in (max(20, growing * 8 // actors) for growing in GROWING):
            found = explore(self._world, "dfs", Bounds(most), self._reduction, state)
            if self._good(found):
                return True
            if found.cut is None:
                return False
        self.gave_up = most
        return False


def _ends_well(found: Exploration) -> bool:
    return any(not found.states[number].unfinished() for number in found.final)
