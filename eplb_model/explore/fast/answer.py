"""What the fast search says of a world: how runs end, and one real schedule for each kind of end.

Rules:
- An error that ends a thread stays in the state, so runs are followed past it: who ended by an
  error is asked of the states in which runs end.
- A schedule has real rank numbers, and `trace.end_of` follows every step of it when it is made; a
  step that can't be taken there is an error of ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from eplb_model.explore.fast.alone import NotCovered, not_covered
from eplb_model.explore.fast.quotient import Arc
from eplb_model.explore.fast.roles import Roles, Step, roles_of
from eplb_model.explore.fast.search import Found, Place, Turn, explore_fast
from eplb_model.explore.fast.table import Edge
from eplb_model.outcome import Action, Actor
from eplb_model.state import State
from eplb_model.step import options_of, step
from eplb_model.trace import ScheduleError, end_of
from eplb_model.world import World


class Run(NamedTuple):
    """A schedule, and the state that it leads to."""

    schedule: tuple[Action, ...]
    last: State


class Answer(NamedTuple):
    """The states in which runs end, by kind, and how to get to them."""

    found: Found
    ends: dict[str, list[int]]  # numbers of places, the nearest first

    @property
    def reduction(self) -> str:
        """The reductions that were used."""
        roles = self.found.roles
        used = {"symmetry": roles.symmetric, "folding": roles.folded}
        return ", ".join(["persistent sets", *(name for name, is_used in used.items() if is_used)])

    @property
    def depth(self) -> int:
        """How many steps of the machine the longest run has that was followed."""
        return max(_steps_to(self.found, number)[0] for number in range(len(self.found.places)))

    @property
    def waited(self) -> set[bool]:
        """Whether kernels had to wait, over the runs that end well."""
        return {self.found.places[number].waited for number in self.ends.get("ok", ())}

    def run_to(self, number: int) -> Run:
        """A run to a state of the search, in real rank numbers, followed step by step."""
        return _Replay(self.found.roles).follow(self.found, number)


def answer(
    world: World,
    symmetry: bool,
    max_states: int | None,
    enough: Callable[[], str | None],
    *,
    depth_first: bool = False,
    folding: bool = True,
) -> Answer:
    """Search a world; `NotCovered` where the fast search would not be sound."""
    reason = not_covered(world)
    if reason is not None:
        raise NotCovered(reason)
    roles = roles_of(world, symmetry, enough, folding=folding)
    found = explore_fast(roles, max_states, enough, depth_first=depth_first)
    return Answer(found, _ends(found))


def _ends(found: Found) -> dict[str, list[int]]:
    ends: dict[str, list[int]] = {}
    for number in sorted(found.final, key=lambda each: _steps_to(found, each)):
        ends.setdefault(_kind_of_end(found, found.places[number]), []).append(number)
    return ends


def _kind_of_end(found: Found, place: Place) -> str:
    parts = [found.roles.at(kind) for kind, _ in place.kinds]
    failed = {family for at in parts for family in at.role.quotient.failed[at.here]}
    if len(failed) > 1:
        raise NotCovered("errors of several kinds in one run")
    if failed:
        return failed.pop()
    unfinished = any(at.role.quotient.unfinished[at.here] for at in parts)
    return "deadlock" if unfinished else "ok"


def _steps_to(found: Found, number: int) -> tuple[int, int]:
    """How many steps of the machine a run to a state has; without CTAs that end unseen."""
    steps = 0
    for kind, count in found.places[number].kinds:
        at = found.roles.at(kind)
        steps += count * at.role.depth(at.lap, at.here)
    return steps, number


class _Replay:
    """Turns what kinds did into what ranks did; used once."""

    def __init__(self, roles: Roles) -> None:
        self._world = roles.world
        self._roles = roles
        self._taken: list[Action] = []
        # By kind, the ranks that are in it, each with its state in the table of its role.
        self._ranks = {
            role.first: deque((rank, 0) for rank in role.members) for role in roles.roles
        }
        self._actors = {(actor.rank, actor.name): actor for actor in roles.world.actors}
        self._ways: dict[tuple[int, int, Arc, bool], tuple[tuple[Edge, ...], int]] = {}

    def follow(self, found: Found, number: int) -> Run:
        turns = []
        turn = found.turns[number]
        while turn is not None:
            turns.append(turn)
            turn = found.turns[turn.before]
        for each in reversed(turns):
            self._take(each)
        try:
            state = end_of(self._world, self._taken)
        except ScheduleError as error:
            raise AssertionError(f"[model bug] {error}") from error
        state = self._ctas_ended(state)
        return Run(tuple(self._taken), state)

    def _take(self, turn: Turn) -> None:
        for way, count in turn.ways:
            for _ in range(count):
                rank, local = self._ranks[turn.kind].popleft()
                kind = turn.kind
                for move in way:
                    edges, local = self._way(kind, local, move)
                    for edge in edges:
                        self._taken += [self._real(rank, action) for action in edge.actions]
                    kind += move.by
                self._ranks.setdefault(kind, deque()).append((rank, local))

    def _way(self, kind: int, local: int, move: Step) -> tuple[tuple[Edge, ...], int]:
        """How a rank takes a step between kinds; many ranks take the same."""
        role = self._roles.at(kind).role
        key = (role.first, local, move.arc, move.back)
        if key not in self._ways:
            self._ways[key] = role.quotient.way(local, move.arc, back=move.back)
        return self._ways[key]

    def _real(self, rank: int, action: Action) -> Action:
        return Action(self._actors[rank, action.actor.name], action.choice)

    def _ctas_ended(self, state: State) -> State:
        """Let CTAs end that nobody sees ending, until the machine stands still."""
        for kind, ranks in sorted(self._ranks.items()):
            table = self._roles.at(kind).role.quotient.table
            for rank, local in ranks:
                edges = table.edges[local]
                for name in sorted({edge.actor.name for edge in edges if edge.actor.is_stream}):
                    state = self._ended(state, self._actors[rank, name])
        return state

    def _ended(self, state: State, stream: Actor) -> State:
        """The same for one stream; each of its steps is taken down."""
        while True:
            able = next((a for a, wait in options_of(state, stream) if wait is None), None)
            if able is None:
                return state
            self._taken.append(able)
            state = step(state, able)
