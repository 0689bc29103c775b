"""Spin: vectors as one writes them at first, as an expert does, and as they are exported.

Rules:
- `-o2` keeps Spin from leaving out a variable that is only written, so that both sides count the
  same states; the ordinary run, without it, is shown too.
- `-DNOREDUCE` turns Spin's own partial order reduction off for the counts; with it, Spin is run as
  it comes.
- A verifier that is followed for long may have 4 GiB.  Collapsed states (`-DCOLLAPSE`) would take
  less and more time, which is what ends first; hash compaction and bit states prove nothing.
- The hash table (`-w`) is as large as the states need: clearing a larger one costs more than a
  small search.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from tests.bench.children import Measured, measured

HERE = Path(__file__).parent
STATES = re.compile(r"([\d.e+]+) states, stored")
TRANSITIONS = re.compile(r"([\d.e+]+) transitions \(")
SEEN = re.compile(r"States= +([\d.e+]+) ")  # so far, told for each million
CUT = re.compile(r"reached -DMEMLIM bound|max search depth too small")
ERRORS = re.compile(r"errors: (\d+)")


@dataclass(frozen=True, slots=True)
class Setting:
    """How Spin is asked."""

    name: str
    spin: tuple[str, ...]
    gcc: tuple[str, ...]
    pan: tuple[str, ...]

    def __str__(self) -> str:
        words = ("spin", *self.spin, "-a; gcc", *self.gcc, "pan.c; pan", *self.pan)
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Asked:
    """What Spin did: to get a verifier, and to run it."""

    made: float  # CPU seconds of spin -a and of gcc
    ran: Measured

    @property
    def whole(self) -> float:
        """From the text to the verdict, in seconds of CPU."""
        return self.made + self.ran.seconds

    @property
    def states(self) -> int | None:
        return _number(STATES, self.ran.output)

    @property
    def transitions(self) -> int | None:
        found = _number(TRANSITIONS, self.ran.output)
        return None if found is None else found - 1  # Spin counts the start as one

    @property
    def seen(self) -> int | None:
        """The states of which a verifier told before it was ended."""
        found = SEEN.findall(self.ran.output)
        return int(float(found[-1])) if found else None

    @property
    def errors(self) -> int | None:
        return _number(ERRORS, self.ran.output)


PLAIN, EXPERT = HERE / "family_plain.pml", HERE / "family_expert.pml"
OPPOSITE = HERE / "opposite_expert.pml"
ALL = ("-c0", "-m1000000")
FIRST = ("-m1000000",)
SMALL, BIG, HUGE = 18, 24, 26  # bits of the hash table
SAFETY = ("-DSAFETY", "-w")
COUNT = Setting("-O2", ("-o2",), ("-O2", *SAFETY, "-DNOREDUCE"), ALL)
COUNT_O0 = Setting("-O0", ("-o2",), ("-O0", *SAFETY, "-DNOREDUCE"), ALL)
AS_IT_COMES = Setting("-O2, reduced as it comes", (), ("-O2", *SAFETY), ALL)
FIRST_ERROR = Setting("-O2, first error", ("-o2",), ("-O2", *SAFETY), FIRST)
RANDOM = ("-DT_RAND", "-DP_RAND")
FIRST_RANDOM = Setting(
    "-O2, first error, random order", ("-o2",), ("-O2", *SAFETY, *RANDOM), (*FIRST, "-RS1")
)
FOLLOWED = Setting("-O2, followed", ("-o2",), ("-O2", *SAFETY, "-DNOREDUCE", "-DMEMLIM=4096"), ALL)
EXPORTED = Setting(
    "-O2", ("-o1", "-o2", "-o3"), ("-O2", *SAFETY, "-DNOREDUCE", "-DVECTORSZ=8192"), ALL
)


def missing() -> str | None:
    """What of Spin and a C compiler is not here."""
    return next((tool for tool in ("spin", "gcc") if shutil.which(tool) is None), None)


def versions() -> str:
    """What Spin and the compiler call themselves."""
    spin = subprocess.run(("spin", "-V"), capture_output=True, text=True, check=False).stdout
    gcc = subprocess.run(("gcc", "--version"), capture_output=True, text=True, check=False).stdout
    return f"{spin.split('--')[0].strip()}, {gcc.splitlines()[0]}"


def ask(
    model: Path,
    setting: Setting,
    runs: int,
    folder: Path,
    *,
    defines: tuple[str, ...] = (),
    bits: int = SMALL,
    limit: int | None = None,
    until: float | None = None,
) -> Asked:
    """Make the verifier of a model, and run it.

    It is ended after `limit` seconds of CPU, or when all of it has taken `until` seconds.
    """
    pan = folder / "pan"
    pan.unlink(missing_ok=True)
    made = measured(("spin", *setting.spin, *defines, "-a", str(model.resolve())), 1, folder)
    built = measured(("gcc", *setting.gcc, "-o", "pan", "pan.c"), 1, folder)
    if not pan.exists():
        sys.exit(f"no verifier for {model.name}:\n{made.output}{built.output}")
    seconds = made.seconds + built.seconds
    if until is not None:
        limit = max(1, ceil(until - seconds))
    ran = measured((str(pan), *setting.pan, f"-w{bits}"), runs, folder, limit=limit)
    return Asked(seconds, replace(ran, done=ran.done and not CUT.search(ran.output)))


def family(ranks: int, layers: int) -> tuple[str, ...]:
    """The sizes of the hand-written family."""
    return (f"-DN={ranks}", f"-DL={layers}")


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return None if found is None else int(float(found[1]))
