"""One measured point: an exchange and a gang in a forced order, classified by what was seen.

The order is forced by counters, never by time (R4): the ranks that exchange first do so, until a
census finds SMs taken; the others launch their gang, until all its CTAs have counted in; then the
first ranks launch theirs, then the others exchange.  In one order a rank launches its gang once its
exchange holds SMs or is done.  Classes (R9):
- OK: everything ended, and the gangs of the first ranks started beside their exchange.
- SERIAL: everything ended, but a gang started only once exchanges had left.
- HANG: nothing changed for long, gangs or exchanges are still there; and after the abort word
  alone everything ended.
- ODD: anything else, with what was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from eplb_real.gpu import words
from eplb_real.gpu.pool import Late, Pool, Process, RankError

Class = Literal["OK", "SERIAL", "HANG", "ODD", "not reached"]

FOOTPRINTS = {  # threads and bytes of dynamic shared memory of a stand-in CTA
    "exclusive": (128, 200 * 1024),
    "small": (1024, 0),
    "channel": (640, 120 * 1024),
    "census": (32, 200 * 1024),
}
QUIET = 0.35  # seconds without a change, at least
CONTROLS = 100  # so many times an exchange that nobody is in the way of, at least (R9)
SETTLES = 0.02  # seconds in which a gang that has room starts


@dataclass(frozen=True, slots=True)
class Point:
    """What is run.  `inverted` are the ranks that launch the gang first."""

    ranks: int = 2
    order: Literal["opposite", "same"] = "opposite"
    inverted: tuple[int, ...] = (1,)
    coop_ctas: int = 128
    coop_cluster: int = 1
    coop_launch: Literal["cooperative", "regular"] = "cooperative"
    coop_footprint: str = "exclusive"
    grain: Literal["first", "grid"] = "first"
    exchange: Literal["nccl", "channels"] = "channels"
    nccl_ctas: int | None = 16  # given for synthetic channels, measured for NCCL
    nccl_cluster: int = 4
    bytes_per_op: int | None = None
    peers: Literal["all", "next"] = "all"
    transport: Literal["nvlink", "network"] = "nvlink"  # between ranks that share a GPU: network

    def gang(self) -> dict[str, Any]:
        """The shape of the gang."""
        return {
            **_footprint(self.coop_footprint),
            "ctas": self.coop_ctas,
            "cluster": self.coop_cluster,
            "cooperative": self.coop_launch == "cooperative",
        }

    def channels(self) -> dict[str, Any]:
        """The shape of synthetic channels."""
        return {
            **_footprint("channel"), "ctas": self.nccl_ctas, "cluster": self.nccl_cluster,
        }  # fmt: skip

    def peers_of_all(self) -> list[list[int]]:
        """Whom each rank exchanges with."""
        return [self.peers_of(rank) for rank in range(self.ranks)]

    def peers_of(self, rank: int) -> list[int]:
        """Whom a rank exchanges with."""
        offsets = range(1, self.ranks) if self.peers == "all" else sorted({1, self.ranks - 1})
        return [(rank + offset) % self.ranks for offset in offsets]


@dataclass(slots=True)
class Seen:
    """What was seen of a point."""

    outcome: Class = "ODD"
    held: dict[int, list[int]] = field(default_factory=dict)  # rank -> SMs held by its exchange
    started: dict[int, int] = field(default_factory=dict)  # rank -> CTAs of its gang
    done: dict[int, bool] = field(default_factory=dict)  # rank -> its exchange is done
    why: dict[int, int] = field(default_factory=dict)
    late: list[int] = field(default_factory=list)  # ranks whose call has not returned
    seconds: float = 0.0
    unwound: float | None = None  # seconds after the abort word
    samples: list[tuple[float, str]] = field(default_factory=list)
    note: str = ""

    def row(self) -> dict[str, Any]:
        """The part that goes into a table."""
        kept = asdict(self)
        del kept["samples"]
        kept["held"] = {rank: len(sms) for rank, sms in self.held.items()}
        return kept


def quiet_for(control: float, least: float = QUIET) -> float:
    """Seconds without a change that make a hang, where an undisturbed exchange takes `control`.

    >>> quiet_for(0.001), quiet_for(0.02)
    (0.35, 2.0)
    """
    return max(least, CONTROLS * control)


class Run:
    """One point on a pool of ranks whose exchange is set up."""

    def __init__(self, pool: Pool, point: Point, quiet: float = QUIET) -> None:
        self._pool, self._point, self._quiet = pool, point, quiet
        self._page = pool.page
        self._generation = pool.next_generation()
        self._seen = Seen()
        self._exchanging: set[int] = set()
        self._begun = time.monotonic()

    def go(self) -> Seen:
        """Force the order, watch, classify, and leave every device idle."""
        point, seen = self._point, self._seen
        try:
            if point.order == "same":
                self._same_order()
            elif not self._opposite_order():
                seen.outcome = "not reached"
            if seen.outcome != "not reached":
                self._watch()
        finally:
            seen.seconds = time.monotonic() - self._begun
            self._unwind()
        return seen

    # --- the forced order --------------------------------------------------------------------

    def _same_order(self) -> None:
        for rank in range(self._point.ranks):
            self._launch_exchange(rank)
        for rank in range(self._point.ranks):
            self._census(rank)
            self._launch_gang(rank)

    def _opposite_order(self) -> bool:
        point, seen = self._point, self._seen
        first = [rank for rank in range(point.ranks) if rank not in point.inverted]
        for rank in first:
            self._launch_exchange(rank)
        for rank in first:
            seen.held[rank] = self._census(rank)
            if not seen.held[rank]:
                seen.note = f"the exchange of rank {rank} holds no SM"
                return False
        for rank in point.inverted:
            self._launch_gang(rank)
        if not self._until(lambda: all(self._started(rank) for rank in point.inverted), 1.0):
            seen.note = "a gang that goes first did not start"
            return False
        for rank in first:
            self._launch_gang(rank)
        self._until(lambda: all(self._started(rank) for rank in first), SETTLES)
        seen.started = {rank: self._page.of(rank, words.GANG_STARTED) for rank in first}
        for rank in point.inverted:
            self._launch_exchange(rank)
        return True

    def _launch_exchange(self, rank: int) -> None:
        self._exchanging.add(rank)
        if self._point.exchange == "nccl":
            self._pool[rank].tell("exchange")
        else:
            self._pool[rank].tell(
                "channels", shape=self._point.channels(), peers=self._point.peers_of(rank),
                generation=self._generation,
            )  # fmt: skip

    def _launch_gang(self, rank: int) -> None:
        grain = 1 if self._point.grain == "grid" else 0
        self._pool[rank].tell(
            "gang", shape=self._point.gang(), generation=self._generation, grain=grain
        )

    def _census(self, rank: int) -> list[int]:
        """The SMs that are taken on a rank, once an exchange holds some or is done.

        To be asked before any gang waits there.
        """
        sms = self._pool.about[rank]["sms"]
        deadline = time.monotonic() + 0.5
        held: list[int] = []
        while time.monotonic() < deadline:
            before = held
            for sm in range(sms):
                self._page.put(rank, words.CENSUS + sm, 0)
            self._page.put(rank, words.CENSUS_ENDED, 0)
            shape = {**_footprint("census"), "ctas": 2 * sms}
            self._pool[rank].tell("census", shape=shape, generation=self._generation, linger=2e-5)
            counted = lambda: self._page.of(rank, words.CENSUS_ENDED) >= 2 * sms  # noqa: E731
            if not self._until(counted, 0.5):
                return []
            marks = self._page.block(rank, words.CENSUS, sms)
            held = [sm for sm, mark in enumerate(marks) if mark != self._generation]
            if (held and held == before) or self._exchanged(rank):
                return held
        return held

    # --- watching ----------------------------------------------------------------------------

    def _started(self, rank: int) -> bool:
        return self._page.of(rank, words.GANG_STARTED) >= self._point.coop_ctas

    def _exchanged(self, rank: int) -> bool:
        return self._page.of(rank, words.EXCHANGE_DONE) == self._generation

    def _words(self) -> tuple[int, ...]:
        watched = (words.GANG_STARTED, words.GANG_ENDED, words.CHANNELS_ENDED, words.EXCHANGE_DONE)
        return tuple(
            self._page.of(rank, word) for rank in range(self._point.ranks) for word in watched
        )

    def _all_done(self) -> bool:
        return all(
            self._page.of(rank, words.GANG_ENDED) >= self._point.coop_ctas and self._exchanged(rank)
            for rank in range(self._point.ranks)
        )

    def _watch(self) -> None:
        seen, point = self._seen, self._point
        last, changed = self._words(), time.monotonic()
        seen.samples.append((0.0, str(last)))
        while not self._all_done() and time.monotonic() - changed < self._quiet:
            now = self._words()
            if now != last:
                last, changed = now, time.monotonic()
                seen.samples.append((changed - self._begun, str(now)))
            time.sleep(0.0005)
        seen.done = {rank: self._exchanged(rank) for rank in range(point.ranks)}
        at_the_end = {r: self._page.of(r, words.GANG_STARTED) for r in range(point.ranks)}
        seen.late = [p.rank for p in self._pool.processes if self._owes(p)]
        beside = all(count >= point.coop_ctas for count in seen.started.values())
        seen.started = seen.started | {
            rank: count for rank, count in at_the_end.items() if rank not in seen.started
        }
        if self._all_done():
            seen.outcome = "OK" if beside else "SERIAL"
        elif not all(seen.done.values()):
            seen.outcome = "HANG"

    def _owes(self, process: Process) -> bool:
        """Whether a rank is still in a call: takes the answers that are there."""
        while process.owed:
            try:
                process.answer(0.0)
            except Late:
                return True
            except RankError as error:
                self._seen.note = str(error)
        return False

    def _unwind(self) -> None:
        """End everything by the abort word alone; a hang that does not end so is odd."""
        seen = self._seen
        hung = seen.outcome == "HANG"
        for rank in range(self._point.ranks):
            if self._exchanging and rank not in self._exchanging:
                self._launch_exchange(rank)  # NCCL has no deadline: nobody may be left alone
        seen.unwound = self._pool.drain()
        reasons = {r: self._page.of(r, words.WHY) for r in range(self._point.ranks)}
        seen.why = {rank: why for rank, why in reasons.items() if why}
        if hung and not self._all_done():
            seen.outcome, seen.note = "ODD", "after the abort word not everything ended"

    def _until(self, come: Callable[[], bool], within: float) -> bool:
        deadline = time.monotonic() + within
        while not come():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0002)
        return True


def _footprint(name: str) -> dict[str, int]:
    threads, shared = FOOTPRINTS[name]
    return {"threads": threads, "shared_bytes": shared}
