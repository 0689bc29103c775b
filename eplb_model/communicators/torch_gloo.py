"""`torch_gloo`: rows are staged through host memory, and the host waits for the whole exchange.

Rules (specs/protocols.md#communicators):
- The copies to the host are waited for before anything is sent: the staging buffer is pinned.
- Receives are copied to the device on the worker's stream; the host does not wait for that.
- A rank without sends and receives takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Value
from eplb_model.ops.point_to_point import Irecv, Isend, WaitRequests
from eplb_model.scenario import Statement

GROUP = "eplb_cpu"


def transfer(share: Share, weights: str) -> Iterator[Statement]:
    """The statements of one rank for one layer; `weights` is the buffer that holds the layer."""
    yield from local_moves(share, weights)
    if share.sends:
        yield Copy("d2h", "side", blocking=True, reads=(weights,), writes=("sent",))
    for send in share.sends:
        yield Isend(GROUP, send.peer, Value(f"expert {send.expert}"))
    for receive in share.receives:
        yield Irecv(GROUP, receive.peer, f"row_{receive.row}")
    if share.sends or share.receives:
        yield WaitRequests()
    if share.receives:
        yield Copy("h2d", "side", reads=("received",), writes=("buffer",))
