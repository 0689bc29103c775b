"""Points of a stream that somebody captured, and the work that waits for them.

specs/semantics.md#await
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from eplb_model.ops.registry import StreamStep, stream_operation
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import DONE, Mark, Pending, State
from eplb_model.world import StreamOperation

UNRECORDED = "wait on an unrecorded event"  # what a scenario may forbid


class Event(NamedTuple):
    """The value of a CUDA event in memory: the mark of its latest record, None if it has none."""

    mark: Mark | None = None

    def passed(self, stream: int) -> Event:
        """The same event after an item has left a stream."""
        if self.mark is None or self.mark.stream != stream:
            return self
        return Event(self.mark.passed(stream))


@stream_operation
@dataclass(frozen=True, slots=True)
class Await(StreamStep):
    """Stream: pass once the captured mark is done; later records don't count.

    specs/semantics.md#await
    """

    kind: ClassVar[str] = "await"
    automatic: ClassVar[bool] = True
    mark: Mark
    event: str = ""  # for the explanation

    @property
    def holds_queue(self) -> bool:
        return self.mark != DONE

    def passed(self, stream: int) -> StreamOperation:
        return replace(self, mark=self.mark.passed(stream))

    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:
        if self.mark == DONE:
            return None

        def explain() -> tuple[str, Clauses]:
            what = f"the record of event {self.event}" if self.event else "earlier work"
            marked = state.world.streams[self.mark.stream]
            return f"waits for {what} on {marked}", ((marked,),)

        return Wait(explain)

    def effect(self, state: State, me: Actor, choice: int | None) -> State:
        return state.pop(me)


def capture(state: State, me: Actor, streams: Iterable[Actor]) -> State:
    """Let the calling thread wait for all that these streams hold now."""
    return state.stay(me, Pending(frozenset(state.mark(stream) for stream in streams) - {DONE}))


def pending(state: State, me: Actor, what: str) -> Wait | None:
    """The wait of a thread that has captured marks, until all are done."""
    local = state.thread(me).local
    if not isinstance(local, Pending) or not local.marks:
        return None

    def explain() -> tuple[str, Clauses]:
        streams = sorted({state.world.streams[mark.stream] for mark in local.marks})
        names = ", ".join(map(str, streams))
        return f"{what}: waits for {names}", tuple((stream,) for stream in streams)

    return Wait(explain)


def submit(state: State, me: Actor, stream: Actor, work: StreamOperation) -> State:
    """Put work on a stream, with the edges that the legacy default stream implies (G9)."""
    world = state.world
    described = world.stream_specs[stream.slot]
    awaited = {"legacy": "blocking", "blocking": "legacy"}.get(described.kind)
    others = () if awaited is None else world.streams_on(stream.rank, described.device)
    for other in others:
        if world.stream_specs[other.slot].kind != awaited:
            continue
        mark = state.mark(other)
        if mark != DONE:
            state = state.enqueue(stream, me, Await(mark))
    return state.enqueue(stream, me, work)
