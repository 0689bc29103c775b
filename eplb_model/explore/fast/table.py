"""The states of one rank and the steps between them, found by running the ordinary operations.

Rules:
- A step is what `step.options_of` offers and `step.step` does, in the world of the rank alone.
- A step asks of the partners what `ops.kernel.meeting` says; nothing else couples ranks.
- `waited` of the whole machine is not part of a rank's state: a step says whether it sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from eplb_model.distributor import kernel_of
from eplb_model.explore.fast.alone import NotCovered, alone
from eplb_model.ops.kernel import meeting
from eplb_model.ops.meetings import Meeting
from eplb_model.outcome import Action, Actor
from eplb_model.placement import holders_slots
from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import initial, options_of, step
from eplb_model.world import Kernel, Rank, World

MOST_STATES = 100_000  # of one rank; they take ten seconds, and settling gets no further


class Ask(NamedTuple):
    """What the partners of a kernel must have done; which ranks these are, its channel says."""

    kernel: str
    wanted: Meeting


class Edge(NamedTuple):
    """A step of a rank: who takes it, what it asks of peers, and where it leads."""

    actions: tuple[Action, ...]  # several for a kernel whose CTAs are only seen to end together
    asks: frozenset[Ask]
    waits: bool  # whether a kernel could not start at once because of it
    part: bool  # a CTA ends and its kernel goes on
    target: int

    @property
    def actor(self) -> Actor:
        return self.actions[0].actor


class Table:
    """All states that a rank can get into if its peers always come in time."""

    def __init__(
        self,
        world: World,
        rank: int,
        *,
        whole: bool = True,
        described: Rank | None = None,
        enough: Callable[[], str | None] = lambda: None,
        watch: Callable[[State, State], None] = lambda before, after: None,
    ) -> None:
        self.world, self.rank = alone(world, rank, described)
        self._takes_whole = whole  # kernels as one, where nobody can tell
        self.actors: tuple[Actor, ...] = (
            *self.world.threads_of(self.rank),
            *self.world.streams_of(self.rank),
        )
        self.states: list[State] = []
        self.edges: list[tuple[Edge, ...]] = []
        self._known: dict[State, int] = {}
        self._exclusive: dict[tuple[int, str], bool] = {}
        self.depth: list[int] = [0]  # steps of the machine on the first way there
        self._visit(initial(self.world))
        while len(self.edges) < len(self.states):
            here = len(self.edges)
            self.edges.append(tuple(self._steps(self.states[here])))
            for edge in self.edges[here]:
                watch(self.states[here], self.states[edge.target])
                if edge.target == len(self.depth):
                    self.depth.append(self.depth[here] + len(edge.actions))
            bound = enough() if here % 64 == 0 else None
            if bound is not None:
                raise NotCovered(f"a rank that is not tabulated yet ({bound})")
            if len(self.states) > MOST_STATES:
                raise NotCovered(f"a rank with more than {MOST_STATES} states of its own")

    def number_of(self, state: State) -> int | None:
        """The number of a state of the table."""
        return self._known.get(state)

    def _visit(self, state: State) -> int:
        number = self._known.get(state)
        if number is None:
            number = self._known[state] = len(self.states)
            self.states.append(state)
            broken = violation(state)
            if broken is not None and broken.verdict == "race":
                raise NotCovered("accesses that may race")
        return number

    def _steps(self, state: State) -> Iterator[Edge]:
        for actor in self.actors:
            able = _able(state, actor)
            first = next(able, None)
            if first is None:
                continue
            whole = self._whole(state, first)
            if whole is not None:
                yield whole
            else:
                yield from (self._edge(state, action) for action in (first, *able))

    def _edge(self, state: State, action: Action) -> Edge:
        after = step(state, action)
        target = self._visit(after._replace(waited=False))
        part = _same_launch(state, after, action.actor)
        return Edge((action,), frozenset(_asks(state, action)), after.waited, part, target)

    def _whole(self, state: State, first: Action) -> Edge | None:
        """All ends of CTAs of a kernel in one step, if nobody can tell how many have ended."""
        stream = first.actor
        run = state.run_of(stream) if stream.is_stream else None
        if run is None or not self._takes_whole:
            return None
        if not self._excludes_all(stream, kernel_of(state, run)):
            return None
        taken: list[Action] = []
        asks: set[Ask] = set()
        before, after = state, state
        while True:
            able = next(_able(before, stream), None)
            if able is None:
                return None
            taken.append(able)
            asks.update(_asks(before, able))
            after = step(before, able)
            if not _same_launch(before, after, stream):
                break
            later = after.run_of(stream)
            if after.waited or later is None or later.seats != run.seats:
                return None
            before = after
        target = self._visit(after._replace(waited=False))
        return Edge(tuple(taken), frozenset(asks), after.waited, False, target)

    def _excludes_all(self, stream: Actor, kernel: Kernel) -> bool:
        """Whether no kernel of another stream finds room beside a single CTA of this one."""
        key = (stream.slot, kernel.name)
        if key not in self._exclusive:
            machine, there = self.world.machine, ((kernel.footprint, bytes(1)),)
            self._exclusive[key] = all(
                other.gang and holders_slots(machine, there, other.footprint) < other.ctas
                for other in self._launched_beside(stream)
            )
        return self._exclusive[key]

    def _launched_beside(self, stream: Actor) -> Iterator[Kernel]:
        """The kernels that other streams may get."""
        for thread in self.world.threads_of(self.rank):
            for op in self.world.programs[thread.slot].code:
                names = [name for what, name in op.offers() if what == "launch"]
                mine = getattr(op, "stream", None) == stream.name
                yield from (self.world.kernels[name] for name in names if not mine)


def _able(state: State, actor: Actor) -> Iterator[Action]:
    """The next steps of an actor that need no wait; often the first says enough."""
    return (action for action, wait in options_of(state, actor) if wait is None)


def _asks(state: State, action: Action) -> Iterator[Ask]:
    """What a step asks of the partners of its kernel."""
    wanted = meeting(state, action.actor, action.choice) if action.actor.is_stream else None
    run = state.run_of(action.actor) if wanted is not None else None
    if wanted is not None and run is not None:
        yield Ask(kernel_of(state, run).name, wanted)


def _same_launch(before: State, after: State, stream: Actor) -> bool:
    """Whether a kernel of a stream was resident before a step and still is."""
    if not stream.is_stream or before.run_of(stream) is None or after.run_of(stream) is None:
        return False
    return len(after.items(stream)) == len(before.items(stream))


def without_seats(state: State, rank: int) -> State:
    """A state whichever SMs are held in it, and however many CTAs have given theirs back."""
    device = state.devices[rank]
    arrived = tuple(
        run._replace(seats=bytes(len(run.seats)), ended=(0,) * len(run.ended))
        for run in device.arrived
    )
    return state.with_device(rank, device._replace(arrived=arrived))


def failures(state: State) -> Sequence[str]:
    """The kinds of error that threads of a state have ended with; a fault is none."""
    found = {t.failure.family for t in state.threads if t.failure is not None}
    return sorted(found - {"fault"})
