"""Runs a command several times: CPU seconds and memory of the child, medians, and its output.

The parent stays small: what it takes before `exec` counts as memory of the child.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile


@dataclass(frozen=True, slots=True)
class Measured:
    """The medians of some runs of one command."""

    seconds: float  # of CPU, user and system, with all that the command waited for
    mebibytes: float
    output: str  # of the last run
    runs: int
    done: bool  # whether it ended by itself


def measured(
    command: Sequence[str], runs: int, folder: Path | None = None, *, limit: int | None = None
) -> Measured:
    """CPU time and peak memory of a command; whatever it exits with.

    With a limit in seconds of CPU the kernel ends it there; it is then not run again.
    """
    if limit is not None:
        command = ("sh", "-c", f'ulimit -t {limit}; exec "$@"', "sh", *command)
    once: list[Measured] = []
    while len(once) < runs and all(each.done for each in once):
        once.append(_once(command, folder))
    return Measured(
        median(each.seconds for each in once),
        median(each.mebibytes for each in once),
        once[-1].output,
        len(once),
        once[-1].done,
    )


def _once(command: Sequence[str], folder: Path | None) -> Measured:
    with TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    seconds = usage.ru_utime + usage.ru_stime
    return Measured(seconds, usage.ru_maxrss / 1024, text, 1, child.returncode >= 0)
