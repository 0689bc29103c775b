"""`nixl` of vLLM 0.33: rows are read straight out of the peer's weights into the buffer.

Rules (specs/protocols.md#communicators; X1-X5):
- A read is posted as soon as it is added, whatever the streams are doing; a send is nothing.
- The host polls until its reads are done; then every rank meets every other one, also with nothing
  to do, so that weights are not written while somebody reads them.
- A read that raises leaves those before it running, and the rank does not come to the fence (X4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.meeting import ENGINE, Fence, fence_if
from eplb_model.communicators.names import BUFFER, weights
from eplb_model.communicators.plan import Share
from eplb_model.communicators.wire import Members
from eplb_model.ops.moves import Move
from eplb_model.ops.one_sided import Read, WaitReads
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement


def transfer(
    share: Share,
    layer: int,
    taken: Sequence[Move] = (),
    *,
    fence: Fence = "after",
    members: Members | None = None,
    fails_at: int | None = None,
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is what the reads move, in the order of the receives (`wire.fetched`); fence
    says where all ranks meet; members are the global ranks of the group; fails_at is the operation
    that raises, sends (which do nothing) before receives.
    """
    yield from local_moves(share, layer)
    yield from fence_if(fence == "before")
    reads = tuple(_reads(share, layer, taken, members))
    if fails_at is not None:
        yield from reads[: max(0, fails_at - len(share.sends))]
        yield Raise(f"operation {fails_at} of layer {layer} failed")
        return
    yield from reads
    if reads:
        yield WaitReads(ENGINE)
    yield from fence_if(fence == "after")


def _reads(
    share: Share, layer: int, taken: Sequence[Move], members: Members | None
) -> Iterator[Read]:
    for number, receive in enumerate(share.receives):
        rank = receive.peer if members is None else members[receive.peer]
        yield Read(rank, weights(layer), BUFFER, ENGINE, tuple(taken[number : number + 1]))
