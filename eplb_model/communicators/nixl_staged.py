"""`nixl` of vLLM 0.20: rows are packed, the peers read the packed rows, and unpack them.

Rules (specs/protocols.md#communicators; X1, X3):
- The host waits for its stream, also if it has packed nothing; then every rank meets every other
  one, also with nothing to do; then each reads what its peers packed for it, polls, and unpacks.
- The barrier says that the peers have packed.  Nothing says that they have been read: the pack of
  the next layer relies on something else, which the sync path does not have.
- A row that can't be packed raises before the barrier, which the peers then wait in; a read that
  raises leaves those before it to themselves (X4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.meeting import ENGINE, Fence, fence_if
from eplb_model.communicators.names import BUFFER, held, staged, weights
from eplb_model.communicators.plan import Receive, Send, Share
from eplb_model.communicators.wire import Members
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Variable
from eplb_model.ops.moves import Move, PeerVariable
from eplb_model.ops.one_sided import Read, WaitReads
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.threads import Raise
from eplb_model.scenario import Statement

PACKED, FETCHED = "send_buffer", "receive_buffer"


def transfer(
    share: Share,
    layer: int,
    taken: Sequence[Move] = (),
    *,
    fence: Fence = "before",
    members: Members | None = None,
    fails_at: int | None = None,
) -> Iterator[Statement]:
    """The statements of one rank for one layer.

    Parameters: taken is not used, since a reader finds its rows by their places in the pack; fence
    says where all ranks meet; members are the global ranks of the group; fails_at is the operation
    that raises: a row to pack or, counted on from these, a read.
    """
    yield from local_moves(share, layer)
    if fails_at is not None and fails_at < len(share.sends):
        yield Raise(f"row {fails_at} of layer {layer} does not fit")
        return
    if share.sends:
        yield _pack(share, layer)
    yield StreamSynchronize("side")
    yield from fence_if(fence == "before")
    reads = tuple(_reads(share, members))
    if fails_at is not None:
        yield from reads[: fails_at - len(share.sends)]
        yield Raise(f"a read of layer {layer} failed")
        return
    yield from reads
    if reads:
        yield WaitReads(ENGINE)
    yield from fence_if(fence == "after")
    if reads:
        yield _unpack(share)


def _pack(share: Share, layer: int) -> Copy:
    moves = tuple(
        Move(_packed(peer, n), Variable(held(layer, send.row)))
        for peer in _peers(share.sends)
        for n, send in enumerate(share.sends_to(peer))
    )
    return Copy("d2d", "side", reads=(weights(layer),), writes=(PACKED,), moves=moves)


def _reads(share: Share, members: Members | None) -> Iterator[Read]:
    """One read for each peer, of all rows that it packed for this rank."""
    for peer in _peers(share.receives):
        rank = peer if members is None else members[peer]
        moves = tuple(
            Move(_fetched(peer, n), PeerVariable(rank, _packed(share.rank, n)))
            for n, _ in enumerate(share.receives_from(peer))
        )
        yield Read(rank, PACKED, FETCHED, ENGINE, moves)


def _unpack(share: Share) -> Copy:
    moves = tuple(
        Move(staged(receive.row), Variable(_fetched(peer, n)))
        for peer in _peers(share.receives)
        for n, receive in enumerate(share.receives_from(peer))
    )
    return Copy("d2d", "side", reads=(FETCHED,), writes=(BUFFER,), moves=moves)


def _peers(transfers: Sequence[Send | Receive]) -> list[int]:
    return sorted({each.peer for each in transfers})


def _packed(peer: int, number: int) -> str:
    return f"packed_{peer}_{number}"


def _fetched(peer: int, number: int) -> str:
    return f"fetched_{peer}_{number}"
