"""Spin as a process: compile a model, search it, read what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eplb_model.export.promela.formulas import nfair

SPIN_FLAGS = ("-a", "-o1", "-o2", "-o3")  # no dead variables, merging or slicing: same states
EXPORTED = ("-DNOREDUCE", "-DVECTORSZ=8192", "-DMEMLIM=1500")  # how an exported model is compiled
SAFETY = (*EXPORTED, "-DSAFETY")
COMPILERS = ("tcc", "gcc")  # the first is a hundred times faster on what Spin writes
PAN_SAFETY = ("-c0", "-m200000", "-w20")
PAN_REACH = PAN_SAFETY
PAN_LIVENESS = ("-a", "-f", "-m2000000", "-w20")


class SpinFailed(Exception):
    """Spin, the compiler or the verifier did not do their work."""


@dataclass(frozen=True)
class Searched:
    """What a search counted, and what the model said on the way."""

    states: int
    transitions: int
    depth: int
    errors: int
    seconds: float
    memory_mib: float
    said: Counter[str]  # lines that begin with @, and how often
    complete: bool


def missing() -> str | None:
    """The first tool that is not here; Spin has gcc read its models, so gcc has to be there."""
    return next((tool for tool in ("spin", "gcc") if shutil.which(tool) is None), None)


def _compiler() -> str:
    return next(name for name in COMPILERS if shutil.which(name))


def fair(processes: int) -> tuple[str, ...]:
    """How a model of so many processes is compiled for a search under weak fairness."""
    return (*EXPORTED, f"-DNFAIR={nfair(processes)}")


def version() -> str:
    """What Spin calls itself: `Spin 6.5.2`."""
    said = subprocess.run(["spin", "-V"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Version (\S+)", said)
    return f"Spin {found[1]}" if found else "Spin"


def compile_model(
    model: Path,
    folder: Path,
    defines: Sequence[str] = (),
    flags: Sequence[str] = SAFETY,
) -> Path:
    """The verifier of a model; everything that is made on the way is in the folder."""
    translate(model, folder, defines)
    _call([_compiler(), "-w", *flags, "-o", "pan", "pan.c"], folder)
    return folder / "pan"


def translate(model: Path, folder: Path, defines: Sequence[str] = ()) -> None:
    """Have Spin read a model, its formulas too, and write the verifier in C."""
    _call(["spin", *defines, *SPIN_FLAGS, str(model.resolve())], folder)


def search(pan: Path, flags: Sequence[str] = PAN_SAFETY, limit: float = 300) -> Searched:
    """Run a verifier to its end."""
    began = time.monotonic()
    text = _call([str(pan), *flags], pan.parent, limit, fine=(0, 1))
    seconds = time.monotonic() - began
    if "errors: " not in text:
        raise SpinFailed(f"{' '.join(flags)}: {text[:1000]}")
    said = Counter(line[1:] for line in text.splitlines() if line.startswith("@"))
    return Searched(
        states=_number(r"(\d+) states, stored", text),
        transitions=_number(r"(\d+) transitions", text),
        depth=_number(r"depth reached (\d+)", text),
        errors=_number(r"errors: (\d+)", text),
        seconds=seconds,
        memory_mib=float(_first(r"([\d.]+)\ttotal actual memory usage", text) or 0),
        said=said,
        complete="Search not completed" not in text and "max search depth too small" not in text,
    )


def _call(words: list[str], folder: Path, limit: float = 300, fine: tuple[int, ...] = (0,)) -> str:
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise SpinFailed(f"{words[0]} takes longer than {limit:.0f} s") from None
    if done.returncode not in fine or "syntax error" in done.stdout:
        raise SpinFailed(f"{' '.join(words)}: {done.stdout[:1500]}{done.stderr[:1500]}")
    return done.stdout + done.stderr


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _number(pattern: str, text: str) -> int:
    return int(_first(pattern, text) or 0)
