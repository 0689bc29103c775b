"""All that can be shown on the GPUs of a host, part by part, each with one of three answers.

Rules:
- A part is a process of its own with a time limit; its exit code is its answer: agrees, disagrees,
  or inconclusive, with the reason.
- What is written down names the GPUs, the versions, the date and the command.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from eplb_real.lease import driver_version, gpus
from eplb_real.vllm.wheel import VERSIONS, is_there

Answer = Literal["agrees", "disagrees", "inconclusive"]
EXIT_CODES: dict[int, Answer] = {0: "agrees", 1: "disagrees"}
TESTS = Path(__file__).parents[2] / "tests" / "real" / "test_cuda.py"
PACKAGES = ("torch", "nvidia-nccl-cu13", "nvidia-nccl-cu12", "cuda-bindings", "nccl4py", "nixl")
LAST_LINES = 400
JOBS = 3  # vectors side by side: a GPU gives each process its turn


@dataclass(frozen=True, slots=True)
class Part:
    """What is shown: a name, the words after `python -m`, and seconds that it may take."""

    name: str
    words: tuple[str, ...]
    limit: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a part; `lines` are the last ones that it printed."""

    name: str
    command: str
    answer: Answer
    why: str
    seconds: float
    lines: tuple[str, ...]


def parts(number: int, races: int) -> list[Part]:
    """The parts for so many GPUs."""
    real = ("eplb_real",)
    replay = (*real, "replay", "--all", "--runs", "1", "--jobs", str(JOBS), "--driver")
    direct = find_spec("nccl") is not None
    found = [
        Part("hang", (*real, "hang", "--gpus", str(number), "--races", str(races)), 200),
        Part("vectors", (*replay, "cuda"), 420),
        Part("vectors with NCCL", (*replay, "cuda-nccl" if direct else "cuda-torch-nccl"), 200),
    ]
    if TESTS.exists():  # in a checkout, not where only the package is installed
        words = ("pytest", "-v", "-rs", "-p", "no:cacheprovider", "--require-gpu", str(TESTS))
        found.append(Part("events and communicators", words, 400))
    found += [
        Part(f"events of vLLM {version}", (*replay, "vllm-cuda", "--version", version), 150)
        for version in VERSIONS
        if is_there(version)
    ]
    return found


def show(chosen: Sequence[Part], say: Callable[[str], None]) -> Iterator[Shown]:
    """Show the parts one after the other, each when it is asked for."""
    for part in chosen:
        say(f"\n== {part.name}: python -m {' '.join(part.words)}")
        shown = _shown(part, say)
        say(
            f"== {part.name}: {shown.answer}{shown.why and ': '}{shown.why} ({shown.seconds:.0f} s)"
        )
        yield shown


def document(shown: Sequence[Shown], command: str) -> dict[str, Any]:
    """What was shown, as it is kept (`eplb-gpu/1`)."""
    return {
        "schema": "eplb-gpu/1",
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "gpus": [gpu.name for gpu in gpus()],
        "driver": driver_version(),
        "python": sys.version.split()[0],
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "parts": [asdict(each) for each in shown],
    }


def exit_code(shown: Sequence[Shown]) -> int:
    """1 if a part disagrees, 3 if one is inconclusive, else 0."""
    answers = {each.answer for each in shown}
    return 1 if "disagrees" in answers else 3 if "inconclusive" in answers else 0


def _shown(part: Part, say: Callable[[str], None]) -> Shown:
    begun = time.monotonic()
    command = [sys.executable, "-m", *part.words]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        lines, late = _read(process, part.limit, say)
        code = process.wait()
    why = (
        f"cut after {part.limit:g} s" if late else "" if code in EXIT_CODES else f"exit code {code}"
    )
    answer: Answer = "inconclusive" if why else EXIT_CODES[code]
    return Shown(
        part.name,
        f"python -m {' '.join(part.words)}".replace(str(TESTS), "tests/real/test_cuda.py"),
        answer,
        why,
        round(time.monotonic() - begun, 1),
        tuple(lines[-LAST_LINES:]),
    )


def _read(
    process: subprocess.Popen[str], limit: float, say: Callable[[str], None]
) -> tuple[list[str], bool]:
    """What a process prints until it ends; it is ended, with all that it started, at its limit."""
    late = False

    def end(number: int, frame: object) -> None:
        nonlocal late
        late = True
        os.killpg(process.pid, signal.SIGKILL)

    assert process.stdout is not None, "its output is a pipe"
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            say("   " + lines[-1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return lines, late


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
