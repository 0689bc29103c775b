"""`torch_nccl`: one grouped exchange on the process group's internal stream, joined by events.

Rules (specs/protocols.md#communicators):
- The internal stream waits for the worker's before, the worker's for it after; the host for
  neither (N26).
- A rank without sends and receives takes no part.
- An operation that is refused when it is added leaves those before it in the list: they go out
  with the next layer (X4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.names import BUFFER, weights
from eplb_model.communicators.plan import Share
from eplb_model.communicators.wire import Queued, operations
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.launch import Launch
from eplb_model.ops.moves import Move
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement


def transfer(
    share: Share,
    layer: int,
    taken: Sequence[Move] = (),
    *,
    fails_at: int | None = None,
    queued: Sequence[Queued] = (),
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is what the exchange moves into the buffer (`wire.arrivals`); fails_at is the
    operation, sends before receives, that is refused; queued is what is left in the list from
    before.
    """
    yield from local_moves(share, layer)
    if fails_at is not None:
        yield Raise(f"operation {fails_at} of layer {layer} was refused")
        return
    going = (*queued, *operations(share, layer))
    if not going:
        return
    read = sorted({weights(each.layer) for each in going})
    yield RecordEvent("before_exchange", "side")
    yield StreamWaitEvent("internal", "before_exchange")
    yield Launch("exchange", "internal", reads=tuple(read), writes=(BUFFER,), moves=tuple(taken))
    yield RecordEvent("after_exchange", "internal")
    yield StreamWaitEvent("side", "after_exchange")


def left_queued(share: Share, layer: int, fails_at: int) -> tuple[Queued, ...]:
    """What a refused operation leaves for the next layer: those that were added before it."""
    return operations(share, layer)[:fails_at]
