"""The page of words that all ranks, their GPUs and the coordinator share.

One account: the names below become the #defines of the CUDA source.  A word is 32 bits; the page
is one file in memory, mapped by every process and registered with every GPU.
"""

from __future__ import annotations

from typing import Final

MOST_RANKS: Final = 8
MOST_CTAS: Final = 264  # of one kernel here

# Of the whole page.
ABORT: Final = 0
RANK_BASE: Final = 64

# Of one rank, from its base.
GANG_STARTED: Final = 0
GANG_ENDED: Final = 1
FLAG: Final = 2
WHY: Final = 3
RELEASE: Final = 4
CHANNELS_STARTED: Final = 5
CHANNELS_ENDED: Final = 6
EXCHANGE_DONE: Final = 7
CENSUS_ENDED: Final = 8
STAMP_LOW: Final = 9
STAMP_HIGH: Final = 10
FILLED: Final = 11
SPINNERS_STARTED: Final = 16  # eight slots each
SPINNERS_ENDED: Final = 24
SPINNER_RELEASE: Final = 32
STAMPS: Final = 40  # 24 slots
CHANNEL_FLAGS: Final = 64  # by channel
CENSUS: Final = CHANNEL_FLAGS + MOST_CTAS  # by SM
GANG_SEATS: Final = CENSUS + MOST_CTAS  # by CTA: its SM + 1
CHANNEL_SEATS: Final = GANG_SEATS + MOST_CTAS
SPINNER_SEATS: Final = CHANNEL_SEATS + MOST_CTAS
CENSUS_SEATS: Final = SPINNER_SEATS + MOST_CTAS
RANK_WORDS: Final = CENSUS_SEATS + MOST_CTAS

PAGE_WORDS: Final = RANK_BASE + MOST_RANKS * RANK_WORDS

# Why a kernel left.
WHY_DONE: Final = 1
WHY_ABORTED: Final = 2
WHY_LATE: Final = 4


def defines() -> str:
    """The same names for the CUDA source.

    >>> defines().splitlines()[0]
    '#define ABORT 0'
    """
    names = sorted(name for name in globals() if name.isupper() and name != "TYPE_CHECKING")
    return "".join(f"#define {name} {globals()[name]}\n" for name in names)


def of_rank(rank: int, word: int) -> int:
    """Where a word of a rank is in the page.

    >>> of_rank(0, FLAG)
    66
    """
    return RANK_BASE + rank * RANK_WORDS + word
