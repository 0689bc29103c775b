"""`torch_nccl`: one grouped exchange on the process group's internal stream, joined by events.

The internal stream waits for the worker's before, the worker's for it after; the host for neither
(N26).  A rank without sends and receives takes no part.  specs/protocols.md#communicators
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.names import weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.launch import Launch
from eplb_model.scenario import Statement


def transfer(share: Share, layer: int) -> Iterator[Statement]:
    """The statements of one rank for one layer."""
    yield from local_moves(share, layer)
    if not (share.sends or share.receives):
        return
    yield RecordEvent("before_exchange", "side")
    yield StreamWaitEvent("internal", "before_exchange")
    yield Launch("exchange", "internal", reads=(weights(layer),), writes=("buffer",))
    yield RecordEvent("after_exchange", "internal")
    yield StreamWaitEvent("side", "after_exchange")
