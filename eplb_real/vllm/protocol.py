"""Runs vLLM's async EPLB on two processes and asks the model whether it has such a run.

Rules (specs/refinement.md#vllm):
- The model is the vector `async_eplb_small` with the same settings; what vLLM's threads call is
  compared with the operations that `is_visible` picks out, the model takes all others as it likes.
- A run that was asked to fail ends when no worker can go on and the main threads have stepped on:
  "hung" if a call never came back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eplb_model.observation import observation
from eplb_model.protocols.rearrangement import maps
from eplb_model.refine import Ending, Refinement, refine
from eplb_model.scenario import Scenario
from eplb_model.vector import load
from eplb_real.vllm.recorder import read_lines
from eplb_real.vllm.wheel import REFERENCE, VERSIONS, sources

VECTOR = "async_eplb_small"
DEADLINE = 100.0
LOOK_EVERY = 0.05

KINDS = frozenset(
    {
        "all_reduce",
        "cpu_gpu_event_record",
        "cpu_gpu_event_wait",
        "irecv",
        "isend",
        "raise",
        "wait_requests",
    }
)
VARIABLES = frozenset({"pending", "published", "rebalanced", "taken"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One run: the settings of the model that vLLM's text has too, and how long to go on."""

    version: str = REFERENCE
    ranks: int = 2
    layers: int = 1
    models: int = 1
    cycles: int = 1
    interval: int = 1
    moved: str = "swap"
    dies: int | None = None
    raises: int | None = None
    raises_after: bool = False
    record_first: bool = False
    drain: int | None = None
    steps: int = 20  # after a failure, once no worker can go on
    seed: int = 0  # of the lengths of forward passes

    def __post_init__(self) -> None:
        """Raise ValueError for what the text of a version has not."""
        for name, layer in (("dies", self.dies), ("raises", self.raises)):
            if layer is not None and not 0 <= layer < self.layers:
                raise ValueError(f"{name}={layer}: expected a layer below {self.layers}")
        if self.drain is not None and self.version == "0.20.0":
            raise ValueError("drain: 0.20.0 has none")
        if self.version not in VERSIONS:
            raise ValueError(f"version={self.version}: expected one of {', '.join(VERSIONS)}")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it: the lines of all ranks, and the end that they show."""

    lines: tuple[dict[str, Any], ...]
    ending: Ending
    evidence: str = ""


def scenario_of(asked: Asked, **settings: Any) -> Scenario:
    """The model of a run; further settings replace those of the run."""
    named = {**asdict(asked), "version": asked.version.rpartition(".")[0]}
    del named["steps"], named["seed"]
    return load(VECTOR).scenario({**named, **settings})


def is_visible(op: Any) -> bool:
    """Whether an operation of the model is one that is seen here."""
    if op.kind in ("put", "test"):
        name = str(getattr(op, "variable", getattr(op, "into", "")))
        return name.partition("_of_")[0] in VARIABLES
    if op.kind == "copy":
        return bool(op.direction == "d2h" or (op.stream == "compute" and op.writes != ("load",)))
    if op.kind == "assert":
        return str(op.condition).startswith("pending")
    if op.kind == "stream_synchronize":
        return bool(op.stream == "side")
    return op.kind in KINDS


def run(asked: Asked) -> Ran:
    """Run vLLM's code once.

    Raises
    ------
    WheelError
        If the cache lacks the version.
    """
    sources(asked.version)
    with tempfile.TemporaryDirectory(prefix="eplb-real-vllm-") as name:
        folder = Path(name)
        processes = [_start(asked, rank, folder) for rank in range(asked.ranks)]
        try:
            codes = _ended(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        lines = [line for rank in range(asked.ranks) for line in read_lines(_lines(folder, rank))]
        errors = [_last((folder / f"errors-{rank}").read_text()) for rank in range(asked.ranks)]
    if any(codes):
        return Ran(tuple(lines), "cut", f"ended with {codes}: {'; '.join(filter(None, errors))}")
    return Ran(tuple(lines), "completed" if _all_done(lines, asked.ranks) else "hung")


def refined(
    scenario: Scenario, ran: Ran, visible: Callable[[Any], bool] = is_visible
) -> Refinement:
    """Whether the model has the run."""
    seen = observation(scenario.world, ran.lines, streams=False)
    return refine(scenario, seen, ran.ending, visible=visible)


def _start(asked: Asked, rank: int, folder: Path) -> subprocess.Popen[bytes]:
    order = {
        "asked": asdict(asked),
        "rank": rank,
        "maps": maps(asked.moved, asked.ranks, asked.cycles),
        "store": str(folder / "store"),
        "lines": str(_lines(folder, rank)),
    }
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    with (folder / f"errors-{rank}").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "eplb_real.vllm.rank", json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path},
        )


def _ended(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """How each process ended; 1 for one that did not within the deadline."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        time.sleep(LOOK_EVERY)
    return [1 if process.returncode is None else process.returncode for process in processes]


def _lines(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.jsonl"


def _all_done(lines: Sequence[dict[str, Any]], ranks: int) -> bool:
    exits = {line["actor"] for line in lines if line["event"] == "exit"}
    return exits == {f"{rank}.{name}" for rank in range(ranks) for name in ("main", "worker")}


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2]
