"""What people ask: the two-thread event, async EPLB, real depth, all vectors, advice."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench.children import measured
from tests.bench.commands import CAPPED, checked, told
from tests.bench.table import Table

LIMIT = ("--time-limit", "30")  # by the clock; what is cut there is a miss
CAPS = (1, 2, 4, 8, 16)
ADVISE = ("advise", "--machine", "h200", "--ranks", "8", "--experts", "256")


def protocols(table: Table, runs: int, *, quick: bool) -> None:
    """CpuGpuEvent, and async EPLB of two versions."""
    table.title("protocols", "CpuGpuEvent and async EPLB")
    for name, settings, verdict in (
        ("cpu_gpu_event_handshake", {}, "ok"),
        ("cpu_gpu_event_handshake", {"rounds": 100}, "ok"),
        ("cpu_gpu_event_lost_wake_up", {}, "deadlock"),
    ):
        _, report = checked(table, name, settings, runs)
        table.exact("verdict", report["verdict"], verdict)
    if quick:
        return
    for version in ("0.20", "0.33"):
        _, report = checked(table, "async_eplb", {"version": version}, 1)
        table.exact("verdict", report["verdict"], "ok")
    large = {"version": "0.33", "ranks": 64, "layers": 3}
    took, report = checked(table, "async_eplb", large, 1, *LIMIT)
    proved = report["verdict"] == "ok"
    text = "async EPLB of 0.33, 64 ranks, 3 layers: at most 10 s"
    table.target(text, f"{_said(report)}, {took.seconds:.1f} s", proved and took.seconds <= 10)


def deep(table: Table, runs: int, *, quick: bool) -> None:
    """As many layers as a real model has."""
    table.title("depth", f"{CAPPED}, 2 ranks, as deep as a real model")
    sizes = ((1, 4),) if quick else ((1, 58), (58, 1), (58, 58))
    for steps, layers in sizes:
        settings = {"ranks": 2, "steps": steps, "layers": layers}
        took, report = checked(table, CAPPED, settings, runs, *LIMIT)
        proved = report["verdict"] == "ok"
        table.target(
            f"{steps} steps, {layers} layers: at most 5 s and 300 MiB",
            f"{_said(report)}, {took.seconds:.1f} s, {took.mebibytes:.0f} MiB",
            proved and took.seconds <= 5 and took.mebibytes <= 300,
        )


def catalogue(table: Table) -> None:
    """Every vector, on one core."""
    table.title("catalogue", "every vector with its own parameters, in one process")
    took = measured((sys.executable, "-m", "tests.bench.whole_catalogue"), 1)
    vectors, states, steps, differ = json.loads(took.output)
    table.row(f"{vectors} vectors", took, states, steps)
    table.exact("vectors with another verdict than they expect", differ, [])
    text = "the whole catalogue in under 20 s on one core"
    table.target(text, f"{took.seconds:.1f} s", took.seconds < 20)


def advice(table: Table, *, quick: bool) -> None:
    """The safe configuration over a range of token counts, for several caps."""
    table.title("advise", "token counts x caps; 8 ranks, 256 experts, 64 MiB a transfer")
    tokens = "1..16" if quick else "1..512"
    seconds = 0.0
    for cap in CAPS[:1] if quick else CAPS:
        words = (*ADVISE, "--tokens", tokens, "--bytes-per-op", "64MiB")
        took, said = told((*words, "--env", f"NCCL_MAX_CTAS={cap}"), 1)
        seconds += took.seconds
        table.row(f"tokens {tokens}, NCCL_MAX_CTAS={cap}: safe={said['safe']}", took)
    text = "512 token counts x 5 caps in under 10 s"
    table.target(text, f"{seconds:.1f} s", seconds < 10)


def _said(report: dict[str, Any]) -> str:
    """The verdict, and the bound that cut the search."""
    cut = report["bounds"]["cut"]
    return report["verdict"] if cut is None else f"{report['verdict']} (cut by its {cut})"
