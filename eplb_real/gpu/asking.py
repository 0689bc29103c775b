"""What questions to one GPU share: SMs that are held, words that come, calls that return.

Rule: one observation begins on an idle device and leaves it idle.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from eplb_real.gpu import words
from eplb_real.gpu.pool import Late, Pool, RankError

EXCLUSIVE = {"threads": 128, "shared_bytes": 200 * 1024}
CHANNEL = {"threads": 640, "shared_bytes": 120 * 1024}
TINY = {"threads": 32, "shared_bytes": 0}
LONGEST_DRAIN = 5.0  # seconds
SHOWS = 0.05  # seconds in which something that can start has started


@dataclass(frozen=True, slots=True)
class Holder:
    """SMs that are held: CTAs of the exchange's footprint, in clusters."""

    ctas: int
    cluster: int
    spread: bool = False  # whether its clusters ask for it, as NCCL's do


class Asking:
    """A pool of one rank that questions are put to."""

    def __init__(self, ranks: Pool) -> None:
        self._pool = ranks
        self._rank = ranks[0]
        self._page = ranks.page
        self._sms: int = ranks.about[0]["sms"]

    def _fresh(self) -> _Fresh:
        self._generation = self._pool.next_generation()
        return _Fresh(self._pool)

    def _hold(self, holder: Holder, stream: str = "side", slot: int = 0) -> None:
        shape = {
            **CHANNEL, "ctas": holder.ctas, "cluster": holder.cluster, "spread": holder.spread,
        }  # fmt: skip
        self._rank.ask("spinner", shape=shape, generation=self._generation, slot=slot,
                       stream=stream)  # fmt: skip
        if not self._comes(words.SPINNERS_STARTED + slot, holder.ctas, 1.0):
            raise RankError(f"the holder {holder} did not start")

    def _holder_seats(self, ctas: int) -> list[int]:
        """Where the latest holder is."""
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
