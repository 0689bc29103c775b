"""Asynchronous copies: through the copy engines, or as a small kernel within the device.

Rules (specs/semantics.md#copy; G13, table 2.7 of specs/sources.md):
copies between host and device pass a waiting gang;
a copy within the device is a kernel to the distributor.  The call waits for the copy if it is
`blocking`, or from the device to pageable memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.launch import (
    DEVICE_COPY,
    context_lock,
    hold_making,
    is_full,
    release_making,
    room,
)
from eplb_model.ops.marks import capture, pending, submit
from eplb_model.ops.moves import Moves, moved
from eplb_model.ops.registry import (
    Buffers,
    HostStep,
    StreamName,
    StreamStep,
    operation,
    stream_operation,
)
from eplb_model.ops.tensors import Buffer, has_no_block, in_blocks
from eplb_model.ops.thread_state import stream_of
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Pending, State
from eplb_model.world import Offer, StreamOperation

Direction = Literal["h2d", "d2h", "d2d"]


@stream_operation
@dataclass(frozen=True, slots=True)
class Transfer(StreamStep):
    """Stream: a copy between host and device ends.

    specs/semantics.md#transfer
    """

    kind: ClassVar[str] = "transfer"
    direction: Direction
    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()
    moves: Moves = ()

    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor, choice: int | None) -> State:
        return moved(state, me, self.moves).pop(me)


@operation
@dataclass(frozen=True, slots=True)
class Copy(HostStep):
    """Host: put a copy on a stream.

    specs/semantics.md#copy
    """

    kind: ClassVar[str] = "copy"
    direction: Direction
    stream: StreamName
    memory: Literal["pinned", "pageable"] = "pinned"
    blocking: bool = False
    reads: Buffers = ()
    writes: Buffers = ()
    moves: Moves = ()

    def offers(self) -> tuple[Offer, ...]:
        return (("launch", DEVICE_COPY),) if self.direction == "d2d" else ()

    def guard(self, state: State, me: Actor) -> Wait | None:
        if isinstance(state.thread(me).local, Pending):  # to return it needs no lock
            return pending(state, me, "copies and waits for it")
        stream = stream_of(state, me, self.stream)
        full = room(state, me, stream) if self.direction == "d2d" else None
        return context_lock(state, me) or full

    def effect(self, state: State, me: Actor) -> State:
        if isinstance(state.thread(me).local, Pending):
            return state.advance(me)
        stream = stream_of(state, me, self.stream)
        if self.direction == "d2d" and is_full(state, stream):
            return hold_making(state, me)
        state = release_making(state, me)
        missing = has_no_block(state, me.rank, (*self.reads, *self.writes))
        if missing is not None:
            return state.fail(me, missing)
        state = submit(state, me, stream, self._work(state, me.rank))
        if self.blocking or (self.memory == "pageable" and self.direction == "d2h"):
            return capture(state, me, (stream,))
        return state.advance(me)

    def _work(self, state: State, rank: int) -> StreamOperation:
        reads, writes = (in_blocks(state, rank, names) for names in (self.reads, self.writes))
        if self.direction == "d2d":
            return RunKernel(DEVICE_COPY, 0, reads, writes, self.moves)
        return Transfer(self.direction, reads, writes, self.moves)


@operation
@dataclass(frozen=True, slots=True)
class Access(HostStep):
    """Host: read or write memory that copies use (a pinned staging buffer).

    specs/semantics.md#access
    """

    kind: ClassVar[str] = "access"
    reads: Buffers = ()
    writes: Buffers = ()

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        missing = has_no_block(state, me.rank, (*self.reads, *self.writes))
        return state.advance(me) if missing is None else state.fail(me, missing)
