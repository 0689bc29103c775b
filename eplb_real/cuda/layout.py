"""The words through which kernels, hosts and ranks of one run see each other.

One account: the names of a launch's block become the #defines of the CUDA source; everything else
is addressed from Python only.  A word is 32 bits.  Every rank has flags, work that is no kernel
(gate, begun, done) and one block for each launch of each kernel.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eplb_real.drivers.cuda import MOST_LAUNCHES

ABORT: Final = 0
RANKS: Final = 16  # where those of rank 0 begin

# Of a rank.
CLOSED: Final = 0  # whether CTAs wait for a grant before they end
FLAGS: Final = 16
MOST_FLAGS: Final = 48
GATES: Final = FLAGS + MOST_FLAGS
MOST_WORKS: Final = 1024  # copies, memsets and records
BEGUN: Final = GATES + MOST_WORKS
DONE: Final = BEGUN + MOST_WORKS
CENSUS: Final = DONE + MOST_WORKS  # by SM: the number of the last census that saw it free
MOST_SMS: Final = 264
CENSUS_ENDED: Final = CENSUS + MOST_SMS
LAUNCHES: Final = CENSUS_ENDED + 8

# Of a launch, from its block.
STARTED: Final = 0
ENDED: Final = 1
COMPLETE: Final = 2
WHY: Final = 3
GRAIN: Final = 4
PEERS: Final = 5
AS_ONE: Final = 6  # all CTAs that have started may leave with one grant
GRANTED: Final = 7  # to so many of those that started, if they leave as one
GRANTS: Final = 8  # by class
MOST_CLASSES: Final = 16
PEER_BLOCKS: Final = 24
PEER_CTAS: Final = 32
MOST_PEERS: Final = 8
SEATS: Final = 64  # by CTA: its SM + 1
MOST_CTAS: Final = 264
MASKS: Final = SEATS + MOST_CTAS  # by CTA: which of the peers it meets, as bits
PLACES: Final = MASKS + MOST_CTAS  # by CTA: its class << 16 | its place in it
BLOCK: Final = PLACES + MOST_CTAS

GRAINS: Final = {"first": 1, "grid": 2, "channel": 3, "end": 4}

WHY_DONE: Final = 1
WHY_ABORTED: Final = 2
WHY_LATE: Final = 4


def defines() -> str:
    """The names that the CUDA source uses.

    >>> defines().splitlines()[0]
    '#define ABORT 0'
    """
    names = [
        "ABORT", "STARTED", "ENDED", "COMPLETE", "WHY", "GRAIN", "PEERS", "AS_ONE", "GRANTED",
        "GRANTS", "PEER_BLOCKS", "PEER_CTAS", "SEATS", "MASKS", "PLACES", "WHY_DONE",
        "WHY_ABORTED", "WHY_LATE",
    ]  # fmt: skip
    grains = {f"GRAIN_{name.upper()}": value for name, value in GRAINS.items()}
    values = {**{name: globals()[name] for name in names}, **grains}
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


class Words:
    """The words of a run: a file in memory that every process maps.

    Parameters
    ----------
    path
        The file; whoever comes first makes it.
    ranks, kernels
        How many there are.
    """

    def __init__(self, path: Path, ranks: int, kernels: int) -> None:
        self._rank_words = LAUNCHES + kernels * MOST_LAUNCHES * BLOCK
        size = 4 * (RANKS + ranks * self._rank_words)
        self.bytes = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, self.bytes)
            self._map = mmap.mmap(handle, self.bytes)
        finally:
            os.close(handle)
        self.words = memoryview(self._map).cast("I")

    def __getitem__(self, place: int) -> int:
        return self.words[place]

    def __setitem__(self, place: int, value: int) -> None:
        self.words[place] = value

    def of(self, rank: int, word: int) -> int:
        """Where a word of a rank is."""
        return RANKS + rank * self._rank_words + word

    def block(self, rank: int, kernel: int, number: int) -> int:
        """Where the block of the n-th launch of a kernel on a rank begins.

        Raises
        ------
        ValueError
            For a launch that there is no room for.
        """
        if number >= MOST_LAUNCHES:
            raise ValueError(f"there is room for {MOST_LAUNCHES} launches of a kernel")
        return self.of(rank, LAUNCHES + (kernel * MOST_LAUNCHES + number) * BLOCK)

    def seats(self, block: int, ctas: int) -> Iterator[int]:
        """The SMs of the CTAs of a launch that have started."""
        return (seat - 1 for seat in self.words[block + SEATS : block + SEATS + ctas] if seat)
