"""Host calls that wait for the GPU, or ask it.  specs/semantics.md#stream-synchronize

Rule: what such a call waits for is what the stream (or the device) held when it was called.
They hold no lock while they wait (table 2.8 of specs/sources.md), unless `gil` says that the
binding keeps the GIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.marks import capture, pending
from eplb_model.ops.registry import HostStep, KnownStream, NewVariable, operation
from eplb_model.ops.thread_state import stream_of, streams_here
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Pending, State


@operation
@dataclass(frozen=True, slots=True)
class StreamSynchronize(HostStep):
    """Host: wait until the stream has done what it holds now.

    specs/semantics.md#stream-synchronize
    """

    kind: ClassVar[str] = "stream_synchronize"
    stream: KnownStream
    gil: bool = False

    def guard(self, state: State, me: Actor) -> Wait | None:
        return pending(state, me, f"synchronises with {stream_of(state, me, self.stream)}")

    def effect(self, state: State, me: Actor) -> State:
        if isinstance(state.thread(me).local, Pending):
            return state.advance(me)
        return capture(state, me, (stream_of(state, me, self.stream),))


@operation
@dataclass(frozen=True, slots=True)
class DeviceSynchronize(HostStep):
    """Host: wait until every stream of the current device has done what it holds now.

    specs/semantics.md#device-synchronize
    """

    kind: ClassVar[str] = "device_synchronize"
    gil: bool = False

    def guard(self, state: State, me: Actor) -> Wait | None:
        return pending(state, me, "synchronises with the device")

    def effect(self, state: State, me: Actor) -> State:
        if isinstance(state.thread(me).local, Pending):
            return state.advance(me)
        return capture(state, me, streams_here(state, me))


@operation
@dataclass(frozen=True, slots=True)
class StreamQuery(HostStep):
    """Host: put into a variable whether the stream is empty.

    specs/semantics.md#stream-query
    """

    kind: ClassVar[str] = "stream_query"
    stream: KnownStream
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        empty = state.head(stream_of(state, me, self.stream)) is None
        return state.write(me.rank, self.into, empty).advance(me)
