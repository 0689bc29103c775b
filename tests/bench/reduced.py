"""The reduced search: the certificate, how a direct proof grows, and cold starts."""

from __future__ import annotations

from math import log

from tests.bench import spin
from tests.bench.beside_spin import exported
from tests.bench.commands import CAPPED, HANGS, bare, checked, told
from tests.bench.table import Table
from tests.bench.unreduced import counted


def cut_off(table: Table, runs: int, *, quick: bool) -> None:
    """Spin as one uses it who knows the cut-off; our certificate and our proof at that size."""
    table.title("cut-off", f"{CAPPED}: 3 ranks stand for all")
    size = {"steps": 1, "layers": 1}
    given = [word for name, value in size.items() for word in ("--set", f"{name}={value}")]
    table_runs = max(runs, 3)
    proof, report = checked(table, CAPPED, {"ranks": 3, **size}, table_runs)
    table.exact("verdict", report["verdict"], "ok")
    certificate, said = told(("check", CAPPED, *given, "--all-ranks"), table_runs)
    table.row("check --all-ranks, the certificate", certificate)
    table.exact("answer and cut-off", (said["answer"], said["cutoff"]), ("holds", 3))
    ratio = certificate.seconds / proof.seconds
    text = "the certificate costs no more than the proof at N = 3"
    table.target(text, f"x {ratio:.2f}", ratio <= 1)
    if quick:
        return
    states, steps = counted(CAPPED, {"ranks": 3, **size}, 1)[1][:2]
    if spin.missing() is None:
        asked = exported(table, CAPPED, {"ranks": 3, **size}, 1)
        table.exact("states and steps are ours", (asked.states, asked.transitions), (states, steps))
        table.note(f"Spin at the cut-off takes x {asked.whole / certificate.seconds:.0f} our CPU")


def growth(table: Table, runs: int, *, quick: bool) -> None:
    """The direct proof for many ranks, and how it grows with their number."""
    table.title("growth", f"{CAPPED}, 3 steps, 3 layers: a direct proof for N ranks")
    empty = bare()
    points = []
    for ranks in (2, 4) if quick else (16, 32, 64, 128, 256):
        settings = {"ranks": ranks, "steps": 3, "layers": 3}
        took, report = checked(table, CAPPED, settings, runs)
        points.append((ranks, report["states"], took.seconds - empty.seconds))
    table.target(
        f"N = {ranks}: at most 250,000 states and 256 MiB",
        f"{report['states']} states, {took.mebibytes:.0f} MiB",
        report["states"] <= 250_000 and took.mebibytes <= 256,
    )
    in_states = slope([(n, states) for n, states, _ in points])
    in_seconds = slope([(n, max(seconds, 0.001)) for n, _, seconds in points])
    text = "exponent in N at most 2.1, in states and in CPU above a bare interpreter"
    got = f"{in_states:.2f} and {in_seconds:.2f}"
    table.target(text, got, max(in_states, in_seconds) <= 2.1)
    took, report = checked(table, HANGS, {"ranks": points[-1][0], "steps": 3, "layers": 3}, runs)
    text = f"N = {ranks}: first deadlock within 5,000 states"
    table.target(text, f"{report['states']} states", report["states"] <= 5000)


def cold(table: Table, runs: int, *, quick: bool) -> None:
    """From nothing to a verdict with a replayed counterexample."""
    table.title("cold start", f"{HANGS}, 3 steps, 3 layers: the whole process")
    empty = bare()
    table.row("a bare interpreter", empty)
    for ranks in (2, 4) if quick else (2, 16, 64, 256, 1024):
        took, report = checked(table, HANGS, {"ranks": ranks, "steps": 3, "layers": 3}, runs)
        table.exact("verdict", report["verdict"], "deadlock")
        above = took.seconds - empty.seconds
        text = f"N = {ranks}: at most 0.15 s above a bare interpreter"
        table.target(text, f"{above:.2f} s", above <= 0.15)


def slope(points: list[tuple[int, float]]) -> float:
    """The exponent that fits best, by least squares of the logarithms."""
    logs = [(log(n), log(value)) for n, value in points]
    x_mean = sum(x for x, _ in logs) / len(logs)
    y_mean = sum(y for _, y in logs) / len(logs)
    above = sum((x - x_mean) * (y - y_mean) for x, y in logs)
    return above / sum((x - x_mean) ** 2 for x, _ in logs)
