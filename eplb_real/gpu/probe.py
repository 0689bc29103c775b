"""Measure one GPU: layout, placement, gangs, head of line, carve-out, queues, calls that block.

What was seen is written one observation per line; `profile.py` makes a machine profile and a
measured table of it, on any machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from eplb_real.gpu import words
from eplb_real.gpu.pool import Late, Pool, RankError, pool

EXCLUSIVE = {"threads": 128, "shared_bytes": 200 * 1024}
CHANNEL = {"threads": 640, "shared_bytes": 120 * 1024}
TINY = {"threads": 32, "shared_bytes": 0}
LONGEST_DRAIN = 5.0  # seconds
SHOWS = 0.05  # seconds in which something that can start has started
CALLS = (
    "malloc", "host_alloc", "event_create_record", "record", "wait", "event_synchronize",
    "h2d_pinned", "h2d_pageable", "d2h_pinned", "d2h_pageable", "item", "d2d", "graph",
    "peer_free_launch", "stream_create", "stream_synchronize", "free", "host_free", "empty_cache",
    "device_synchronize",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holder:
    """SMs that are held: CTAs of the exchange's footprint, in clusters."""

    ctas: int
    cluster: int


class Probe:
    """The questions to one GPU, each an iterator of observations."""

    def __init__(self, ranks: Pool) -> None:
        self._pool = ranks
        self._rank = ranks[0]
        self._page = ranks.page
        self._sms: int = ranks.about[0]["sms"]

    # --- the parts ---------------------------------------------------------------------------

    def layout(self) -> Iterator[dict[str, Any]]:
        """Which SMs are seen in one cluster, beside shifted holders."""
        for size in (2, 4, 8, 16):
            for held in (0, 1, 2, 5, 9, 14):
                with self._fresh():
                    if held:
                        self._hold(Holder(held, 1))
                    shape = {**TINY, "ctas": 16 * 16, "cluster": size}
                    try:
                        self._rank.ask("census", shape=shape, generation=self._generation,
                                       linger=2e-4)  # fmt: skip
                    except RankError as error:
                        yield {"what": "clusters", "size": size, "error": str(error)}
                        continue
                    self._comes(words.CENSUS_ENDED, 256, 1.0)
                    seats = [seat - 1 for seat in self._page.block(0, words.CENSUS_SEATS, 256)]
                    seen = [sorted(set(seats[i : i + size])) for i in range(0, 256, size)]
                    yield {"what": "clusters", "size": size, "held": held, "seen": seen}

    def seats(self) -> Iterator[dict[str, Any]]:
        """Where gangs and clustered kernels go, on an empty device and beside holders."""
        for cluster in (1, 2):
            for ctas in range(64, self._sms + 1, cluster):
                yield self._gang_seats(ctas, cluster, None)
        for cluster in (1, 2, 4, 8):
            for ctas in range(cluster, 65, cluster):
                with self._fresh():
                    self._hold(Holder(ctas, cluster))
                    yield {"what": "held", "ctas": ctas, "cluster": cluster,
                           "seats": self._holder_seats(ctas)}  # fmt: skip
        for ctas in range(65, self._sms + 1):
            yield self._gang_seats(ctas, 1, None, cooperative=False)
        for holder in (Holder(n, k) for n in (1, 3, 4, 8, 12, 16) for k in (1, 4) if n % k == 0):
            for cluster in (1, 2):
                for ctas in (64, 96, 112, self._sms - holder.ctas):
                    if ctas % cluster == 0:
                        yield self._gang_seats(ctas, cluster, holder)

    def largest_gangs(self) -> Iterator[dict[str, Any]]:
        """The largest gang that starts beside a holder."""
        pairs = [
            (n, k) for n in (1, 2, 3, 4, 8, 12, 14, 16, 24, 32) for k in (1, 2, 4) if n % k == 0
        ]
        for ctas, cluster in pairs:
            for gang_cluster in (1, 2):
                largest = 0
                for gang in range(self._sms, self._sms - ctas - 20, -gang_cluster):
                    if gang % gang_cluster == 0 and self._starts(gang, gang_cluster, ctas, cluster):
                        largest = gang
                        break
                yield {"what": "largest gang", "held": ctas, "held_cluster": cluster,
                       "gang_cluster": gang_cluster, "largest": largest}  # fmt: skip

    def head_of_line(self) -> Iterator[dict[str, Any]]:
        """What passes a waiting kernel: a gang, a regular kernel, a clustered one."""
        waiting = {
            "gang": {**EXCLUSIVE, "ctas": self._sms, "cooperative": True},
            "gang of pairs": {**EXCLUSIVE, "ctas": self._sms, "cluster": 2, "cooperative": True},
            "regular": {**EXCLUSIVE, "ctas": self._sms},
            "clusters of 4": {**CHANNEL, "ctas": self._sms, "cluster": 4},
        }
        later = {
            "small kernel": ("third", {"ctas": 1, "threads": 32}),
            "small cluster": ("third", {"ctas": 2, "threads": 32, "cluster": 2}),
            "small gang": ("third", {"ctas": 1, "threads": 32, "cooperative": True}),
            "urgent small kernel": ("urgent", {"ctas": 1, "threads": 32}),
            "urgent small gang": ("urgent", {"ctas": 1, "threads": 32, "cooperative": True}),
        }
        for waits, shape in waiting.items():
            for passes, (stream, small) in later.items():
                with self._fresh():
                    self._hold(Holder(8, 1))
                    self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                    time.sleep(0.005)
                    resident = self._page.of(0, words.GANG_STARTED)
                    self._rank.ask("stamp", slot=0, generation=self._generation, stream=stream,
                                   **small)  # fmt: skip
                    passed = self._comes(words.STAMPS, self._generation, SHOWS)
                    yield {"what": "head of line", "waits": waits, "resident": resident,
                           "later": passes, "passes": passed}  # fmt: skip

    def carve_out(self) -> Iterator[dict[str, Any]]:
        """How many CTAs of 200 KB start over eight small resident ones of some shared memory."""
        for kib in (0, 1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 26, 27, 28, 32, 40):
            with self._fresh():
                holder = {"threads": 128, "shared_bytes": kib * 1024, "ctas": 8}
                self._rank.ask("spinner", shape=holder, generation=self._generation)
                self._comes(words.SPINNERS_STARTED, 8, 1.0)
                shape = {**EXCLUSIVE, "ctas": self._sms}
                self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                time.sleep(SHOWS)
                yield {"what": "carve-out", "resident_kib": kib,
                       "started": self._page.of(0, words.GANG_STARTED)}  # fmt: skip

    def queues(self) -> Iterator[dict[str, Any]]:
        """How deep a stream is, and how many blocked streams stop another."""
        with self._fresh():
            self._hold(Holder(1, 1), stream="third")
            self._rank.ask("fill", count=1200, generation=self._generation, stream="third")
            yield {"what": "queue depth", "accepted": self._settled(words.FILLED)}
        count = 40
        self._rank.ask("new_streams", count=count)
        blocked = [[index] for index in range(count)]
        blocked += [list(range(n)) for n in (2, 4, 7, 8, 9, 16, 24, 31)]
        for indices in blocked:
            with self._fresh():
                self._hold(Holder(1, 1), stream="side")
                self._rank.tell("block_streams", blocked=indices, generation=self._generation)
                returned = self._answers()
                time.sleep(0.01)
                marks = self._page.block(0, words.CENSUS, count)
                yield {"what": "blocked streams", "blocked": indices, "returned": returned,
                       "stopped": [i for i, mark in enumerate(marks)
                                   if mark != self._generation and i not in indices]}  # fmt: skip

    def calls(self) -> Iterator[dict[str, Any]]:
        """Which host calls return under a spinner, and under a gang that waits."""
        for under in ("spinner", "gang"):
            for name in CALLS:
                with self._fresh():
                    self._hold(Holder(8, 1))
                    if under == "gang":
                        shape = {**EXCLUSIVE, "ctas": self._sms, "cooperative": True}
                        self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                    self._rank.tell("call", name=name)
                    yield {"what": "call", "under": under, "call": name, "returns": self._answers()}

    def threads(self) -> Iterator[dict[str, Any]]:
        """What one thread's blocked call does to another thread's calls."""
        for blocked in ("device_synchronize", "free", "empty_cache", "full launch"):
            for other in ("peer_free_launch", "event_create_record", "record", "malloc"):
                with self._fresh():
                    self._hold(Holder(8, 1), stream="side")
                    if blocked == "full launch":
                        self._rank.ask("fill", count=1200, generation=self._generation,
                                       stream="side")  # fmt: skip
                        self._settled(words.FILLED)
                    else:
                        self._rank.ask("begin_call", name=blocked, slot=2,
                                       generation=self._generation)  # fmt: skip
                        time.sleep(0.02)
                    self._rank.tell("call", name=other)
                    yield {"what": "two threads", "blocked": blocked, "other": other,
                           "returns": self._answers()}  # fmt: skip

    def waiters(self) -> Iterator[dict[str, Any]]:
        """Whether a kernel in clusters that waits keeps freed SMs from a later one (U1).

        Eight SMs are held one by one; the first kernel takes the others and waits, then the second
        is launched, and the eight are let go one after the other.
        """
        streams = self._rank.ask("new_streams", count=8)
        for cluster in (1, 2, 4):
            for name, footprint in (("exclusive", EXCLUSIVE), ("tiny", TINY)):
                with self._fresh():
                    yield from self._beside_waiter(streams, cluster, name, footprint)

    def _beside_waiter(
        self, streams: list[str], cluster: int, name: str, footprint: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        generation = self._generation
        held: list[int] = []
        for slot in range(8):
            shape = {**EXCLUSIVE, "ctas": 1}
            self._rank.ask("spinner", shape=shape, generation=generation, slot=slot,
                           stream=streams[slot])  # fmt: skip
            self._comes(words.SPINNERS_STARTED + slot, 1, 1.0)
            held += self._holder_seats(1)
        first = {**EXCLUSIVE, "ctas": 128, "cluster": cluster}
        self._rank.ask("gang", shape=first, generation=generation, grain=2)
        self._settled(words.GANG_STARTED)
        second = {**footprint, "ctas": 128}
        self._rank.ask("census", shape=second, generation=generation, linger=5.0)
        for released in range(9):
            if released:
                self._page.put(0, words.SPINNER_RELEASE + released - 1, generation)
            yield {
                "what": "waiter", "cluster": cluster, "later": name, "released": released,
                "first": self._settled(words.GANG_STARTED),
                "second": self._settled(words.CENSUS_ENDED),
                "held": held[released:],
            }  # fmt: skip

    # --- what they share ---------------------------------------------------------------------

    def _gang_seats(
        self, ctas: int, cluster: int, holder: Holder | None, cooperative: bool = True
    ) -> dict[str, Any]:
        with self._fresh():
            if holder is not None:
                self._hold(holder)
            shape = {**EXCLUSIVE, "ctas": ctas, "cluster": cluster, "cooperative": cooperative}
            self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
            started = self._comes(words.GANG_STARTED, ctas, SHOWS)
            seats = [seat - 1 for seat in self._page.block(0, words.GANG_SEATS, ctas)]
            found: dict[str, Any] = {
                "what": "gang" if cooperative else "regular",
                "ctas": ctas,
                "cluster": cluster,
                "seats": seats if started else None,
            }
            if holder is not None:
                found |= {"held": holder.ctas, "held_cluster": holder.cluster,
                          "held_seats": self._holder_seats(holder.ctas)}  # fmt: skip
            return found

    def _starts(self, gang: int, gang_cluster: int, held: int, held_cluster: int) -> bool:
        with self._fresh():
            self._hold(Holder(held, held_cluster))
            shape = {**EXCLUSIVE, "ctas": gang, "cluster": gang_cluster, "cooperative": True}
            self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
            return self._comes(words.GANG_STARTED, gang, 0.02)

    def _fresh(self) -> _Fresh:
        self._generation = self._pool.next_generation()
        return _Fresh(self._pool)

    def _hold(self, holder: Holder, stream: str = "side") -> None:
        shape = {**CHANNEL, "ctas": holder.ctas, "cluster": holder.cluster}
        self._rank.ask("spinner", shape=shape, generation=self._generation, stream=stream)
        if not self._comes(words.SPINNERS_STARTED, holder.ctas, 1.0):
            raise RankError(f"the holder {holder} did not start")

    def _holder_seats(self, ctas: int) -> list[int]:
        return [seat - 1 for seat in self._page.block(0, words.SPINNER_SEATS, ctas)]

    def _comes(self, word: int, value: int, within: float) -> bool:
        deadline = time.monotonic() + within
        while self._page.of(0, word) < value:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0002)
        return True

    def _settled(self, word: int) -> int:
        """The value of a word once it has not changed for a while."""
        value, since = self._page.of(0, word), time.monotonic()
        while time.monotonic() - since < 0.2:
            now = self._page.of(0, word)
            if now != value:
                value, since = now, time.monotonic()
            time.sleep(0.001)
        return value

    def _answers(self) -> bool:
        try:
            self._rank.answer(0.25)
        except Late:
            return False
        return True


