"""Tensors, and the block of memory that each has: what an access to a tensor touches.

Rules (specs/semantics.md#alloc; A1, A5):
- A tensor is a name in the memory of a rank.  From `alloc` to `drop` it has one block.
- Buffers that operations name may be tensors.  The block is looked up at the call: work in a stream
  keeps it, whatever the name, or another name, stands for later.
- Two accesses to one block meet, whatever their tensors are called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, TypeAlias

from eplb_model.state import Failure, State


class Tensor(NamedTuple):
    """The value of a tensor in memory: the number of its block, None if it has none."""

    block: int | None = None


class BlockOf(NamedTuple):
    """A block as the operand of work, with the tensor that had it at the call."""

    number: int
    tensor: str

    @property
    def place(self) -> str:
        """The memory alone."""
        return f"block {self.number}"

    def __str__(self) -> str:
        return f"{self.place} ({self.tensor})"


Buffer: TypeAlias = str | BlockOf  # a name that stands for itself, or the block of a tensor


class Uses(NamedTuple):
    """What an access reads and what it writes."""

    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()


def tensors_in(state: State, rank: int, names: Collection[str]) -> list[str]:
    """Those of these buffers that are tensors."""
    if not names:
        return []
    slots = state.world.slots
    return [
        name
        for name in names
        if (rank, name) in slots and isinstance(state.read(rank, name), Tensor)
    ]


def in_blocks(state: State, rank: int, names: tuple[str, ...]) -> tuple[Buffer, ...]:
    """What these buffers stand for now; a tensor without a block stands for nothing."""
    tensors = tensors_in(state, rank, names)
    if not tensors:
        return names
    blocks = {name: state.read(rank, name).block for name in tensors}
    return tuple(
        BlockOf(blocks[name], name) if name in blocks else name
        for name in names
        if blocks.get(name, 0) is not None
    )


def has_no_block(state: State, rank: int, names: Collection[str]) -> Failure | None:
    """The error of using a tensor that was dropped, or never allocated."""
    for name in tensors_in(state, rank, names):
        if state.read(rank, name).block is None:
            return Failure("misuse", f"tensor {name} has no block")
    return None


def conflicts(one: Uses, other: Uses) -> list[str]:
    """The memory that both use and at least one writes, in words: `block 0 (grad, next)`."""
    mine, theirs = (*one.reads, *one.writes), (*other.reads, *other.writes)
    written = set(map(_place, (*one.writes, *other.writes)))
    places = written & set(map(_place, mine)) & set(map(_place, theirs))
    return sorted(_in_words(place, (*mine, *theirs)) for place in places)


def _place(buffer: Buffer) -> str:
    return buffer if isinstance(buffer, str) else buffer.place


def _in_words(place: str, buffers: Iterable[Buffer]) -> str:
    tensors = {b.tensor for b in buffers if isinstance(b, BlockOf) and b.place == place}
    return f"{place} ({', '.join(sorted(tensors))})" if tensors else place
