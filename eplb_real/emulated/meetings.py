"""What is known about the kernels of all ranks: launched, resident, ended.

Rules (specs/semantics.md#meetings):
- Facts are monotone: a meeting becomes possible and never impossible again, so facts may arrive
  late, twice, or in any order.
- The devices of one process share one `Meetings`, and with it one monitor.  Facts of other
  processes are told; those of this process are handed to `on_publish`, which must not block,
  because it is called with the monitor held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, NamedTuple

from eplb_model.world import Meets, World

What = Literal["launched", "started", "ended"]


class Fact(NamedTuple):
    """How far the n-th launch of a kernel on a rank is, and how many of its CTAs are.

    `launched` is told with the whole grid, and so is `ended`: of launches, not of CTAs.
    """

    rank: int
    kernel: str
    number: int
    what: What
    ctas: int


class Meetings:
    """The facts, and the one lock and condition of all devices of a process."""

    def __init__(self, world: World, on_publish: Callable[[Fact], None] | None = None) -> None:
        self.monitor = threading.Condition()  # reentrant
        self.changes = 0  # how often anything has changed that somebody may wait for
        self._world = world
        self._on_publish = on_publish
        self._known: dict[tuple[int, str, int, What], int] = {}
        self._launches: dict[tuple[int, str], int] = {}

    def changed(self) -> None:
        """Something has changed: let everybody who waits look again."""
        self.changes += 1
        self.monitor.notify_all()

    def next_launch(self, rank: int, kernel: str) -> int:
        """The number of the next launch of a kernel on a rank of this process."""
        number = self._launches.get((rank, kernel), 0)
        self._launches[rank, kernel] = number + 1
        self.publish(Fact(rank, kernel, number, "launched", self._ctas(kernel)))
        return number

    def launches(self, rank: int, kernel: str) -> int:
        """How many launches of a kernel on a rank are known."""
        return self._launches.get((rank, kernel), 0)

    def publish(self, fact: Fact) -> None:
        """Make known what happened on a device of this process; the monitor is held."""
        if self._learn(fact) and self._on_publish is not None:
            self._on_publish(fact)

    def tell(self, fact: Fact) -> None:
        """Take in what happened in another process."""
        with self.monitor:
            if self._learn(fact):
                seen = max(self.launches(fact.rank, fact.kernel), fact.number + 1)
                self._launches[fact.rank, fact.kernel] = seen
                self.changed()

    def started(self, rank: int, kernel: str, number: int) -> int:
        """How many CTAs of a launch have ever been resident."""
        return self._known.get((rank, kernel, number, "started"), 0)

    def has_fully_started(self, rank: int, kernel: str, number: int) -> bool:
        return self.started(rank, kernel, number) >= self._ctas(kernel)

    def has_ended(self, rank: int, kernel: str, number: int) -> bool:
        return (rank, kernel, number, "ended") in self._known

    def is_there(self, peer: int, meets: Meets, number: int, channel: int) -> bool:
        """Whether a peer's launch has come as far as a meeting needs it."""
        ctas = self._ctas(meets.kernel)
        match meets.grain:
            case "end":
                return self.has_ended(peer, meets.kernel, number)
            case "grid":
                return self.has_fully_started(peer, meets.kernel, number)
            case "first" | "channel":
                if channel >= ctas:
                    return False  # the peer's grid does not have it
                position = ctas - 1 - channel if self._world.backwards(peer) else channel
                return self.started(peer, meets.kernel, number) > position

    def _learn(self, fact: Fact) -> bool:
        key = (fact.rank, fact.kernel, fact.number, fact.what)
        if self._known.get(key, 0) >= fact.ctas:
            return False
        self._known[key] = fact.ctas
        return True

    def _ctas(self, kernel: str) -> int:
        return self._world.kernels[kernel].ctas
