"""What ranks may ask of others, as bits: what a rank has not done yet, what a step needs.

Rules:
- A bit stands for a launch, or a part of one, of the ranks of one role; what the same classes have
  done shares a bit.
- Launches of bodies that repeat are in rows, one row for each body, counted from the body that the
  rank is in.  Seen from a rank some bodies further back, the same bits are as many rows higher.
  Rows below have been done, or the rank would not be there; nobody has begun rows above.
- Launches outside the bodies have bits of their own, below all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eplb_model.ops.meetings import Meeting

Facts = frozenset[Meeting]


@dataclass(slots=True)
class Undone:
    """What the ranks of one role have not done, class by class."""

    layout: Layout
    bits: list[int]  # by class: the single ones, then all rows that are looked at
    own: int  # the bits of the role in each row

    def seen(self, here: int, ahead: int, rows: int) -> int:
        """What a rank in a class has not done, for one so many laps behind it: so many rows."""
        layout, bits = self.layout, self.bits[here]
        if not layout.width:
            return bits
        single = bits & layout.singles
        above = max(0, rows - ahead - layout.rows)
        mine = bits >> layout.single | layout.every(self.own, above) << layout.rows * layout.width
        by = ahead * layout.width
        mine = mine << by if by >= 0 else mine >> -by
        return single | (mine & layout.whole(rows)) << layout.single


class Layout:
    """Where the bits are."""

    def __init__(
        self, facts: Mapping[int, Sequence[Facts]], asked: Facts, launches: Mapping[str, int]
    ) -> None:
        """From what each class of each role has done, and how often bodies launch kernels."""
        self._launches = launches
        self.rows = 1 + max((self._row(each) for each in asked), default=0)
        self._places: dict[tuple[int, Meeting], tuple[int, int | None]] = {}
        self.single = self.width = 0
        own = {role: self._assign(role, mine, asked) for role, mine in facts.items()}
        self.singles = (1 << self.single) - 1
        self.undone = {
            role: Undone(self, self._undone(role, mine), own[role]) for role, mine in facts.items()
        }

    def bit(self, role: int, wanted: Meeting) -> int:
        """The bit of what ranks of a role may be asked for."""
        column, row = self._places[role, wanted]
        return 1 << (column if row is None else self.single + row * self.width + column)

    def later(self, bits: int, laps: int) -> int:
        """What is needed so many laps later."""
        if not laps or bits <= self.singles:
            return bits
        rows = bits >> self.single << self.single
        return bits & self.singles | rows << laps * self.width

    def every(self, own: int, rows: int) -> int:
        """The same bits in each of so many rows."""
        return own * (self.whole(rows) // self.whole(1))

    def whole(self, rows: int) -> int:
        """All bits of so many rows."""
        return (1 << rows * self.width) - 1

    def _row(self, wanted: Meeting) -> int:
        more = self._launches.get(wanted.kernel, 0)
        return wanted.number // more if more else 0

    def _assign(self, role: int, facts: Sequence[Facts], asked: Facts) -> int:
        """Give each thing that may be asked of a role its place; returns the role's columns."""
        done = _who_has_done(facts)
        rows: dict[Meeting, list[Meeting]] = {}
        singles: dict[int, int] = {}
        columns: dict[tuple[int, ...], int] = {}
        for wanted in sorted(asked):
            more = self._launches.get(wanted.kernel, 0)
            if more:
                rows.setdefault(wanted._replace(number=wanted.number % more), []).append(wanted)
                continue
            who = done.get(wanted, 0)
            if who not in singles:
                singles[who] = self.single
                self.single += 1
            self._places[role, wanted] = singles[who], None
        own = 0
        for each in rows.values():
            whose = tuple(done.get(wanted, 0) for wanted in each)
            if whose not in columns:
                columns[whose] = self.width
                own |= 1 << self.width
                self.width += 1
            for wanted in each:
                self._places[role, wanted] = columns[whose], self._row(wanted)
        return own

    def _undone(self, role: int, facts: Sequence[Facts]) -> list[int]:
        """By class."""
        mine = {wanted: self.bit(role, wanted) for first, wanted in self._places if first == role}
        everything = _union(mine.values())
        known: dict[Facts, int] = {}
        found = []
        for each in facts:
            if each not in known:
                known[each] = everything & ~_union(mine.get(wanted, 0) for wanted in each)
            found.append(known[each])
        return found


def _who_has_done(facts: Sequence[Facts]) -> dict[Meeting, int]:
    """By what may be asked, the classes that have done it, as bits."""
    classes: dict[Facts, int] = {}
    for number, each in enumerate(facts):
        classes[each] = classes.get(each, 0) | 1 << number
    done: dict[Meeting, int] = {}
    for each, bits in classes.items():
        for wanted in each:
            done[wanted] = done.get(wanted, 0) | bits
    return done


def _union(bits: Iterable[int]) -> int:
    found = 0
    for each in bits:
        found |= each
    return found
