"""The exchange of expert weights: two maps, a plan, a communicator, and rows that move.

Rules: the plan is the model's (`eplb_model.communicators`, P1 to P8), so all ranks that have the
same maps pair up.  Per layer: local moves into the buffer, sends, receives, `execute`; then the
commit from the buffer into the weights, in the order of the stream and without a wait of the host.
Rows that nobody holds are committed as they lie in the buffer (P6), unless the plan is strict.
An engine that belongs to no stream (`bypasses_streams`) is kept off rows that a stream still uses.

A layer is a list of tensors, rows first; all of them have as many rows as the rank has experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch

from eplb_model.communicators.batches import batches
from eplb_model.communicators.plan import EMPTY, Ids, Plan, Share, plan
from eplb_real.communicators.base import EplbCommunicator
from eplb_real.streams import Stream, on_stream, synchronize

Layer: TypeAlias = Sequence[torch.Tensor]
Content: TypeAlias = Callable[[int, int], torch.Tensor]  # expert, place of the tensor -> row


class WrongRow(NamedTuple):
    """A row whose weights are not those of its expert."""

    row: int
    expert: int
    tensor: int  # its place in the layer

    def __str__(self) -> str:
        return f"row {self.row} does not hold expert {self.expert} in tensor {self.tensor}"


def transfer_layer(
    planned: Plan,
    rank: int,
    old: Ids,
    weights: Layer,
    buffer: Layer,
    communicator: EplbCommunicator,
    *,
    layer: int = 0,
    stream: Stream | None = None,
    batched: bool = False,
) -> None:
    """Fill the buffer with the rows that are new to a rank.

    Parameters: planned from `plan(old, new, ranks)`; stream is where local rows are copied, by
    default the current one; batched carries the plan out in the batches of P8, one `execute` each.
    Raises ValueError for tensors of another number of rows, and what the communicator raises.
    """
    share = planned.shares[rank]
    _require_rows(planned.rows, weights, buffer)
    with on_stream(stream):
        for move in share.moves:
            for held, staged in zip(weights, buffer, strict=True):
                staged[move.row].copy_(held[move.source], non_blocking=True)
    for part in _parts(planned, share) if batched else [share]:
        communicator.set_transfer_context(old, layer)
        for send in part.sends:
            communicator.add_send([held[send.row] for held in weights], send.peer, send.expert)
        for receive in part.receives:
            rows = [staged[receive.row] for staged in buffer]
            communicator.add_recv(rows, receive.peer, receive.expert)
        communicator.execute()


def move_from_buffer(share: Share, weights: Layer, buffer: Layer) -> None:
    """Commit a layer: changed rows from the buffer, then duplicates from their primary row (P7)."""
    for held, staged in zip(weights, buffer, strict=True):
        for row in share.committed:
            held[row].copy_(staged[row], non_blocking=True)
        for duplicate in share.duplicates:
            held[duplicate.row].copy_(held[duplicate.primary], non_blocking=True)


def rearrange(
    old: Sequence[Ids],
    new: Sequence[Ids],
    weights: Sequence[Layer],
    buffer: Layer,
    communicator: EplbCommunicator,
    *,
    rank: int,
    ranks: int,
    strict: bool = False,
    batched: bool = False,
) -> None:
    """Exchange all layers one after the other on the calling thread and its current stream.

    Parameters: old and new of shape (layers, ranks * rows); weights by layer.
    Raises ValueError for another number of layers, for maps that make no plan, and in strict mode
    for an expert that nobody holds, before anything moves.
    """
    if not len(old) == len(new) == len(weights):
        raise ValueError(
            f"maps of {len(old)} and {len(new)} layers, weights of {len(weights)}; "
            "expected the same number"
        )
    plans = [plan(*maps, ranks, strict=strict) for maps in zip(old, new, strict=True)]
    if communicator.bypasses_streams:
        synchronize(None, _device(buffer))  # peers read what is really there,
        communicator.execute()  # and not before all ranks have come so far
    for layer, (planned, held) in enumerate(zip(plans, weights, strict=True)):
        transfer_layer(
            planned, rank, old[layer], held, buffer, communicator, layer=layer, batched=batched
        )
        move_from_buffer(planned.shares[rank], held, buffer)
        if communicator.bypasses_streams:
            synchronize(None, _device(buffer))  # before the next layer's rows arrive in it


def check_weights(ids: Ids, weights: Layer, content: Content) -> tuple[WrongRow, ...]:
    """The rows that do not hold the expert that the map says, by row, then tensor.

    Parameters: ids of this rank's rows; content gives what an expert's row shall be, on any device.
    """
    return tuple(
        WrongRow(row, expert, place)
        for row, expert in enumerate(ids)
        if expert != EMPTY
        for place, held in enumerate(weights)
        if not _same(held[row], content(expert, place))
    )


def _device(layer: Layer) -> torch.device:
    return layer[0].device if layer else torch.device("cpu")


def _same(row: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal bit by bit, so that a NaN equals itself."""
    one, other = (each.detach().cpu().contiguous().reshape(-1) for each in (row, expected))
    if one.dtype != other.dtype or one.numel() != other.numel():
        return False
    alike: bool = torch.equal(one.view(torch.uint8), other.view(torch.uint8))
    return alike


def _parts(planned: Plan, share: Share) -> Iterator[Share]:
    """A rank's share of each batch, empty where it has no part in it (P8)."""
    for batch in batches(planned):
        sent = {
            (flow.receiver, e) for flow in batch if flow.sender == share.rank for e in flow.experts
        }
        received = {e for flow in batch if flow.receiver == share.rank for e in flow.experts}
        yield Share(
            share.rank,
            sends=tuple(each for each in share.sends if (each.peer, each.expert) in sent),
            receives=tuple(each for each in share.receives if each.expert in received),
        )


def _require_rows(rows: int, weights: Layer, buffer: Layer) -> None:
    shapes = [tuple(tensor.shape) for tensor in weights]
    if shapes != [tuple(tensor.shape) for tensor in buffer] or any(s[0] != rows for s in shapes):
        raise ValueError(
            f"weights of {shapes}, a buffer of {[tuple(t.shape) for t in buffer]}; "
            f"expected the same shapes, with {rows} rows"
        )
