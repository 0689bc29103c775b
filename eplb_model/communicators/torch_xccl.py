"""`torch_xccl`: as `torch_nccl`, but a peer's number is read as a global rank (0.33, XPU; X6).

A number that is no member of the group raises when the operation is added; another member's number
reaches that one.  After an error the list is empty.  specs/protocols.md#communicators
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators import torch_nccl
from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.plan import Share
from eplb_model.communicators.wire import Members, operations
from eplb_model.ops.moves import Move
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement


def transfer(
    share: Share,
    layer: int,
    taken: Sequence[Move] = (),
    *,
    members: Members | None = None,
    fails_at: int | None = None,
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is what the exchange moves into the buffer (`wire.arrivals` with global
    peers); members are the global ranks of the group, None where they are the group's own.
    """
    peers = [each.operation.peer for each in operations(share, layer)]
    strangers = [] if members is None else [peer for peer in peers if peer not in members]
    if strangers:
        yield from local_moves(share, layer)
        yield Raise(f"global rank {strangers[0]} is not in the group {list(members or ())}")
        return
    yield from torch_nccl.transfer(share, layer, taken, fails_at=fails_at)
