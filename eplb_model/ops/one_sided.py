"""One-sided reads: an engine fetches memory of a peer, which takes no part in it.

Rules (specs/semantics.md#read; X1-X3):
- An engine is an actor of a rank, brought to life by the operation that names it.  It is no stream
  of the GPU: it needs no SMs, has no part in hardware queues or launch queues, takes no lock of the
  driver, and no synchronise of the device waits for it.
- An engine does its reads one after the other.  Nothing makes a read wait for a stream, of this
  rank or of the peer: who needs that has to wait on the host before it posts.
- A thread that goes on without `wait_reads` has let go of reads that may still run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.moves import Moves, moved
from eplb_model.ops.registry import (
    BufferName,
    EngineName,
    HostStep,
    StreamStep,
    operation,
    stream_operation,
)
from eplb_model.ops.tensors import Buffer, has_no_block, in_blocks
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State


@stream_operation
@dataclass(frozen=True, slots=True)
class RemoteRead(StreamStep):
    """Engine: a read of a peer's memory ends.

    specs/semantics.md#remote-read
    """

    kind: ClassVar[str] = "remote_read"
    peer: int
    source: Buffer  # of the peer
    target: Buffer
    moves: Moves = ()

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """The buffers of this rank that it writes; it reads none of this rank."""
        return (self.target,)

    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor, choice: int | None) -> State:
        return moved(state, me, self.moves).pop(me)


@operation
@dataclass(frozen=True, slots=True)
class Read(HostStep):
    """Host: post a read of a peer's buffer into one of this rank, and go on.

    specs/semantics.md#read
    """

    kind: ClassVar[str] = "read"
    peer: int  # a global rank
    source: BufferName
    target: BufferName
    engine: EngineName
    moves: Moves = ()

    @property
    def stream(self) -> str:
        """The actor that does it."""
        return self.engine

    @property
    def writes(self) -> tuple[str, ...]:
        """The buffers of this rank that the work writes."""
        return (self.target,)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        if self.peer not in range(len(state.world.ranks)):
            return state.fail(me, Failure("misuse", f"a read of rank {self.peer}, which is none"))
        missing = has_no_block(state, me.rank, (self.target,))
        missing = missing or has_no_block(state, self.peer, (self.source,))
        if missing is not None:
            return state.fail(me, missing)
        (source,) = in_blocks(state, self.peer, (self.source,))
        (target,) = in_blocks(state, me.rank, (self.target,))
        work = RemoteRead(self.peer, source, target, self.moves)
        engine = state.world.stream(me.rank, self.engine)
        return state.enqueue(engine, me, work).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class WaitReads(HostStep):
    """Host: poll until an engine of this rank has done all the reads that it was given.

    specs/semantics.md#wait-reads
    """

    kind: ClassVar[str] = "wait_reads"
    engine: EngineName

    def guard(self, state: State, me: Actor) -> Wait | None:
        engine = state.world.stream(me.rank, self.engine)
        if state.head(engine) is None:
            return None
        return Wait(lambda: (f"polls the reads of {engine}", ((engine,),)))

    def effect(self, state: State, me: Actor) -> State:
        return state.advance(me)
