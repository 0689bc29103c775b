"""What the fast search costs on the family of cooperative kernels against NCCL, beside Spin.

`make bench` prints it.  Seconds are CPU time of whole processes, medians of RUNS; compare ratios of
one run.  Counts are exact, and where a closed form says what they are, they are compared with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from eplb_model.explore.fast.packed import count_everything
from eplb_model.vector import load
from tests.bench import spin
from tests.bench.children import Measured, measured

RUNS = 5
SIZES = ((4, 1), (3, 2), (3, 3))
LARGE = (3, 4)  # 8,467,921 states; with --large
FAMILY = "coop_vs_nccl_all_at_once"
CAPPED = "coop_vs_nccl_capped"
HANGS = "coop_vs_nccl_opposite_order"


def unreduced(ranks: int, layers: int) -> None:
    """Count everything in this process, for its parent to measure."""
    settings = {"ranks": ranks, "layers": layers, "nccl_ctas": 1}
    counts = count_everything(load(FAMILY).scenario(settings).world)
    sys.stdout.write(json.dumps([counts.states, counts.transitions, counts.deadlocks]))


def beside_spin(ranks: int, layers: int, runs: int) -> None:
    """Every state of one size, by our tables and by Spin."""
    command = (sys.executable, "-m", "tests.bench.family", "unreduced", str(ranks), str(layers))
    took = measured(command, runs)
    states, transitions, deadlocks = json.loads(took.output)
    expected = 2 * layers**2 * (2**ranks - 2)
    say(f"\n{FAMILY}, {ranks} ranks, {layers} layers, one channel: nothing reduced\n")
    say(f"  {'':<26} {'states':>9} {'transitions':>10} {'CPU':>10} {'memory':>10}\n")
    say(f"  {'tables':<26} {states:>9} {transitions:>10} {_cost(took)}\n")
    say(f"  deadlocks: {deadlocks}, closed form 2 L^2 (2^N - 2) = {expected}\n")
    if deadlocks != expected:
        sys.exit("the closed form is not met")
    if not spin.is_installed():
        say("  Spin is not installed: apt-get install spin\n")
        return
    with TemporaryDirectory() as folder:
        expert = spin.run(spin.SETTINGS[0], ranks, layers, runs, Path(folder))
        same = (expert.states, expert.transitions) == (states, transitions)
        seconds = took.seconds / max(expert.took.seconds, 0.01)
        memory = took.mebibytes / expert.took.mebibytes
        say(f"  same counts as Spin: {same}; CPU x {seconds:.2f}, memory x {memory:.2f}\n")
        for line in spin.lines(ranks, layers, 1, Path(folder)):
            say(line)


def checked(vector: str, settings: Mapping[str, int], runs: int) -> None:
    """One check, command line and all."""
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    took = measured((sys.executable, "-m", "eplb_model", "check", vector, *words, "--json"), runs)
    report = json.loads(took.output)
    given = " ".join(f"{name}={value}" for name, value in settings.items())
    say(
        f"  {vector} {given:<38} {report['verdict']:<9} {report['states']:>7} states "
        f"{len(report['schedule']):>5} steps {_cost(took)}\n"
    )


def symmetric(ranks: int, layers: int) -> None:
    """Deadlocks up to renaming ranks, and their closed form."""
    settings = {"ranks": ranks, "layers": layers}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    took = measured((sys.executable, "-m", "eplb_model", "check", FAMILY, *words, "--json"), 1)
    report = json.loads(took.output)
    expected = 2 * layers**2 * (ranks - 1)
    found = report["ends"]["deadlock"]
    say(
        f"  {ranks:>3} ranks, {layers} layers: {report['states']:>7} states, {found} deadlocks up "
        f"to renaming, closed form 2 L^2 (N - 1) = {expected} {_cost(took)}\n"
    )
    if found != expected:
        sys.exit("the closed form is not met")


def say(text: str) -> None:
    """Print at once: the whole table takes minutes."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _cost(took: Measured) -> str:
    return f"{took.seconds:>8.2f} s {took.mebibytes:>6.0f} MiB"


def main(words: list[str]) -> None:
    """The tables, or one measured part of them."""
    if words[:1] == ["unreduced"]:
        unreduced(int(words[1]), int(words[2]))
        return
    bare = measured((sys.executable, "-c", "pass"), RUNS)
    say(f"a bare interpreter: {_cost(bare)}\n\nchecks, from cold start to verdict and replay\n")
    for ranks in (2, 16, 64, 256):
        checked(CAPPED, {"ranks": ranks, "steps": 3, "layers": 3}, RUNS)
    checked(CAPPED, {"ranks": 2, "steps": 1, "layers": 58}, 1)
    for ranks in (2, 4, 64, 256):
        checked(HANGS, {"ranks": ranks, "steps": 3, "layers": 3}, RUNS)
    for name in ("cpu_gpu_event_handshake", "async_eplb_small", "async_eplb_event_before_wake"):
        checked(name, {}, RUNS)
    say(f"\n{FAMILY}: symmetry and persistent sets\n")
    for size in ((2, 1), (8, 1), (32, 1), (2, 2), (8, 2), (3, 3)):
        symmetric(*size)
    for size in SIZES:
        beside_spin(*size, RUNS)
    if "--large" in words:
        beside_spin(*LARGE, 1)


if __name__ == "__main__":
    main(sys.argv[1:])
