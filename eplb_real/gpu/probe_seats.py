"""Where one GPU puts CTAs: its layout, seats, the largest gangs, the split of an SM, who waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from eplb_real.gpu import words
from eplb_real.gpu.asking import EXCLUSIVE, SHOWS, TINY, Asking, Holder
from eplb_real.gpu.pool import RankError


class Seats(Asking):
    """The questions, each an iterator of observations."""

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

    def beside(self) -> Iterator[dict[str, Any]]:
        """Where clusters of a regular kernel go beside a holder, and gangs beside two (G31e).

        Holders that ask to be spread are those of NCCL.
        """
        firsts = [Holder(n, k) for n in (1, 3, 4, 8, 16) for k in (1, 4) if n % k == 0]
        for first in firsts:
            for cluster in (1, 2, 4):
                for ctas in (4, 8, 16, 32):
                    yield self._second(first, Holder(ctas, cluster))
        for ctas in (4, 8, 16, 24, 32):
            with self._fresh():
                self._hold(Holder(ctas, 4, spread=True))
                yield {"what": "spread", "ctas": ctas, "cluster": 4,
                       "seats": self._holder_seats(ctas)}  # fmt: skip
        for first in firsts:
            for second in (Holder(4, 4), Holder(3, 1), Holder(8, 2)):
                for gang in (64, 96, 112):
                    yield self._second(first, second, gang)

    def _second(self, first: Holder, second: Holder, gang: int = 0) -> dict[str, Any]:
        with self._fresh():
            found: dict[str, Any] = {"what": "second holder"}
            for slot, (holder, stream) in enumerate(((first, "side"), (second, "third"))):
                self._hold(holder, stream, slot)
                found[f"holder{slot}"] = {"ctas": holder.ctas, "cluster": holder.cluster}
                found[f"seats{slot}"] = self._holder_seats(holder.ctas)
            if gang:
                shape = {**EXCLUSIVE, "ctas": gang, "cooperative": True}
                self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                self._comes(words.GANG_STARTED, gang, SHOWS)
                seats = [seat - 1 for seat in self._page.block(0, words.GANG_SEATS, gang)]
                found |= {"gang": gang, "gang_seats": [seat for seat in seats if seat >= 0]}
            return found

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
