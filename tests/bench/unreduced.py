"""Nothing left out: every state and every step, by rows and by Spin, with the same counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import spin
from tests.bench.children import Measured, measured
from tests.bench.table import Table

FAMILY = "coop_vs_nccl_all_at_once"
SIZES = ((4, 1), (3, 2), (3, 3))
QUICK = ((3, 1),)
LARGE = (3, 4)  # 8,467,921 states
FITS = 128  # CTAs of the cooperative kernel that leave room for one channel


def unreduced(table: Table, runs: int, *, quick: bool) -> None:
    """All sizes; the targets are those of the largest."""
    table.title("unreduced", f"{FAMILY}, one channel; nothing left out")
    for ranks, layers in QUICK if quick else SIZES:
        took = _ours(table, ranks, layers, runs)
        if spin.missing() is None:
            _spins(table, ranks, layers, runs, took)
    _fits(table, 3, 1 if quick else 3, runs)
    if not quick:
        _large(table, runs)


def _ours(table: Table, ranks: int, layers: int, runs: int) -> tuple[Measured, int, int]:
    took, (states, steps, deadlocks) = counted(
        FAMILY, {"ranks": ranks, "layers": layers, "nccl_ctas": 1}, runs
    )
    table.row(f"{ranks} ranks, {layers} layers: ours", took, states, steps)
    expected = 2 * layers**2 * (2**ranks - 2)
    table.exact("deadlocks, closed form 2 L^2 (2^N - 2)", deadlocks, expected)
    return took, states, steps


def _spins(
    table: Table, ranks: int, layers: int, runs: int, ours: tuple[Measured, int, int]
) -> None:
    """Spin on the same, in every way that it is used."""
    bits = spin.BIG if ours[1] >= 1_000_000 else spin.SMALL
    for name, model, setting in (
        ("expert", spin.EXPERT, spin.COUNT),
        ("expert", spin.EXPERT, spin.COUNT_O0),
        ("expert", spin.EXPERT, spin.AS_IT_COMES),
        ("plain", spin.PLAIN, spin.COUNT),
        ("plain", spin.PLAIN, spin.AS_IT_COMES),
        ("expert", spin.EXPERT, spin.FIRST_ERROR),
        ("expert", spin.EXPERT, spin.FIRST_RANDOM),
    ):
        once = 1 if setting.name != spin.COUNT.name else runs
        with TemporaryDirectory() as folder:
            asked = spin.ask(
                model, setting, once, Path(folder), defines=spin.family(ranks, layers), bits=bits
            )
        table.row(f"  Spin, {name} {setting.name}", asked.ran, asked.states, asked.transitions)
        if setting is spin.COUNT:
            more = int(model == spin.PLAIN)  # the start, before `init` has run
            what = f"states and steps are ours{' and one for init' * more}"
            expected = (ours[1] + more, ours[2] + more)
            table.exact(what, (asked.states, asked.transitions), expected)


def _fits(table: Table, ranks: int, layers: int, runs: int) -> None:
    settings = {"ranks": ranks, "layers": layers, "nccl_ctas": 1, "coop_ctas": FITS}
    took, (states, steps, deadlocks) = counted(FAMILY, settings, runs)
    table.row(f"{ranks} ranks, {layers} layers, both kernels fit: ours", took, states, steps)
    table.exact("deadlocks where they fit", deadlocks, 0)


def _large(table: Table, runs: int) -> None:
    took, states, steps = _ours(table, *LARGE, runs)
    if spin.missing() is not None:
        return
    for setting, times in ((spin.COUNT, runs), (spin.COUNT_O0, 1)):
        with TemporaryDirectory() as folder:
            sizes = spin.family(*LARGE)
            asked = spin.ask(
                spin.EXPERT, setting, times, Path(folder), defines=sizes, bits=spin.BIG
            )
        table.row(f"  Spin, expert {setting.name}", asked.ran, asked.states, asked.transitions)
        table.exact("states and steps are ours", (asked.states, asked.transitions), (states, steps))
        if setting is spin.COUNT:
            seconds = took.seconds / asked.ran.seconds
            memory = took.mebibytes / asked.ran.mebibytes
            text = "CPU at most 1.5 x pan -O2, from 5 million states on"
            table.target(text, f"x {seconds:.2f}", seconds <= 1.5)
            table.target("memory at most a fifth of that", f"x {memory:.2f}", memory <= 0.2)


def counted(
    vector: str, settings: dict[str, int], runs: int
) -> tuple[Measured, tuple[int, int, int]]:
    """All states, steps and deadlocks of a vector, in a process of its own."""
    words = [f"{name}={value}" for name, value in settings.items()]
    took = measured((sys.executable, "-m", "tests.bench.counted", vector, *words), runs)
    states, steps, deadlocks = json.loads(took.output)
    return took, (states, steps, deadlocks)
