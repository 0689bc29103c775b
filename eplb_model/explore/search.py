"""The exhaustive search: every schedule, breadth first or depth first, one loop.

Rules:
- It is the reference: short, and nothing clever.  A reduction may say which one action to take
  instead of all; it is the only way to be faster, and it can be switched off.
- A state that breaks a property ends its run.  States in which nobody can move are final.
- Breadth first, the way to a state is a shortest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from eplb_model.outcome import Action
from eplb_model.properties import Violation, violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.world import World

Order = Literal["bfs", "dfs"]
# Given a state and its enabled actions: the one that can be taken alone, or None.
Reduction = Callable[[State, Sequence[Action]], Action | None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a search stops.  `enough` names a bound of its caller's (the clock is not ours)."""

    max_states: int | None = None
    max_depth: int | None = None
    enough: Callable[[], str | None] = lambda: None


@dataclass(slots=True)
class Exploration:
    """What was reached.  States are numbered in the order in which they were found."""

    states: list[State] = field(default_factory=list)
    came_from: list[tuple[int, Action] | None] = field(default_factory=list)
    depth_of: list[int] = field(default_factory=list)
    transitions: int = 0
    broken: dict[int, Violation] = field(default_factory=dict)
    final: list[int] = field(default_factory=list)  # nobody can move, no property broken
    edges: dict[int, list[tuple[Action, int]]] = field(default_factory=dict)  # if programs loop
    cut: str | None = None  # the bound that left something unexplored

    @property
    def depth(self) -> int:
        return max(self.depth_of, default=0)

    def way_to(self, number: int) -> tuple[Action, ...]:
        """The schedule by which a state was first reached."""
        actions = []
        origin = self.came_from[number]
        while origin is not None:
            number, action = origin
            actions.append(action)
            origin = self.came_from[number]
        return tuple(reversed(actions))


def explore(
    world: World,
    order: Order = "bfs",
    bounds: Bounds | None = None,
    reduction: Reduction | None = None,
    start: State | None = None,
) -> Exploration:
    """Visit every state that some schedule reaches, from the start or a state, within bounds."""
    bounds = bounds or Bounds()
    found = Exploration()
    known: dict[State, int] = {}
    frontier: deque[int] = deque()

    def visit(state: State, origin: tuple[int, Action] | None) -> int:
        number = known.get(state)
        if number is None:
            number = known[state] = len(found.states)
            found.states.append(state)
            found.came_from.append(origin)
            found.depth_of.append(0 if origin is None else found.depth_of[origin[0]] + 1)
            frontier.append(number)
        return number

    visit(start or initial(world), None)
    while frontier:
        stop = _stop(found, bounds)
        if stop is not None:
            found.cut = stop
            return found
        number = frontier.popleft() if order == "bfs" else frontier.pop()
        for action in _expand(found, number, bounds, reduction):
            target = visit(step(found.states[number], action), (number, action))
            found.transitions += 1
            if world.cyclic:
                found.edges.setdefault(number, []).append((action, target))
    return found


def _stop(found: Exploration, bounds: Bounds) -> str | None:
    """The bound that ends the search now."""
    if bounds.max_states is not None and len(found.states) >= bounds.max_states:
        return "max_states"
    return bounds.enough()


def _expand(
    found: Exploration, number: int, bounds: Bounds, reduction: Reduction | None
) -> Sequence[Action]:
    """The actions to follow from a state; files the state if its run ends here."""
    state = found.states[number]
    broken = violation(state)
    if broken is not None:
        found.broken[number] = broken
        return ()
    actions = enabled(state)
    if not actions:
        found.final.append(number)
        return ()
    if bounds.max_depth is not None and found.depth_of[number] >= bounds.max_depth:
        found.cut = "max_depth"
        return ()
    alone = reduction(state, actions) if reduction is not None else None
    return actions if alone is None else (alone,)
