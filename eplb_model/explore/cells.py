"""Places that steps share, and how a step uses them, as bits.

Rules:
- A step that only looks at a place commutes with others that look; one that adds to it (sets a
  flag, takes a work item off a stream) with others that add; one that writes it with nobody.
- Two steps are independent if no place is used by both in ways that do not go together.  A step
  may still make another one possible.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

_LOOKS, _ADDS, _WRITES = 1, 2, 4

LOWERED = "lowered"  # beside a flag: that it is no longer set


class Touch(NamedTuple):
    """What steps do, and what they mind others doing, as sets of bits."""

    does: int = 0
    minds: int = 0

    def disturbs(self, others: int) -> bool:
        """Whether this is something that others mind; it is mutual."""
        return bool(self.does & others)


NOTHING = Touch()
EVERYTHING = Touch(-1, -1)


class Cells:
    """The places of one world, each by its name, and the uses of them."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def looks(self, *places: Hashable) -> Touch:
        """The use of a step that reads these places."""
        return self._use(places, _LOOKS, _ADDS | _WRITES)

    def adds(self, *places: Hashable) -> Touch:
        """The use of a step whose change to these places goes with other such changes."""
        return self._use(places, _ADDS, _LOOKS | _WRITES)

    def writes(self, *places: Hashable) -> Touch:
        """The use of a step that changes these places."""
        return self._use(places, _WRITES, _LOOKS | _ADDS | _WRITES)

    def written(self, rank: int, name: str) -> Touch:
        """The use of a step that assigns a variable of a rank, which may lower a flag."""
        return self.writes((rank, name), (rank, name, LOWERED))

    def changed(self, place: Hashable) -> int:
        """What a step does that changes a place in any way."""
        return (_ADDS | _WRITES) << self._at(place)

    def _at(self, place: Hashable) -> int:
        return 3 * self._numbers.setdefault(place, len(self._numbers))

    def _use(self, places: Iterable[Hashable], does: int, minds: int) -> Touch:
        return together(Touch(does << (at := self._at(each)), minds << at) for each in places)


def together(touches: Iterable[Touch]) -> Touch:
    """The use of several steps, or of one step with several parts."""
    does = minds = 0
    for each in touches:
        does |= each.does
        minds |= each.minds
    return Touch(does, minds)
