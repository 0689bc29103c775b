"""`pynccl`: one grouped exchange on the worker's own stream; the host waits for nothing.

A rank without sends and receives takes no part.  An operation that raises leaves the group open,
and nothing is launched; what joins the open group is not modelled here.
specs/protocols.md#communicators
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.names import BUFFER, weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.launch import Launch
from eplb_model.ops.moves import Move
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement


def transfer(
    share: Share, layer: int, taken: Sequence[Move] = (), *, fails_at: int | None = None
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is what the exchange moves into the buffer (`wire.arrivals`); fails_at is the
    operation, sends before receives, that raises.
    """
    yield from local_moves(share, layer)
    if fails_at is not None:
        yield Raise(f"operation {fails_at} of layer {layer} failed; the group is open")
    elif share.sends or share.receives:
        yield Launch(
            "exchange", "side", reads=(weights(layer),), writes=(BUFFER,), moves=tuple(taken)
        )
