"""The reduced search beside Spin, from cold start to verdict; Spin is told of no cut-off.

Rules:
- Spin's side is all of it: `spin -a`, gcc, pan.  What pan takes alone is told beside it.
- A vector has up to three texts: plain, as an expert writes it by hand, and as it is exported.  gcc
  takes most of the time for the last, so what Spin takes for the text by hand says more.
- Where there is a hang, pan is asked twice: for its first error, and for all states, which is what
  `check` answers (what else ends how, and whether every run hangs).
- A verifier that does not end is followed until Spin has had as many times our CPU as a target asks
  for, or all the memory that it may have.  A ratio is then told as "at least".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import spin
from tests.bench.children import measured
from tests.bench.commands import CAPPED, HANGS, checked
from tests.bench.table import Table
from tests.bench.unreduced import FAMILY, counted

LIMIT = 60  # seconds of CPU after which an exported text is not waited for
LONGEST = 400  # and a text by hand, however long we took
TWO, FOUR = 10, 500  # times faster, for so many ranks
DEEP = {"steps": 3, "layers": 3}


def beside_spin(table: Table, runs: int, *, quick: bool) -> None:
    """Hangs and proofs for 2 and 4 ranks."""
    table.title("reduced", "the reduced search, and Spin without the cut-off")
    if spin.missing() is not None:
        table.note(f"{spin.missing()} is not installed: apt-get install spin gcc libc6-dev")
    for ranks, layers in ((2, 1), (4, 1)) if quick else ((2, 3), (4, 1), (4, 2)):
        _all_at_once(table, ranks, layers, runs)
    two = {"ranks": 2, **({"steps": 1, "layers": 1} if quick else DEEP)}
    _two_ranks(table, CAPPED, two, runs)
    _two_ranks(table, HANGS, two, runs)
    if not quick:
        _four_ranks_hang(table, runs)
        _four_ranks_hold(table, runs)
        _four_ranks_exported(table, runs)


def _all_at_once(table: Table, ranks: int, layers: int, runs: int) -> None:
    """The family whose deadlocks have a closed form, in two texts."""
    took, report = checked(table, FAMILY, {"ranks": ranks, "layers": layers}, runs)
    expected = 2 * layers**2 * (ranks - 1)
    found = report["ends"]["deadlock"]
    table.exact("deadlocks up to renaming ranks, 2 L^2 (N - 1)", found, expected)
    if spin.missing() is not None:
        return
    bits = spin.BIG if (ranks, layers) == (4, 2) else spin.SMALL
    defines = spin.family(ranks, layers)
    for name, model, times in (("expert", spin.EXPERT, runs), ("plain", spin.PLAIN, 1)):
        _twice(table, name, model, defines, times, took.seconds, bits)


def _twice(
    table: Table,
    name: str,
    model: Path,
    defines: tuple[str, ...],
    runs: int,
    seconds: float,
    bits: int = spin.SMALL,
) -> None:
    """Spin on a hang: all states, then the first error."""
    for setting, what in ((spin.COUNT, "all states"), (spin.FIRST_ERROR, "first error")):
        with TemporaryDirectory() as folder:
            asked = spin.ask(model, setting, runs, Path(folder), defines=defines, bits=bits)
        table.row(f"  Spin, {name} {setting.name}", asked.ran, asked.states, asked.transitions)
        table.note(f"{what}: {ratio(seconds, asked)}")


def _two_ranks(table: Table, vector: str, settings: Mapping[str, int], runs: int) -> None:
    """What Spin can finish: by hand and exported; both have our states and steps."""
    took, _ = checked(table, vector, settings, runs)
    if spin.missing() is not None:
        return
    expected = counted(vector, dict(settings), 1)[1][:2]
    by_hand = _by_hand(table, vector, settings, spin.COUNT, runs)
    found = (by_hand.states, by_hand.transitions)
    table.exact("states and steps are ours, nothing left out", found, expected)
    asked = exported(table, vector, settings, runs)
    if vector == CAPPED:
        judge(table, TWO, "by hand", took.seconds, by_hand)
        judge(table, TWO, "exported", took.seconds, asked)
        return
    table.note(f"all states, by hand: {ratio(took.seconds, by_hand)}")
    table.note(f"all states, exported: {ratio(took.seconds, asked)}")
    first = _by_hand(table, vector, settings, spin.FIRST_ERROR, runs)
    table.note(f"first error, by hand: {ratio(took.seconds, first)}")


def _four_ranks_hang(table: Table, runs: int) -> None:
    """A hang is reached soon, whatever comes after it: there is little to leave out."""
    settings = {"ranks": 4, **DEEP}
    took, _ = checked(table, HANGS, settings, runs)
    if spin.missing() is None:
        _twice(table, "by hand", spin.OPPOSITE, _sizes(HANGS, settings), runs, took.seconds)


def _four_ranks_hold(table: Table, runs: int) -> None:
    """A proof: pan is followed for as long as the target says."""
    settings = {"ranks": 4, **DEEP}
    took, _ = checked(table, CAPPED, settings, runs)
    if spin.missing() is not None:
        return
    until = min(LONGEST, 1.01 * FOUR * took.seconds)
    asked = _by_hand(table, CAPPED, settings, spin.FOLLOWED, 1, until)
    if not asked.ran.done:
        seen = "no million" if asked.seen is None else f"{asked.seen:,}"
        table.note(f"pan had seen {seen} states when it was ended, and was not done")
    judge(table, FOUR, "by hand", took.seconds, asked)
    one = {"ranks": 4, "steps": 1, "layers": 1}
    rows, (states, steps, _) = counted(CAPPED, one, 1)
    table.row("  1 step and 1 layer, nothing left out: ours", rows, states, steps)


def _four_ranks_exported(table: Table, runs: int) -> None:
    """One step and one layer: for three of each gcc takes minutes."""
    settings = {"ranks": 4, "steps": 1, "layers": 1}
    took, _ = checked(table, CAPPED, settings, runs)
    if spin.missing() is None:
        asked = exported(table, CAPPED, settings, 1)
        table.note(f"all states, exported: {ratio(took.seconds, asked)}")


def _by_hand(
    table: Table,
    vector: str,
    settings: Mapping[str, int],
    setting: spin.Setting,
    runs: int,
    until: float | None = None,
) -> spin.Asked:
    with TemporaryDirectory() as folder:
        sizes = _sizes(vector, settings)
        bits = spin.SMALL if until is None else spin.HUGE
        asked = spin.ask(
            spin.OPPOSITE, setting, runs, Path(folder), defines=sizes, bits=bits, until=until
        )
    table.row(f"  Spin, by hand {setting.name}", asked.ran, asked.states, asked.transitions)
    return asked


def _sizes(vector: str, settings: Mapping[str, int]) -> tuple[str, ...]:
    rounds = settings["steps"] * settings["layers"]
    hang = ("-DHANG",) if vector == HANGS else ()
    return (f"-DN={settings['ranks']}", f"-DK={rounds}", *hang)


def exported(table: Table, vector: str, settings: Mapping[str, int], runs: int) -> spin.Asked:
    """Spin on a vector as `eplb-model export` writes it, with all its states."""
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = (sys.executable, "-m", "eplb_model", "export", vector, "--format", "promela", *given)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "exported.pml"
        model.write_text(measured(command, 1).output)
        bits = spin.BIG if settings["ranks"] > 2 else spin.SMALL
        asked = spin.ask(model, spin.EXPORTED, runs, Path(folder), bits=bits, limit=LIMIT)
    table.row("  Spin, exported -O2", asked.ran, asked.states, asked.transitions)
    return asked


def judge(table: Table, wanted: int, text: str, seconds: float, asked: spin.Asked) -> None:
    """A target: of all states, by one text."""
    ranks = {TWO: 2, FOUR: 4}[wanted]
    said = f"at least {wanted} times faster at N = {ranks}, {text}"
    table.target(said, ratio(seconds, asked), asked.whole / seconds >= wanted)


def ratio(seconds: float, asked: spin.Asked) -> str:
    """How many times faster we are: than Spin from text to verdict, than its verifier alone."""
    least = "" if asked.ran.done else "at least "
    whole, alone = _times(asked.whole / seconds), _times(asked.ran.seconds / seconds)
    made = f"{asked.made:.1f} s of spin and gcc"
    return f"{least}x {whole} with {made}, {least}x {alone} pan alone"


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
