"""Which accesses to buffers are in progress, and which of them conflict.

Rules (specs/properties.md): an access of work in a stream begins when the work is ready at the head
of its stream and ends when it leaves; that of a host thread lasts from the call to its return.  Two
that are in progress at once, on one buffer, by different actors, one of them a write, overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple


class Access(NamedTuple):
    """An access in progress.  `key` tells it from every other one of its actor."""

    actor: str
    key: object
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class Overlap(NamedTuple):
    """Two actors that use a buffer at once."""

    actors: tuple[str, str]
    buffer: str


class Overlaps:
    """Remembers which overlaps have been reported, for as long as the accesses last."""

    def __init__(self) -> None:
        self._reported: set[tuple[object, object, str]] = set()

    def new_among(self, accesses: Iterable[Access]) -> list[Overlap]:
        """The overlaps that were not there at the last look."""
        now: dict[tuple[object, object, str], Overlap] = {}
        for one, other in combinations(accesses, 2):
            for buffer in _conflicts(one, other):
                key = (one.key, other.key, buffer)
                now[key] = Overlap((one.actor, other.actor), buffer)
        found = [overlap for key, overlap in now.items() if key not in self._reported]
        self._reported = set(now)
        return found


def _conflicts(one: Access, other: Access) -> list[str]:
    if one.actor == other.actor:
        return []
    written = {*one.writes, *other.writes}
    return sorted(written & {*one.reads, *one.writes} & {*other.reads, *other.writes})
