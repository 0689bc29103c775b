"""`torch_gloo`: rows are staged through host memory, and the host waits for the whole exchange.

Rules (specs/protocols.md#communicators):
- The copies to the host are waited for before anything is sent: the staging buffer is pinned.
- Receives are copied to the device on the worker's stream; the host does not wait for that.
- A rank without sends and receives takes no part.
- The values that travel are the tags of the rows, so wrong rows are seen, not only missing ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.local_moves import local_moves, staged_moves
from eplb_model.communicators.names import held, staged, weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Variable
from eplb_model.ops.point_to_point import Irecv, Isend, WaitRequests
from eplb_model.scenario import Statement

GROUP = "eplb_cpu"


def transfer(share: Share, layer: int) -> Iterator[Statement]:
    """The statements of one rank for one layer."""
    yield from local_moves(share, layer)
    yield from staged_moves(share, layer)
    if share.sends:
        yield Copy("d2h", "side", blocking=True, reads=(weights(layer),), writes=("sent",))
    for send in share.sends:
        yield Isend(GROUP, send.peer, Variable(held(layer, send.row)))
    for receive in share.receives:
        yield Irecv(GROUP, receive.peer, staged(receive.row))
    if share.sends or share.receives:
        yield WaitRequests()
    if share.receives:
        yield Copy("h2d", "side", reads=("received",), writes=("buffer",))
