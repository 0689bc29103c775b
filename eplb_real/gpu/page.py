"""The shared page as Python sees it: a file in memory, mapped; words in, words out."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from eplb_real.gpu.words import ABORT, MOST_RANKS, PAGE_WORDS, RANK_BASE, RANK_WORDS

WORD = 4  # bytes
PAGE_BYTES = -(-PAGE_WORDS * WORD // mmap.PAGESIZE) * mmap.PAGESIZE
IN_MEMORY = Path("/dev/shm")


class Page:
    """The words of a run.  Aligned 32-bit loads and stores are single accesses here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), PAGE_BYTES)
        self.words = memoryview(self._map).cast("I")

    def of(self, rank: int, word: int) -> int:
        """A word of a rank."""
        return self.words[RANK_BASE + rank * RANK_WORDS + word]

    def put(self, rank: int, word: int, value: int) -> None:
        """Set a word of a rank."""
        self.words[RANK_BASE + rank * RANK_WORDS + word] = value

    def block(self, rank: int, first: int, count: int) -> list[int]:
        """Several words of a rank."""
        start = RANK_BASE + rank * RANK_WORDS + first
        return list(self.words[start : start + count])

    @property
    def abort(self) -> int:
        """Whether every kernel is called off."""
        return self.words[ABORT]

    @abort.setter
    def abort(self, value: int) -> None:
        self.words[ABORT] = value

    def clear(self) -> None:
        """Zero every word; only while nothing runs."""
        self.words[:] = memoryview(bytes(PAGE_BYTES)).cast("I")

    def close(self) -> None:
        """Give the mapping back."""
        self.words.release()
        self._map.close()


@contextmanager
def new_page() -> Iterator[Page]:
    """A fresh page, gone with its file at the end."""
    handle, name = mkstemp(prefix="eplb-page-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    os.truncate(handle, PAGE_BYTES)
    os.close(handle)
    page = Page(Path(name))
    try:
        yield page
    finally:
        page.close()
        page.path.unlink(missing_ok=True)


assert RANK_BASE + MOST_RANKS * RANK_WORDS <= PAGE_BYTES // WORD, (
    "[model bug] the page is too small"
)
