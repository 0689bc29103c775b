"""All ranks in one process: hosts are threads that meet in objects, the device is emulated.

Rules (specs/semantics.md#all-reduce, specs/semantics.md#isend):
- The n-th call of a member pairs with the n-th of every other; different collectives that pair
  raise for everybody, and so do members that say different things under `agree`.
- Of a pair of ranks the n-th send meets the n-th receive; the value is the receiver's at once.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_model.world import World
from eplb_real.drivers.base import Driver, Ties
from eplb_real.errors import Raised

REDUCTIONS: Mapping[str, Callable[[Sequence[int]], int]] = {"sum": sum, "min": min, "max": max}


@dataclass(eq=False)
class Posted:
    """A ticket: done once its counterparts have come."""

    collective: str = ""
    value: Any = None
    agree: Any = None
    answer: Any = None
    error: Raised | None = None
    take: Callable[[Any], None] | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> Any:
        """Wait for the counterparts."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.answer


class InProcess:
    """The meeting points of all ranks, under one lock."""

    def __init__(self, world: World) -> None:
        self._lock = threading.Lock()
        self._groups = {
            name: {rank: deque[Posted]() for rank in members}
            for name, members in world.groups.items()
        }
        self._mail: defaultdict[tuple[object, ...], deque[Posted]] = defaultdict(deque)

    def post(
        self, group: str, rank: int, collective: str, value: int | None, agree: Any = None
    ) -> Posted:
        """Bring a member's part; the last one answers everybody."""
        posted = Posted(collective, value, agree)
        with self._lock:
            queues = self._groups[group]
            queues[rank].append(posted)
            if all(queues.values()):
                _answer(group, [queue.popleft() for queue in queues.values()])
        return posted

    def send(self, group: str, source: int, target: int, value: Any) -> Posted:
        """Post a send: it meets the first receive that is open, or stays open."""
        return self._request((group, source, target), "send", Posted(value=value))

    def receive(self, group: str, source: int, target: int, take: Callable[[Any], None]) -> Posted:
        """Post a receive: it meets the first send that is open, or stays open."""
        return self._request((group, source, target), "receive", Posted(take=take))

    def _request(self, pair: tuple[str, int, int], side: str, posted: Posted) -> Posted:
        other_side = "receive" if side == "send" else "send"
        with self._lock:
            waiting = self._mail[(other_side, *pair)]
            if not waiting:
                self._mail[(side, *pair)].append(posted)
                return posted
            other = waiting.popleft()
            sent, received = (posted, other) if side == "send" else (other, posted)
            assert received.take is not None, "a receive says where its value goes"
            received.take(sent.value)
            for each in (sent, received):
                each.done.set()
        return posted


def _answer(group: str, parts: Sequence[Posted]) -> None:
    kinds = sorted({part.collective for part in parts})
    said = [part.agree for part in parts if part.agree is not None]
    _, _, reduction = kinds[0].partition(" ")
    for part in parts:
        if len(kinds) > 1:
            text = f"{part.collective} on group {group} is paired with {', '.join(kinds)}"
            part.error = Raised("violation", text)
        elif any(each != said[0] for each in said):
            text = f"{part.collective} on group {group}: members say {', '.join(map(str, said))}"
            part.error = Raised("violation", text)
        elif reduction:
            part.answer = REDUCTIONS[reduction]([each.value for each in parts])
    for part in parts:
        part.done.set()


def _in_one_place(world: World) -> Sequence[Sequence[int]]:
    return [list(range(len(world.ranks)))]


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    return []


def _ties(world: World, ranks: Sequence[int], folder: Path) -> Ties:
    return InProcess(world)


THREADS = Driver("threads", (), _in_one_place, _declines, _ties)
