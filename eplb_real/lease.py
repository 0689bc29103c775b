"""GPUs for the length of a run: taken by a lock on a file, given back with their memory read.

Rules:
- A lock is one of the kernel's on a file per GPU, so it ends with its process, however that ends.
- Who holds GPUs sees only these (`CUDA_VISIBLE_DEVICES`), and so does everything that it starts.
- At the end the memory in use is read back; what is not at its baseline is an error.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from eplb_model.outcome import Lacking

LOCKS = Path(tempfile.gettempdir()) / "eplb-gpus"
SLACK = 64  # MiB by which memory in use may differ from the baseline
BACK_WITHIN = 15.0  # seconds for a driver to take a process down
LOOK_EVERY = 0.2
VISIBLE = "CUDA_VISIBLE_DEVICES"


class LeaseError(Lacking):
    """There are not so many GPUs, or they did not become free."""


class LeftBehind(RuntimeError):
    """A GPU was not given back as it was."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of this host, as nvidia-smi has it."""

    index: int
    uuid: str
    used: int  # MiB
    name: str = ""


def gpus() -> list[Gpu]:
    """The GPUs of this host; none without a driver.  No context is made."""
    rows = [line.split(", ", 3) for line in _asked("index,uuid,memory.used,name")]
    found = [Gpu(int(index), uuid, int(used), name) for index, uuid, used, name in rows]
    return _visible(found, os.environ.get(VISIBLE))


def driver_version() -> str:
    """The version of the GPU driver, as nvidia-smi says it; empty without one."""
    return next(iter(_asked("driver_version")), "")


@contextmanager
def leased(
    number: int,
    wait: float = 600.0,
    look: Callable[[], Sequence[Gpu]] = gpus,
    locks: Path = LOCKS,
) -> Iterator[Sequence[Gpu]]:
    """So many GPUs, for as long as the context lasts.

    Parameters
    ----------
    number
        How many.
    wait
        Seconds to wait for others to give theirs back.
    look
        Who says what there is.
    locks
        The folder of the lock files; everybody on a host has to use the same.

    Raises
    ------
    LeaseError
        If there are fewer, or they do not become free in time.
    LeftBehind
        If at the end one has more memory in use than at the beginning.
    """
    with ExitStack() as held:
        mine = _taken(number, wait, look, locks, held)
        held.enter_context(_only(mine))
        before = {gpu.uuid: gpu.used for gpu in mine}
        try:
            yield mine
        finally:  # a run that failed has most need of it
            _read_back(before, look)


def _asked(what: str) -> list[str]:
    """A line per GPU; none without a driver."""
    query = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return [] if done.returncode else done.stdout.splitlines()


def _taken(
    number: int, wait: float, look: Callable[[], Sequence[Gpu]], locks: Path, held: ExitStack
) -> Sequence[Gpu]:
    there = look()
    if len(there) < number:
        raise LeaseError(f"{number} GPUs are asked for, here are {len(there)}")
    locks.mkdir(mode=0o777, parents=True, exist_ok=True)
    until = time.monotonic() + wait
    while True:
        files = [(gpu, _locked(locks / f"{gpu.uuid}.lock")) for gpu in there]
        free = [(gpu, file) for gpu, file in files if file is not None]
        for _, file in free[number:] if len(free) >= number else free:
            file.close()
        if len(free) >= number:
            for _, file in free[:number]:
                held.callback(file.close)
            return [gpu for gpu, _ in free[:number]]
        if time.monotonic() > until:
            raise LeaseError(f"{number} GPUs did not become free in {wait:g} s")
        time.sleep(LOOK_EVERY)


def _locked(path: Path) -> IO[bytes] | None:
    """The file if nobody else holds it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _only(mine: Sequence[Gpu]) -> Iterator[None]:
    """Let this process and its children see these GPUs only."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(gpu.uuid for gpu in mine)
    try:
        yield
    finally:
        with suppress(KeyError):
            del os.environ[VISIBLE]
        if before is not None:
            os.environ[VISIBLE] = before


def _read_back(before: Mapping[str, int], look: Callable[[], Sequence[Gpu]]) -> None:
    until = time.monotonic() + BACK_WITHIN
    while True:
        used = {gpu.uuid: gpu.used for gpu in look()}
        left = {
            uuid: (start, used.get(uuid, 0))
            for uuid, start in before.items()
            if used.get(uuid, 0) > start + SLACK
        }
        if not left:
            return
        if time.monotonic() > until:
            words = [
                f"{uuid}: {now} MiB in use, {start} before" for uuid, (start, now) in left.items()
            ]
            raise LeftBehind(f"not given back as it was: {'; '.join(words)}")
        time.sleep(LOOK_EVERY)


def _visible(found: list[Gpu], visible: str | None) -> list[Gpu]:
    """Those that `CUDA_VISIBLE_DEVICES` leaves, which names indices or ids."""
    if visible is None:
        return found
    by_name = {name: gpu for gpu in found for name in (str(gpu.index), gpu.uuid)}
    return [by_name[word] for word in visible.split(",") if word in by_name]
