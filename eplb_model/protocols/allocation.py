"""What memory the exchange of a layer uses in the sync path, and how long it is kept.

Rules (specs/protocols.md#sync; A1 to A5):
- `shared`: one buffer for all layers, which lives longer than the call.
- Else the buffer is a fresh tensor of the caller's stream for each layer, and a batched exchange
  sends from a fresh copy of the rows.  Who has nothing to receive does not wait for what it sends.
  All references go once the copies of the layer are enqueued.
- `recording`: the stream on which a batched exchange works is recorded first.  `plain`: it is not,
  as in older batched sends (pytorch#76861).  No stream can be recorded for what an engine does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from eplb_model.communicators.names import BUFFER
from eplb_model.communicators.plan import Share
from eplb_model.ops.allocator import Alloc, Drop, RecordStream
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import StreamWaitEvent
from eplb_model.ops.launch import Launch
from eplb_model.scenario import Statement

Allocation: TypeAlias = Literal["shared", "recording", "plain"]

POOL = "compute"  # the stream of the caller, which allocates
BATCHED = "internal"  # where a batched exchange works
PACKED = "packed"


def in_fresh_tensors(transfer: Sequence[Statement], share: Share) -> Iterator[Statement]:
    """The transfers of a layer into a fresh buffer, with sends out of a fresh copy."""
    yield Alloc(BUFFER, POOL)
    for launch in _batches(transfer):
        if share.sends:
            yield Alloc(PACKED, POOL)
            yield Copy("d2d", POOL, reads=launch.reads, writes=(PACKED,))
    for statement in transfer:
        match statement:
            case Launch(stream=stream) if stream == BATCHED and share.sends:
                writes = statement.writes if share.receives else ()
                yield replace(statement, reads=(PACKED,), writes=writes)
            case StreamWaitEvent(stream=stream) if stream != BATCHED and not share.receives:
                continue
            case _:
                yield statement


def dropped(
    transfer: Sequence[Statement], share: Share, allocation: Allocation
) -> Iterator[Statement]:
    """The last references of a layer go."""
    batched = any(True for _ in _batches(transfer))
    for tensor in (BUFFER, PACKED) if batched and share.sends else (BUFFER,):
        if batched and allocation == "recording":
            yield RecordStream(tensor, BATCHED)
        yield Drop(tensor)


def _batches(transfer: Sequence[Statement]) -> Iterator[Launch]:
    for statement in transfer:
        if isinstance(statement, Launch) and statement.stream == BATCHED:
            yield statement
