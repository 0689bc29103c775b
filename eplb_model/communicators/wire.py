"""What ranks ask of each other for a layer, and which row arrives where.

Rules:
- The operations of a rank are its sends, then its receives; per ordered pair the n-th receive
  takes the n-th send, whatever they are called (P5).
- A peer is a rank of the group; `members` are the global ranks of the group, in its order.  Where
  the number is read as a global rank all the same (X6), both sides mean somebody else.
- What an operation is for stays with it: one that was queued for another layer moves its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from eplb_model.communicators.names import held, staged
from eplb_model.communicators.plan import Ids, Receive, Send, Share
from eplb_model.ops.moves import Move, PeerVariable

Members: TypeAlias = Sequence[int]  # global ranks, by rank of the group


class Queued(NamedTuple):
    """One operation that a communicator was given."""

    layer: int
    operation: Send | Receive


def operations(share: Share, layer: int) -> tuple[Queued, ...]:
    """What a rank's caller adds for a layer, in order.

    >>> from eplb_model.communicators.plan import plan
    >>> first, second = plan([0, 1], [0, 0], ranks=2).shares
    >>> operations(first, 0)
    (Queued(layer=0, operation=Send(peer=1, expert=0, row=0)),)
    """
    both: tuple[Send | Receive, ...] = (*share.sends, *share.receives)
    return tuple(Queued(layer, each) for each in both)


def arrivals(
    lists: Sequence[Sequence[Queued]],
    rank: int,
    members: Members | None = None,
    *,
    peer_is_global: bool = False,
) -> tuple[Move, ...]:
    """What an exchange moves into the buffer of a rank, given the list of every rank.

    Parameters: lists by rank of the group.  A receive without a send moves nothing.

    >>> from eplb_model.communicators.plan import plan
    >>> shares = plan([0, 1], [0, 0], ranks=2).shares
    >>> print(*arrivals([operations(share, 0) for share in shares], 1))
    staged_0 <- 0.held_0_0
    """
    members = range(len(lists)) if members is None else members
    called = members[rank] if peer_is_global else rank
    found = []
    for number in dict.fromkeys(each.operation.peer for each in _receives(lists[rank])):
        if peer_is_global and number not in members:
            continue
        peer = members.index(number) if peer_is_global else number
        receives = [each for each in _receives(lists[rank]) if each.operation.peer == number]
        sends = [each for each in _sends(lists[peer]) if each.operation.peer == called]
        for receive, send in zip(receives, sends, strict=False):
            source = PeerVariable(members[peer], held(send.layer, send.operation.row))
            found.append(Move(staged(receive.operation.row), source))
    return tuple(found)


def fetched(
    share: Share, layer: int, old: Ids, rows: int, members: Members | None = None
) -> tuple[Move, ...]:
    """What reads move that find the row by the expert, in the order of the receives (X5).

    Of several rows with the expert on the sender it is the last one.

    >>> from eplb_model.communicators.plan import plan
    >>> old = [5, 5, 0, 1]
    >>> print(*fetched(plan(old, [5, 5, 5, 1], ranks=2).shares[1], 0, old, rows=2))
    staged_0 <- 0.held_0_1
    """
    found = []
    for receive in share.receives:
        mine = old[receive.peer * rows : receive.peer * rows + rows]
        row = max(row for row, expert in enumerate(mine) if expert == receive.expert)
        rank = receive.peer if members is None else members[receive.peer]
        found.append(Move(staged(receive.row), PeerVariable(rank, held(layer, row))))
    return tuple(found)


def _sends(each_of: Sequence[Queued]) -> list[Queued]:
    return [each for each in each_of if isinstance(each.operation, Send)]


def _receives(each_of: Sequence[Queued]) -> list[Queued]:
    return [each for each in each_of if isinstance(each.operation, Receive)]
