"""What was put on the streams of one rank, and what of it has begun and left, as words tell.

Rules:
- `look` is called every millisecond, and before a call that waited returns to its thread: what
  work moves when it ends has then moved.
- An access of a kernel lasts from its first CTA to its last; one of a copy from the moment at which
  it is at the head of its stream to its end (specs/properties.md).
- Work leaves a stream in order, and after the records that its stream waited for: what several
  streams move between two looks moves in the order of the device.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from eplb_real.emulated import Observer
from eplb_real.emulated.accesses import Access, Overlaps
from eplb_real.values import Moves


@dataclass(eq=False)
class Work:
    """Something on a stream; `begun` and `done` read words, `why` says what it waits for."""

    stream: str
    label: str
    begun: Callable[[], int]  # how much of it has begun: CTAs, or 0 and 1
    done: Callable[[], bool]
    why: Callable[[], str]
    grant: Callable[[int | None], Callable[[], bool]]  # let it take a step; whether it was taken
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves: Moves = ()
    after: tuple[Work, ...] = ()  # records that its stream waited for before it
    told: int = 0  # CTAs of which the observer knows
    has_left: bool = False
    there: bool = False  # whether the call that puts it on its stream has returned


class Ledger:
    """The streams of one rank as queues of what was put there.

    Parameters
    ----------
    rank
        Whose.
    streams
        Their names.
    observer
        Is told what leaves a stream.
    """

    def __init__(self, rank: int, streams: Sequence[str], observer: Observer) -> None:
        self._rank = rank
        self._observer = observer
        self._lock = threading.RLock()
        self._queues: dict[str, deque[Work]] = {name: deque() for name in streams}
        self._waits: defaultdict[str, list[Work]] = defaultdict(list)  # by stream
        self._host: dict[int, Access] = {}
        self._keys = count()
        self._overlaps = Overlaps()
        self.move: Callable[[Moves], None] = _moves_nothing

    def submit(self, work: Work) -> None:
        """Put work behind what its stream holds; whoever calls keeps the stream's order."""
        with self._lock:
            work.after = (*work.after, *self._waits.pop(work.stream, ()))
            self._queues[work.stream].append(work)

    def wait(self, stream: str, record: Work) -> None:
        """Let the next work of a stream come after a record of another."""
        with self._lock:
            self._waits[stream].append(record)

    def withdraw(self, work: Work) -> None:
        """Take work back that could not be put on its stream."""
        with self._lock:
            self._queues[work.stream].remove(work)

    @contextmanager
    def access(self, actor: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> Iterator[None]:
        """The access of a host thread, for as long as it lasts."""
        key = next(self._keys)
        with self._lock:
            self._host[key] = Access(actor, key, reads, writes)
        self.look()
        try:
            yield
        finally:
            self.look()
            with self._lock:
                del self._host[key]

    def look(self) -> None:
        """Read the words, and tell what has changed."""
        with self._lock:
            before = -1
            while before != (held := sum(map(len, self._queues.values()))):
                before = held
                for name, queue in self._queues.items():
                    self._advance(f"{self._rank}.{name}", queue)
            for overlap in self._overlaps.new_among(self._accesses()):
                self._observer.overlap(self._rank, overlap.actors, overlap.buffer)

    def head(self, stream: str) -> Work | None:
        """What a stream is at; `KeyError` for a stream that there is not."""
        with self._lock:
            queue = self._queues[stream]
            return queue[0] if queue else None

    def pending(self) -> list[Work]:
        """The heads of all streams that hold something, with what has left taken out."""
        self.look()
        with self._lock:
            heads = [queue[0] for queue in self._queues.values() if queue]
            return [head for head in heads if head.there or head.begun()]

    def marks(self) -> list[tuple[int, int]]:
        """How far every stream is: what it holds, and how much of its head has begun."""
        self.look()
        with self._lock:
            return [(len(q), q[0].begun() if q else 0) for q in self._queues.values()]

    # --- inside ------------------------------------------------------------------------------

    def _advance(self, actor: str, queue: deque[Work]) -> None:
        while queue:
            head = queue[0]
            begun = head.begun()
            if begun > head.told:
                head.told = begun
                self._observer.started(actor, head.label, begun)
            if not head.done() or not all(each.has_left for each in head.after):
                return
            queue.popleft()
            head.has_left = True
            if head.moves:
                self.move(head.moves)
            self._observer.item(actor, head.label)

    def _accesses(self) -> list[Access]:
        on_streams = [
            Access(f"{self._rank}.{name}", queue[0], queue[0].reads, queue[0].writes)
            for name, queue in self._queues.items()
            if queue and (queue[0].reads or queue[0].writes) and queue[0].begun()
        ]
        return [*on_streams, *self._host.values()]


def _moves_nothing(moves: Moves) -> None:
    """Nobody has said who has the variables."""
