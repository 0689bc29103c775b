"""The exchange plan of one layer: what each rank copies, sends, receives and commits.

Rank r of n owns rows r*k .. r*k+k-1 of a map from physical to logical experts; here rows are
counted within a rank, and -1 is a row without an expert.  Rules, every rank on its own:
- P1: the maps have equal lengths, which the ranks divide.
- P2: a row with the same expert in both maps is unchanged; where the rank holds the new expert in
  another old row, the first such row is copied.
- P3: each other expert that is new to the rank is received once, into its first row (the primary);
  further rows with it are duplicates of that row.
- P4: the senders S of an expert are the ranks that hold it, its receivers R those that lack it.
  With q = |R| // |S|, sender i serves R[i*q : (i+1)*q], and R[|S|*q + i] if there is one.
- P5: both sides list their transfers by ascending expert; a sender takes its row with the first
  copy.  So the two lists of an ordered pair agree if the two ranks had the same maps; nothing on
  the wire checks it.
- P6: an expert that nobody holds is not sent, but its primary row is committed all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

EMPTY = -1

Ids: TypeAlias = Sequence[int]  # logical experts by row, EMPTY for none


class Move(NamedTuple):
    """A copy within a rank: weights[source] -> buffer[row]."""

    source: int
    row: int


class Send(NamedTuple):
    """One row of this rank's weights, for a peer."""

    peer: int
    expert: int
    row: int


class Receive(NamedTuple):
    """One row of this rank's buffer, from a peer; the primary row of its expert."""

    peer: int
    expert: int
    row: int


class Duplicate(NamedTuple):
    """A copy at commit: weights[primary] -> weights[row]."""

    primary: int
    row: int


