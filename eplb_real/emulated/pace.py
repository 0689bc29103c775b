"""When a later step may be taken: freely, in a seeded order, or only when it is granted.

Rule: what follows at once is never asked about; a pace is asked only where a CTA could end, a copy
end, a record fire (or, with the switch `distributor` set to `any`, a kernel arrive).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class Turn(NamedTuple):
    """A later step that may be taken: of which stream, and which of its choices."""

    stream: str
    choice: int | None


class Pace(Protocol):
    """Says who is next on a device."""

    def on_open(self, start: Callable[[], None]) -> None:
        """Call `start` as soon as streams may go on by themselves."""

    def pick(self, turns: Sequence[Turn]) -> Turn:
        """One of the steps that may be taken now."""


class Free:
    """Streams go on by themselves; which of several steps comes next is drawn from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def on_open(self, start: Callable[[], None]) -> None:
        start()

    def pick(self, turns: Sequence[Turn]) -> Turn:
        return self._random.choice(turns)


class Gated:
    """Nothing happens later but by `EmulatedDevice.step`, until `open` lets streams go on."""

    def __init__(self, seed: int = 0) -> None:
        self._free = Free(seed)
        self._starts: list[Callable[[], None]] = []
        self._is_open = False

    def open(self) -> None:
        """From now on as with `Free`."""
        self._is_open = True
        for start in self._starts:
            start()
        self._starts.clear()

    def on_open(self, start: Callable[[], None]) -> None:
        if self._is_open:
            start()
        else:
            self._starts.append(start)

    def pick(self, turns: Sequence[Turn]) -> Turn:
        return self._free.pick(turns)
