"""The current device and the current stream of a host thread.

Rules (specs/semantics.md#set-device):
- Both belong to the calling thread alone.  A new thread is on device 0 and on its default stream,
  whatever the thread that started it has set.
- An operation that names the stream `current` means the one that its thread has when it calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.registry import HostStep, StreamName, operation
from eplb_model.ops.thread_state import current_of, stream_of
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State
from eplb_model.world import current_place


@operation
@dataclass(frozen=True, slots=True)
class SetDevice(HostStep):
    """Host: make a device the current one of this thread; an error if the rank has not got it.

    specs/semantics.md#set-device
    """

    kind: ClassVar[str] = "set_device"
    device: int

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        if self.device and not state.world.streams_on(me.rank, self.device):
            return state.fail(me, Failure("misuse", f"rank {me.rank} has no device {self.device}"))
        current = current_of(state, me).on(self.device)
        return state.write(me.rank, current_place(me.name), current).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class SetStream(HostStep):
    """Host: make a stream the current one of this thread, and its device the current device.

    specs/semantics.md#set-stream
    """

    kind: ClassVar[str] = "set_stream"
    stream: StreamName

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        stream = stream_of(state, me, self.stream)
        device = state.world.stream_specs[stream.slot].device
        current = current_of(state, me).with_stream(device, stream.name)
        return state.write(me.rank, current_place(me.name), current).advance(me)
