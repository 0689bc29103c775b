"""`torch_gloo`: rows are staged through host memory, and the host waits for the whole exchange.

Rules (specs/protocols.md#communicators):
- The stream is waited for before anything is posted, also without copies to the host: the staging
  buffer is pinned.
- Receives are copied to the device on the worker's stream; the host does not wait for that.
- A rank without sends and receives takes no part.
- A request that raises leaves those before it posted and unwaited, and nothing is copied to the
  device: the buffer keeps the rows of the layer before (X4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.names import BUFFER, held, staged, weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Variable
from eplb_model.ops.moves import Move
from eplb_model.ops.point_to_point import Irecv, Isend, WaitRequests
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement

GROUP = "eplb_cpu"


def transfer(
    share: Share, layer: int, taken: Sequence[Move] = (), *, fails_at: int | None = None
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is not used, since what arrives is what the requests carry; fails_at is the
    request, sends before receives, that raises, or their number if the wait does.
    """
    yield from local_moves(share, layer)
    if share.sends:
        moves = (Move(_sent(n), Variable(held(layer, s.row))) for n, s in enumerate(share.sends))
        yield Copy(
            "d2h",
            "side",
            blocking=True,
            reads=(weights(layer),),
            writes=("sent",),
            moves=tuple(moves),
        )
    elif share.receives:
        yield Copy("d2h", "side", blocking=True)  # of nothing: what remains is the wait
    posted = _requests(share)
    yield from posted[:fails_at]
    if fails_at is not None:
        yield Raise(f"request {fails_at} of layer {layer} failed")
        return
    if posted:
        yield WaitRequests()
    if share.receives:
        moves = (Move(staged(r.row), Variable(_got(n))) for n, r in enumerate(share.receives))
        yield Copy("h2d", "side", reads=("received",), writes=(BUFFER,), moves=tuple(moves))


def _requests(share: Share) -> tuple[Isend | Irecv, ...]:
    return (
        *(Isend(GROUP, s.peer, Variable(_sent(n))) for n, s in enumerate(share.sends)),
        *(Irecv(GROUP, r.peer, _got(n)) for n, r in enumerate(share.receives)),
    )


def _sent(number: int) -> str:
    return f"sent_{number}"


def _got(number: int) -> str:
    return f"received_{number}"