class Mismatch(NamedTuple):
    """An ordered pair of ranks whose lists differ: experts in the order of each list."""

    sender: int
    receiver: int
    sent: tuple[int, ...]
    received: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"rank {self.sender} sends experts {list(self.sent)} to rank {self.receiver}, "
            f"which expects {list(self.received)}"
        )


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank does with its rows.

    Each row is named once among `unchanged`, `moves`, `receives`, `duplicates`, `stale` and
    `emptied`.  Rows ascend, except in `sends` and `receives`, where experts do (P5).
    """

    rank: int
    unchanged: tuple[int, ...] = ()
    moves: tuple[Move, ...] = ()
    sends: tuple[Send, ...] = ()
    receives: tuple[Receive, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    stale: tuple[int, ...] = ()  # primary rows of experts that nobody holds (P6)
    emptied: tuple[int, ...] = ()  # rows that held something and shall hold nothing (P7)

    def sends_to(self, peer: int) -> tuple[Send, ...]:
        """What this rank sends to one peer, in order."""
        return tuple(send for send in self.sends if send.peer == peer)

    def receives_from(self, peer: int) -> tuple[Receive, ...]:
        """What this rank expects from one peer, in order."""
        return tuple(receive for receive in self.receives if receive.peer == peer)

    @property
    def committed(self) -> tuple[int, ...]:
        """The rows that commit copies from the buffer, ascending (P6, P7)."""
        primary = (receive.row for receive in self.receives)
        return tuple(sorted((*(move.row for move in self.moves), *primary, *self.stale)))


@dataclass(frozen=True, slots=True)
class Plan:
    """The shares of all ranks, in rank order, and how many rows each rank has."""

    rows: int
    shares: tuple[Share, ...]


def plan(old: Ids, new: Ids, ranks: int, *, strict: bool = False) -> Plan:
    """The plan of one layer that follows from two maps.

    Parameters: old and new of shape (ranks * rows,), the logical expert of every physical one, -1
    for none; strict refuses an expert that nobody holds instead of committing a stale row (P6).
    Raises ValueError for no ranks, maps of different lengths, a length that the ranks don't divide
    (P1), a value that is neither an expert nor -1, and in strict mode for an expert without holder.
    Source: P1 to P7 of specs/sources.md.

    >>> first, second = plan([0, 1, 2, 3], [0, 2, 2, 1], ranks=2).shares
    >>> first.sends, first.receives
    ((Send(peer=1, expert=1, row=1),), (Receive(peer=1, expert=2, row=1),))
    >>> second.unchanged, second.receives
    ((0,), (Receive(peer=0, expert=1, row=1),))
    """
    rows = _rows_per_rank(old, new, ranks)
    before, after = _by_rank(old, rows, ranks), _by_rank(new, rows, ranks)
    holders = _ranks_by_expert(map(_first_rows, before))
    takers = _ranks_by_expert(map(_wanted, before, after))
    orphans = sorted(set(takers) - set(holders))
    if strict and orphans:
        raise ValueError(
            f"new map: experts {orphans} are held by no rank; expected experts of the old map"
        )
    return Plan(
        rows,
        tuple(_share(rank, before[rank], after[rank], holders, takers) for rank in range(ranks)),
    )


def plans_of(views: Mapping[int, tuple[Ids, Ids]]) -> tuple[Plan, ...]:
    """What each rank believes the plan to be, from its own old and new map.

    Parameters: rank -> (old, new), for ranks 0..n-1.  Rank r will carry out `shares[r]` of plan r.
    Raises ValueError for other ranks, for views of different lengths, and as `plan` does.

    >>> same = ([0, 1], [1, 0])
    >>> plans_of({0: same, 1: same}) == (plan(*same, ranks=2),) * 2
    True
    """
    if sorted(views) != list(range(len(views))):
        raise ValueError(f"views of ranks {sorted(views)}; expected 0..{len(views) - 1}, each once")
    lengths = {rank: len(views[rank][0]) for rank in sorted(views)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths by rank {lengths}; expected maps of one length on all ranks")
    return tuple(plan(*views[rank], len(views)) for rank in sorted(views))


def joined(plans: Sequence[Plan]) -> Plan:
    """What really happens when rank r follows plan r: its own share of it.

    Raises ValueError unless there is one plan per rank, all with as many rows.

    >>> agreed = plan([0, 1], [1, 0], ranks=2)
    >>> joined([agreed, agreed]) == agreed
    True
    """
    shapes = [(len(each.shares), each.rows) for each in plans]
    if not shapes or set(shapes) != {(len(plans), shapes[0][1])}:
        raise ValueError(
            f"plans for (ranks, rows) {shapes}; expected one plan per rank, all with as many rows"
        )
    return Plan(plans[0].rows, tuple(each.shares[r] for r, each in enumerate(plans)))


def mismatches(plans: Sequence[Plan]) -> tuple[Mismatch, ...]:
    """The ordered pairs whose lists differ, ascending, when rank r follows plan r (P5).

    Raises ValueError as `joined` does.

    >>> agreed, idle = plan([0, 1], [1, 0], ranks=2), plan([0, 1], [0, 1], ranks=2)
    >>> print(*mismatches([agreed, idle]), sep="; ")
    rank 0 sends experts [0] to rank 1, which expects []; \
