"""Runs a command several times: CPU seconds and memory of the child, medians, and its output."""

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

    seconds: float
    mebibytes: float
    output: str  # of the last run


def measured(command: Sequence[str], runs: int, folder: Path | None = None) -> Measured:
    """CPU time and peak memory of a command; whatever it exits with."""
    once = [_once(command, folder) for _ in range(runs)]
    return Measured(
        median(each.seconds for each in once),
        median(each.mebibytes for each in once),
        once[-1].output,
    )


def _once(command: Sequence[str], folder: Path | None) -> Measured:
    with TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)
