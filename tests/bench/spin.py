"""Spin on the family, as one writes it at first and as an expert does, with all flags told.

Rules:
- `-o2` keeps Spin from leaving out a variable that is only written, so that both sides count the
  same states; the ordinary run, without it, is shown too.
- `-DNOREDUCE` turns Spin's own partial order reduction off for the counts; with it, Spin is run as
  it comes.
- `-w24` spares Spin the growth of its hash table.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.children import Measured, measured

HERE = Path(__file__).parent
STATES = re.compile(r"(\d+) states, stored")
TRANSITIONS = re.compile(r"(\d+) transitions")
ERRORS = re.compile(r"errors: (\d+)")


@dataclass(frozen=True, slots=True)
class Setting:
    """How Spin is asked."""

    name: str
    text: str  # which Promela
    spin: tuple[str, ...]
    gcc: tuple[str, ...]
    pan: tuple[str, ...]

    def __str__(self) -> str:
        return f"spin {' '.join(self.spin)} -a; gcc {' '.join(self.gcc)}; pan {' '.join(self.pan)}"


ALL = ("-c0", "-m1000000", "-w24")
SAFETY = ("-DSAFETY", "-w")
SETTINGS = (
    Setting("expert", "family_expert.pml", ("-o2",), ("-O2", *SAFETY, "-DNOREDUCE"), ALL),
    Setting("expert -O0", "family_expert.pml", ("-o2",), ("-O0", *SAFETY, "-DNOREDUCE"), ALL),
    Setting("expert as it comes", "family_expert.pml", (), ("-O2", *SAFETY), ALL),
    Setting("plain", "family_plain.pml", ("-o2",), ("-O2", *SAFETY, "-DNOREDUCE"), ALL),
    Setting("plain as it comes", "family_plain.pml", (), ("-O2", *SAFETY), ALL),
    Setting("first error", "family_expert.pml", ("-o2",), ("-O2", *SAFETY), ("-m1000000", "-w24")),
    Setting(
        "first error, random",
        "family_expert.pml",
        ("-o2",),
        ("-O2", *SAFETY, "-DT_RAND", "-DP_RAND"),
        ("-m1000000", "-w24", "-RS1"),
    ),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run of pan told, and what it took."""

    states: int
    transitions: int
    errors: int
    took: Measured


def is_installed() -> bool:
    """Whether there is a Spin and a C compiler."""
    return shutil.which("spin") is not None and shutil.which("gcc") is not None


def run(setting: Setting, ranks: int, layers: int, runs: int, folder: Path) -> Counted:
    """Make the verifier of a setting, and run it."""
    sizes = (f"-DN={ranks}", f"-DL={layers}")
    _quietly(("spin", *setting.spin, *sizes, "-a", str(HERE / setting.text)), folder)
    _quietly(("gcc", *setting.gcc, "-o", "pan", "pan.c"), folder)
    took = measured((str(folder / "pan"), *setting.pan), runs, folder)
    return Counted(
        _number(STATES, took.output),
        _number(TRANSITIONS, took.output) - 1,  # Spin counts the start as one
        _number(ERRORS, took.output),
        took,
    )


def lines(ranks: int, layers: int, runs: int, folder: Path) -> Iterator[str]:
    """One line for every setting."""
    for setting in SETTINGS:
        done = run(setting, ranks, layers, runs, folder)
        yield (
            f"  Spin, {setting.name:<20} {done.states:>9} {done.transitions:>10} "
            f"{done.took.seconds:>8.2f} s {done.took.mebibytes:>6.0f} MiB  ({setting})\n"
        )


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    if found is None:
        sys.exit(f"pan said nothing of {pattern.pattern!r}:\n{text}")
    return int(found[1])


def _quietly(command: tuple[str, ...], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
