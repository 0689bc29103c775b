"""What becomes of the weights: a small interpreter of plans, the reference for any real exchange.

Rule P7: commit copies changed local and primary rows from the buffer, then duplicates from their
primary row, all in the order of the stream.  A row that becomes empty keeps its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from eplb_model.communicators.plan import Plan, Share

Tag = TypeVar("Tag")


def committed(
    weights: Sequence[Sequence[Tag]],
    planned: Plan,
    buffers: Sequence[Sequence[Tag | None]] | None = None,
) -> tuple[tuple[Tag | None, ...], ...]:
    """The weights of every rank after transfer and commit: the reference for any real exchange.

    Parameters: weights of shape (ranks, rows), anything that tells contents apart; buffers of the
    same shape, what the buffers held before, all None by default.
    The wire pairs the k-th send of a pair with its k-th receive, whatever they are called: plans
    that name different experts put one expert's weights into another one's row (P5).
    Raises ValueError for another shape, and for a pair whose lists have different lengths: such an
    exchange does not end.  Source: P2, P6, P7.

    >>> from eplb_model.communicators.plan import plan
    >>> committed([["a", "b"], ["c", "d"]], plan([0, 1, 2, 3], [0, 2, 2, 1], ranks=2))
    (('a', 'c'), ('c', 'b'))
    """
    shape = [planned.rows] * len(planned.shares)
    for name, rows in (("weights", weights), ("buffers", weights if buffers is None else buffers)):
        if list(map(len, rows)) != shape:
            raise ValueError(f"{name} of {list(map(len, rows))} rows by rank; expected {shape}")
    filled = [[None] * planned.rows for _ in shape] if buffers is None else buffers
    return tuple(
        _commit(share, weights[share.rank], _transfer(share, filled[share.rank], weights, planned))
        for share in planned.shares
    )


def _transfer(
    share: Share,
    buffer: Sequence[Tag | None],
    weights: Sequence[Sequence[Tag]],
    planned: Plan,
) -> list[Tag | None]:
    """A rank's buffer after its local moves and receives."""
    after = list(buffer)
    for move in share.moves:
        after[move.row] = weights[share.rank][move.source]
    for row, content in _arrivals(share, weights, planned):
        after[row] = content
    return after


def _arrivals(
    share: Share, weights: Sequence[Sequence[Tag]], planned: Plan
) -> Iterator[tuple[int, Tag]]:
    """Row of a rank's buffer, and what the peer puts there."""
    for peer in planned.shares:
        sends, receives = peer.sends_to(share.rank), share.receives_from(peer.rank)
        if len(sends) != len(receives):
            raise ValueError(
                f"rank {peer.rank} sends {len(sends)} rows to rank {share.rank}, which expects "
                f"{len(receives)}; expected lists of one length"
            )
        for send, receive in zip(sends, receives, strict=True):
            yield receive.row, weights[peer.rank][send.row]


def _commit(
    share: Share, weights: Sequence[Tag], buffer: Sequence[Tag | None]
) -> tuple[Tag | None, ...]:
    after: list[Tag | None] = list(weights)
    for row in share.committed:
        after[row] = buffer[row]
    for duplicate in share.duplicates:
        after[duplicate.row] = after[duplicate.primary]
    return tuple(after)
