"""The exhaustive search: every schedule, breadth first or depth first, one loop.

Rules:
- It is the reference: short, and nothing clever.  A reduction may name sets of actions of which one
  may be followed instead of all; it is the only way to be faster, and it can be switched off.
- A set is followed alone only if none of its steps breaks a property: what else could have been
  broken before would not be seen.  Where programs loop for ever, each of its steps has to lead to a
  state that was not looked at yet.  So on every cycle some state, the one that was looked at last
  at the least, is followed in full, and no step is put off for ever.
- A state that breaks a property ends its run.  States in which nobody can move are final.
- Breadth first, the way to a state is a shortest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from eplb_model.outcome import Action, Actor
from eplb_model.properties import Violation, violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.world import World

Order = Literal["bfs", "dfs"]
# Given a state and its enabled actions: sets of them each of which may be followed alone.
Reduction = Callable[[State, Sequence[Action]], Iterator[Sequence[Action]]]


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
    able: dict[int, frozenset[Actor]] = field(default_factory=dict)  # who could move; likewise
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
    search = _Search(world, reduction, bounds.max_depth)
    found, frontier = search.found, search.frontier
    search.visit(start or initial(world), None)
    while frontier:
        found.cut = _stop(found, bounds) or found.cut
        if found.cut not in (None, "max_depth"):
            break
        number = frontier.popleft() if order == "bfs" else frontier.pop()
        for action, target in search.follow(number):
            found.transitions += 1
            if world.cyclic:
                found.edges.setdefault(number, []).append((action, target))
    return found


class _Search:
    """What was found so far, and what is left to be looked at."""

    def __init__(self, world: World, reduction: Reduction | None, max_depth: int | None) -> None:
        self.found = Exploration()
        self.frontier: deque[int] = deque()
        self._cyclic = world.cyclic
        self._reduction = reduction
        self._max_depth = max_depth
        self._known: dict[State, int] = {}
        self._looked_at: set[int] = set()
        self._sound: set[int] = set()  # known to break nothing

    def visit(self, state: State, origin: tuple[int, Action] | None) -> int:
        """The number of a state; a new one is to be looked at."""
        found = self.found
        number = self._known.get(state)
        if number is None:
            number = self._known[state] = len(found.states)
            found.states.append(state)
            found.came_from.append(origin)
            found.depth_of.append(0 if origin is None else found.depth_of[origin[0]] + 1)
            self.frontier.append(number)
        return number

    def follow(self, number: int) -> Iterator[tuple[Action, int]]:
        """Take the steps that are to be followed from a state; none if its run ends here."""
        self._looked_at.add(number)
        state = self.found.states[number]
        actions = self._enabled(state, number)
        if self._cyclic:
            self.found.able[number] = frozenset(action.actor for action in actions)
        after: dict[Action, State] = {}
        alone = False
        for chosen in self._reduction(state, actions) if self._reduction is not None else ():
            after |= {action: step(state, action) for action in chosen if action not in after}
            alone = all(self._leads_on(after[action]) for action in chosen)
            if alone:
                actions = chosen
                break
        for action in actions:
            there = after[action] if action in after else step(state, action)
            target = self.visit(there, (number, action))
            if alone:
                self._sound.add(target)
            yield action, target

    def _leads_on(self, after: State) -> bool:
        """Whether a step leads to something new, and breaks nothing."""
        looked_at = self._cyclic and self._known.get(after, -1) in self._looked_at
        return not looked_at and violation(after) is None

    def _enabled(self, state: State, number: int) -> Sequence[Action]:
        """The actions that may be taken; files the state if its run ends here."""
        broken = None if number in self._sound else violation(state)
        if broken is not None:
            self.found.broken[number] = broken
            return ()
        actions = enabled(state)
        if not actions:
            self.found.final.append(number)
            return ()
        if self._max_depth is not None and self.found.depth_of[number] >= self._max_depth:
            self.found.cut = "max_depth"
            return ()
        return actions


def _stop(found: Exploration, bounds: Bounds) -> str | None:
    """The bound that ends the search now."""
    if bounds.max_states is not None and len(found.states) >= bounds.max_states:
        return "max_states"
    return bounds.enough()