class _Fresh:
    """Around one observation: afterwards everything is called off and idle."""

    def __init__(self, ranks: Pool) -> None:
        self._pool = ranks

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        taken = self._pool.drain()
        if taken > LONGEST_DRAIN:
            raise RankError(f"the device was idle only after {taken:.1f} s")


PARTS: Sequence[str] = (
    "layout", "seats", "largest_gangs", "head_of_line", "carve_out", "queues", "calls", "threads",
    "waiters",
)  # fmt: skip


def observations(
    out: IO[str], parts: Sequence[str], host: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Ask the first visible GPU everything, and write one observation per line.

    The first line says what it is, with what is known of the host.
    """
    with pool(1, 0, nccl=False) as ranks:
        out.write(json.dumps({"what": "about", **ranks.about[0], **host}) + "\n")
        probe = Probe(ranks)
        for name in parts:
            part: Callable[[], Iterator[dict[str, Any]]] = getattr(probe, name)
            begun = time.monotonic()
            for found in part():
                out.write(json.dumps(found) + "\n")
                out.flush()
            say(f"{name}: {time.monotonic() - begun:.1f} s")
        after = ranks.all("about")[0]
        out.write(json.dumps({"what": "memory", "before": ranks.about[0]["used_bytes"],
                              "after": after["used_bytes"]}) + "\n")  # fmt: skip
