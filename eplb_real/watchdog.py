"""Telling rest from work, and keeping what a process that hangs can still say.

Rules:
- Places are at rest if nothing was observed, no processor time was used and no thread was able to
  run, at every look during `STILL_FOR` seconds.  A busy machine makes a thread wait for a
  processor, which is no rest, so it makes nothing look hung.
- Without /proc only the first can be seen; then rest takes longer to believe.
- Stacks are written by the process itself when it is signalled (`faulthandler`), whatever it does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

STILL_FOR = 0.15  # seconds
STILL_FOR_WITHOUT_PROC = 2.0
STACKS_WITHIN = 0.5

PROC = Path("/proc")
AT_WORK = ("R", "D")  # able to run, or waiting for a disk


class Look(NamedTuple):
    """What was seen of all places at one instant."""

    written: tuple[int, ...]  # bytes of each file of observations
    ticks: int  # processor time used
    working: bool  # some thread is able to run


class Watchdog:
    """Watches the processes of a run from outside.

    Parameters
    ----------
    pids
        The processes.
    files
        What they write their observations to.
    by_processor
        Whether threads at rest use no processor; where they spin at a GPU they do.
    """

    def __init__(
        self, pids: Sequence[int], files: Sequence[Path], by_processor: bool = True
    ) -> None:
        self._pids = pids if by_processor else ()
        self._files = files
        self._last: Look | None = None
        self._since = time.monotonic()
        seen = by_processor and PROC.is_dir()
        self._long = STILL_FOR if seen else STILL_FOR_WITHOUT_PROC

    def at_rest(self) -> bool:
        """Look once more; whether all looks for long enough were alike, with nobody at work."""
        look = Look(
            tuple(_size(file) for file in self._files),
            sum(_ticks(pid) for pid in self._pids),
            any(_works(pid) for pid in self._pids),
        )
        now = time.monotonic()
        if look != self._last or look.working:
            self._last, self._since = look, now
        return now - self._since >= self._long

    def disturbed(self) -> None:
        """Begin anew: what was at rest was given something to do."""
        self._last = None


def stacks(folder: Path, ranks: Sequence[int]) -> dict[int, str]:
    """The stacks that places wrote after a signal, by first rank; what came within a moment."""
    files = {rank: folder / f"stacks-{rank}.txt" for rank in ranks}
    until = time.monotonic() + STACKS_WITHIN
    while time.monotonic() < until and not all(_size(file) for file in files.values()):
        time.sleep(0.01)
    return {rank: _text(file) for rank, file in files.items() if file.exists()}


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _text(file: Path) -> str:
    return file.read_text("utf-8", "replace")


def _ticks(pid: int) -> int:
    fields = _stat(PROC / str(pid) / "stat")
    return int(fields[11]) + int(fields[12]) if fields else 0


def _works(pid: int) -> bool:
    tasks = PROC / str(pid) / "task"
    try:
        states = [_stat(task / "stat")[:1] for task in tasks.iterdir()]
    except OSError:
        return False
    return any(state and state[0] in AT_WORK for state in states)


def _stat(path: Path) -> list[str]:
    """The fields of a stat file behind the name, which may contain anything."""
    try:
        return path.read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []
