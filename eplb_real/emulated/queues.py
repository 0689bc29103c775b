"""Work in streams and hardware queues.

Rules (specs/semantics.md#state; G2, G5, G6, G9):
- A stream is a FIFO.  Streams share hardware queues; an unsatisfied wait keeps back everything that
  was submitted behind it to the same queue, of whatever stream.
- Work may move variables when it ends; what that does is the business of whoever has them.
- A *mark* is an item of a stream: who captured it waits until it has left.  Later work is none of
  its business.
- The legacy default stream and streams created as blocking wait for each other at each submission.

Whoever calls holds the device's monitor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from eplb_model.world import Kernel, Stream

Moves: TypeAlias = tuple[Any, ...]  # what its end does to variables of the host

OPPOSITE = {"legacy": "blocking", "blocking": "legacy"}


@dataclass(frozen=True, slots=True)
class Launched:
    """A kernel, with the number of its launch on this rank."""

    kernel: Kernel
    number: int
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves: Moves = ()

    @property
    def label(self) -> str:
        return self.kernel.name


@dataclass(frozen=True, slots=True)
class Transfer:
    """A copy through a copy engine."""

    direction: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves: Moves = ()

    @property
    def label(self) -> str:
        return "transfer"


@dataclass(frozen=True, slots=True)
class Record:
    """An event that fires."""

    event: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves: Moves = ()

    @property
    def label(self) -> str:
        return "record"


@dataclass(frozen=True, slots=True)
class Await:
    """A wait for a mark; the device passes it by itself."""

    mark: Item
    event: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves: Moves = ()

    @property
    def label(self) -> str:
        return "await"


Work: TypeAlias = Launched | Transfer | Record | Await


class Item:
    """Work in a stream; `done` once it has left."""

    __slots__ = ("by", "done", "stream", "work")

    def __init__(self, stream: str, by: str, work: Work) -> None:
        self.stream = stream
        self.by = by  # the host thread that put it there
        self.work = work
        self.done = False


class Queues:
    """The streams of one device."""

    def __init__(
        self, streams: Sequence[Stream], connections: Sequence[int], hold: Sequence[int], depth: int
    ) -> None:
        self.names = tuple(stream.name for stream in streams)
        self._kinds = {stream.name: stream.kind for stream in streams}
        self._devices = {stream.name: stream.device for stream in streams}
        self._streams: dict[str, deque[Item]] = {name: deque() for name in self.names}
        by_connection: dict[int, list[Item]] = {number: [] for number in connections}
        self._queue_of = {
            name: by_connection[number]
            for name, number in zip(self.names, connections, strict=True)
        }
        self._hold = dict(zip(self.names, hold, strict=True))  # waits that keep a stream back
        self._depth = depth

    def items(self, stream: str) -> tuple[Item, ...]:
        """What a stream holds, head first."""
        return tuple(self._streams[stream])

    def head(self, stream: str) -> Item | None:
        held = self._streams[stream]
        return held[0] if held else None

    def mark(self, stream: str) -> Item | None:
        """The point behind everything that a stream holds now; None if it holds nothing."""
        held = self._streams[stream]
        return held[-1] if held else None

    def marks(self, device: int | None = None) -> tuple[Item, ...]:
        """The marks of all streams that hold something; of one device, or of all."""
        names = [name for name in self.names if device in (None, self._devices[name])]
        return tuple(mark for name in names if (mark := self.mark(name)) is not None)

    def is_full(self, stream: str) -> bool:
        """Whether a stream holds as much as its launch queue takes (G3)."""
        return len(self._streams[stream]) >= self._depth

    def submit(self, stream: str, by: str, work: Work) -> Item:
        """Put work on a stream, behind the waits that the legacy default stream implies (G9)."""
        opposite, device = OPPOSITE.get(self._kinds[stream]), self._devices[stream]
        for other in self.names:
            implied = self._kinds[other] == opposite and self._devices[other] == device
            if implied and (mark := self.mark(other)) is not None:
                self._append(Item(stream, by, Await(mark)))
        item = Item(stream, by, work)
        self._append(item)
        return item

    def leave(self, stream: str) -> Item:
        """Take the head off a stream: whoever waits for it may go on."""
        item = self._streams[stream].popleft()
        self._queue_of[stream].remove(item)
        item.done = True
        return item

    def kept_back_by(self, stream: str) -> list[str]:
        """The streams whose unsatisfied waits keep the head in the hardware queue (G5a, G6)."""
        found: list[str] = []
        for item in self._queue_of[stream]:
            if item.stream == stream:
                return []
            waits = isinstance(item.work, Await) and not item.work.mark.done
            if waits and item.stream not in found:
                found.append(item.stream)
                if len(found) == self._hold[stream]:
                    return found
        return []

    def pass_satisfied(self) -> None:
        """Pass every wait at the head of a stream whose mark is done, until none is left."""
        while any(map(self._pass_one, self.names)):
            pass

    def _pass_one(self, stream: str) -> bool:
        head = self.head(stream)
        satisfied = head is not None and isinstance(head.work, Await) and head.work.mark.done
        if not satisfied or self.kept_back_by(stream):
            return False
        self.leave(stream)
        return True

    def _append(self, item: Item) -> None:
        self._streams[item.stream].append(item)
        self._queue_of[item.stream].append(item)
