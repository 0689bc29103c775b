"""The caching allocator of a process: tensors get blocks, and give them back while the GPU works.

Rules (specs/semantics.md#alloc; A1-A5):
- A block belongs for ever to the pool of the stream that it was first allocated on.
- A dropped block is free at once.  The next tensor of that stream may have it: work on one stream
  is in order, so nothing is waited for.  No other stream is looked at.
- Streams that were recorded for a block are: at the drop the allocator captures what they hold, and
  the block is free when that has passed.  `alloc` looks, and never waits for it.
- Without a free block in the pool there is a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from eplb_model.ops.launch import may_make
from eplb_model.ops.registry import HostStep, KnownStream, NewTensor, TensorName, operation
from eplb_model.ops.tensors import Tensor, has_no_block
from eplb_model.ops.thread_state import stream_of
from eplb_model.outcome import Actor, Wait
from eplb_model.state import DONE, Failure, Mark, State, put

BLOCKS = "(blocks)"  # where memory has the blocks of a rank


class Block(NamedTuple):
    """A block: its pool, and who still needs it."""

    pool: int  # the stream that it was allocated on
    held: bool = True  # by a tensor
    recorded: frozenset[int] = frozenset()  # streams to be waited for at the drop; none if free
    marks: frozenset[Mark] = frozenset()  # what these held at the drop; none while held

    @property
    def is_free(self) -> bool:
        """Whether it may be handed out."""
        return not self.held and not self.marks

    def passed(self, stream: int) -> Block:
        """The same block after an item has left a stream."""
        if all(mark.stream != stream for mark in self.marks):
            return self
        return self._replace(marks=frozenset(m.passed(stream) for m in self.marks) - {DONE})


class Blocks(NamedTuple):
    """All blocks of a rank, by number."""

    blocks: tuple[Block, ...] = ()

    def passed(self, stream: int) -> Blocks:
        """The same blocks after an item has left a stream."""
        blocks = tuple(block.passed(stream) for block in self.blocks)
        changed = any(map(lambda new, old: new is not old, blocks, self.blocks))
        return Blocks(blocks) if changed else self

    def free(self, pool: int) -> int | None:
        """The lowest free block of a pool."""
        numbers = range(len(self.blocks))
        return next((n for n in numbers if self._is_free(n, pool)), None)

    def _is_free(self, number: int, pool: int) -> bool:
        return self.blocks[number].pool == pool and self.blocks[number].is_free

    def with_block(self, number: int, block: Block) -> Blocks:
        """The same blocks with one changed, or with a new one."""
        if number == len(self.blocks):
            return Blocks((*self.blocks, block))
        return Blocks(put(self.blocks, number, block))


@operation
@dataclass(frozen=True, slots=True)
class Alloc(HostStep):
    """Host: a tensor gets a block from the pool of a stream.

    specs/semantics.md#alloc
    """

    kind: ClassVar[str] = "alloc"
    tensor: NewTensor
    stream: KnownStream

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None if self._free(state, me) is not None else may_make(state, me)

    def effect(self, state: State, me: Actor) -> State:
        mine = _block_of(state, me, self.tensor)
        if mine is not None:
            return state.fail(me, Failure("misuse", f"tensor {self.tensor} has block {mine}"))
        blocks = blocks_of(state, me.rank)
        found = self._free(state, me)
        number = len(blocks.blocks) if found is None else found
        block = Block(stream_of(state, me, self.stream).slot)
        state = state.write(me.rank, BLOCKS, blocks.with_block(number, block))
        return state.write(me.rank, self.tensor, Tensor(number)).advance(me)

    def _free(self, state: State, me: Actor) -> int | None:
        return blocks_of(state, me.rank).free(stream_of(state, me, self.stream).slot)


@operation
@dataclass(frozen=True, slots=True)
class Drop(HostStep):
    """Host: the last reference to a tensor goes; its block returns to its pool.

    specs/semantics.md#drop
    """

    kind: ClassVar[str] = "drop"
    tensor: TensorName

    def guard(self, state: State, me: Actor) -> Wait | None:
        number = _block_of(state, me, self.tensor)
        if number is None or not blocks_of(state, me.rank).blocks[number].recorded:
            return None
        return may_make(state, me)

    def effect(self, state: State, me: Actor) -> State:
        number = _block_of(state, me, self.tensor)
        if number is None:
            return _misused(state, me, self.tensor)
        blocks = blocks_of(state, me.rank)
        block = blocks.blocks[number]
        streams = (state.world.streams[slot] for slot in block.recorded)
        marks = frozenset(state.mark(stream) for stream in streams) - {DONE}
        dropped = Block(block.pool, held=False, marks=marks)
        state = state.write(me.rank, BLOCKS, blocks.with_block(number, dropped))
        return state.write(me.rank, self.tensor, Tensor()).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class RecordStream(HostStep):
    """Host: the block of a tensor also waits, at the drop, for what a stream holds then.

    specs/semantics.md#record-stream
    """

    kind: ClassVar[str] = "record_stream"
    tensor: TensorName
    stream: KnownStream

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        number = _block_of(state, me, self.tensor)
        if number is None:
            return _misused(state, me, self.tensor)
        blocks = blocks_of(state, me.rank)
        block = blocks.blocks[number]
        slot = stream_of(state, me, self.stream).slot
        if slot in (block.pool, *block.recorded):  # its own stream is in order anyway (A4)
            return state.advance(me)
        recorded = block._replace(recorded=block.recorded | {slot})
        return state.write(me.rank, BLOCKS, blocks.with_block(number, recorded)).advance(me)


def blocks_of(state: State, rank: int) -> Blocks:
    """All blocks of a rank."""
    blocks: Blocks = state.read(rank, BLOCKS)
    return blocks


def _block_of(state: State, me: Actor, tensor: str) -> int | None:
    value: Tensor = state.read(me.rank, tensor)
    return value.block


def _misused(state: State, me: Actor, tensor: str) -> State:
    failure = has_no_block(state, me.rank, (tensor,))
    assert failure is not None, f"[model bug] tensor {tensor} has a block"
    return state.fail(me, failure)
