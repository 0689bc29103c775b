"""Ranks of a sweep without GPUs: SMs are counted, one CTA to each, and peers meet.

What `eplb_real.gpu.point` is tried against.  A command changes the shared page at once, as far as
SMs and peers allow: the exchange is placed channel by channel where there is room, and a channel
ends when it is there on every rank; a gang starts as a whole, and ends when all have started.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eplb_real.gpu import words
from eplb_real.gpu.page import Page
from eplb_real.gpu.pool import Late

SMS = 132


class FakeRank:
    """One rank: what it was told, and what of it holds SMs."""

    def __init__(self, rank: int, machine: FakePool) -> None:
        self.rank = rank
        self._machine = machine
        self.owed = 0
        self.gang = 0  # CTAs wanted, and whether they have started
        self.gang_started = False
        self.exchange = 0  # channels wanted, how many of them have begun, and ended
        self.begun = 0
        self.ended = 0
        self.told: list[str] = []

    def tell(self, do: str, **arguments: Any) -> None:
        """Take a command; its effects are those of the whole machine."""
        self.owed += 1
        self.told.append(do)
        if do == "gang":
            self.gang = arguments["shape"]["ctas"]
        elif do == "channels":
            self.exchange = arguments["shape"]["ctas"]
        elif do == "census":
            self._census(arguments["generation"])
        self._machine.settle()

    def answer(self, within: float) -> dict[str, Any]:
        """Every call returns at once."""
        if not self.owed:
            raise Late("nothing was asked")
        self.owed -= 1
        return {"ok": True}

    @property
    def placed(self) -> int:
        """SMs that the exchange holds."""
        return self.begun - self.ended

    @property
    def free(self) -> int:
        """SMs that nothing holds."""
        return SMS - self.placed - (self.gang if self.gang_started else 0)

    def _census(self, generation: int) -> None:
        page = self._machine.page
        for sm in range(SMS):
            page.put(self.rank, words.CENSUS + sm, generation if sm >= self.placed else 0)
        page.put(self.rank, words.CENSUS_ENDED, 2 * SMS)


class FakePool:
    """All ranks, with the page that they share."""

    def __init__(self, ranks: int, page: Page, forgets: str = "") -> None:
        self.page = page
        self.forgets = forgets  # what never leaves, whatever the abort word says
        self.generation = 0
        self.about = [{"sms": SMS}] * ranks
        self.processes = [FakeRank(rank, self) for rank in range(ranks)]

    def __getitem__(self, rank: int) -> FakeRank:
        return self.processes[rank]

    def next_generation(self) -> int:
        """Clear the page."""
        self.generation += 1
        self.page.clear()
        return self.generation

    def settle(self) -> None:
        """Let everything go as far as it goes."""
        changed = True
        while changed:
            changed = any([self._place(each) for each in self.processes] + [self._meet()])

    def drain(self) -> float:
        """End what the abort word ends."""
        for each in self.processes:
            if each.gang and self.forgets != "gang":
                self._end_gang(each)
        self.settle()
        for each in self.processes:
            each.owed = 0
        return 0.0

    # --- what happens ------------------------------------------------------------------------

    def _place(self, each: FakeRank) -> bool:
        before = each.begun, each.gang_started
        if each.gang and not each.gang_started and each.free >= each.gang:
            each.gang_started = True
            self.page.put(each.rank, words.GANG_STARTED, each.gang)
        waits = each.gang and not each.gang_started  # a gang that waits goes first
        if not waits:
            each.begun += min(each.exchange - each.begun, each.free)
        return before != (each.begun, each.gang_started)

    def _meet(self) -> bool:
        if all(each.gang_started for each in self.processes):
            for each in self.processes:
                self._end_gang(each)
            return True
        there = min(each.begun for each in self.processes)
        if there > min(each.ended for each in self.processes):
            for each in self.processes:
                each.ended = there
                if there == each.exchange:
                    self.page.put(each.rank, words.EXCHANGE_DONE, self.generation)
            return True
        return False

    def _end_gang(self, each: FakeRank) -> None:
        self.page.put(each.rank, words.GANG_ENDED, each.gang)
        each.gang, each.gang_started = 0, False


def told(pool: FakePool) -> Sequence[Sequence[str]]:
    """The commands of each rank, censuses left out."""
    return [[do for do in each.told if do != "census"] for each in pool.processes]