rank 1 sends experts [] to rank 0, which expects [1]
    """
    shares = joined(plans).shares
    compared = (
        Mismatch(
            sender.rank,
            receiver.rank,
            tuple(send.expert for send in sender.sends_to(receiver.rank)),
            tuple(receive.expert for receive in receiver.receives_from(sender.rank)),
        )
        for sender in shares
        for receiver in shares
    )
    return tuple(each for each in compared if each.sent != each.received)


def receivers_of(sender: int, senders: int, receivers: int) -> tuple[int, ...]:
    """The positions in R that the sender at a position in S serves (P4), in the order of sending.

    Raises ValueError for a position outside S.

    >>> [receivers_of(i, senders=2, receivers=5) for i in range(2)]
    [(0, 1, 4), (2, 3)]
    """
    _require_position("sender", sender, senders)
    each = receivers // senders
    extra = senders * each + sender
    own = tuple(range(sender * each, (sender + 1) * each))
    return (*own, extra) if extra < receivers else own


def sender_of(receiver: int, senders: int, receivers: int) -> int:
    """The position in S that serves the receiver at a position in R (P4).

    Raises ValueError for a position outside R, and where nobody sends.

    >>> [sender_of(j, senders=2, receivers=5) for j in range(5)]
    [0, 0, 1, 1, 0]
    """
    _require_position("receiver", receiver, receivers)
    if senders < 1:
        raise ValueError(f"senders={senders}; expected at least 1")
    each = receivers // senders
    return receiver // each if receiver < senders * each else receiver - senders * each


def _share(
    rank: int,
    before: Ids,
    after: Ids,
    holders: Mapping[int, Sequence[int]],
    takers: Mapping[int, Sequence[int]],
) -> Share:
    """P2 to P6 for one rank."""
    changed = [row for row in range(len(after)) if before[row] != after[row]]
    held = _first_rows(before)
    primary = _wanted(before, after)
    return Share(
        rank,
        unchanged=tuple(row for row in range(len(after)) if before[row] == after[row]),
        moves=tuple(Move(held[after[row]], row) for row in changed if after[row] in held),
        sends=tuple(
            Send(peer, expert, held[expert])
            for expert in sorted(held)
            for peer in _peers_served(rank, holders[expert], takers.get(expert, ()))
        ),
        receives=tuple(
            Receive(_peer_serving(rank, holders[expert], takers[expert]), expert, primary[expert])
            for expert in sorted(primary)
            if expert in holders
        ),
        duplicates=tuple(
            Duplicate(primary[after[row]], row)
            for row in changed
            if primary.get(after[row], row) != row
        ),
        stale=tuple(sorted(row for expert, row in primary.items() if expert not in holders)),
        emptied=tuple(row for row in changed if after[row] == EMPTY),
    )


def _peers_served(rank: int, holders: Sequence[int], takers: Sequence[int]) -> list[int]:
    served = receivers_of(holders.index(rank), len(holders), len(takers))
    return [takers[position] for position in served]


def _peer_serving(rank: int, holders: Sequence[int], takers: Sequence[int]) -> int:
    return holders[sender_of(takers.index(rank), len(holders), len(takers))]


def _first_rows(ids: Ids) -> dict[int, int]:
    """Expert -> the first row that holds it."""
    return {ids[row]: row for row in reversed(range(len(ids))) if ids[row] != EMPTY}


def _wanted(before: Ids, after: Ids) -> dict[int, int]:
    """Expert that is new to a rank -> its primary row (P3)."""
    held = frozenset(before)
    return {e: row for e, row in _first_rows(after).items() if e not in held}


def _ranks_by_expert(of_ranks: Iterable[Mapping[int, int]]) -> dict[int, list[int]]:
    """Expert -> the ranks that have it, ascending."""
    ranks: dict[int, list[int]] = {}
    for rank, experts in enumerate(of_ranks):
        for expert in experts:
            ranks.setdefault(expert, []).append(rank)
    return ranks


def _by_rank(ids: Ids, rows: int, ranks: int) -> list[Ids]:
    return [ids[rank * rows : (rank + 1) * rows] for rank in range(ranks)]


def _rows_per_rank(old: Ids, new: Ids, ranks: int) -> int:
    if ranks < 1:
        raise ValueError(f"ranks={ranks}; expected at least 1")
    if len(old) != len(new):
        raise ValueError(f"maps of {len(old)} and {len(new)} experts; expected equal lengths (P1)")
    if len(old) % ranks:
        raise ValueError(
            f"maps of {len(old)} experts on {ranks} ranks; expected as many on every rank (P1)"
        )
    for name, ids in (("old", old), ("new", new)):
        for place, expert in enumerate(ids):
            if not _is_id(expert):
                raise ValueError(f"{name}[{place}]={expert}; expected a logical expert or -1")
    return len(old) // ranks


def _require_position(name: str, position: int, length: int) -> None:
    if not 0 <= position < length:
        raise ValueError(f"{name}={position}; expected a position below {length}")


def _is_id(value: object) -> bool:
    """Maps may come from a file, so the type is checked too."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= EMPTY
