"""One scenario, asked twice: what Spin says of the exported model, and what we say.

Rules:
- Both sides search every schedule without any reduction, so the number of distinct states, the
  number of transitions and the kinds of ends have to be equal, and so has every deadlock.
- Where our plain search would be too long, only the verdict is compared (ours with settling), and
  Spin is asked for silent stalls only where we say there is one, which it then finds early:
  fairness multiplies its states by the number of actors.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from eplb_model.check import check
from eplb_model.explore.search import Bounds, Exploration, explore
from eplb_model.export import CannotExport
from eplb_model.export.promela import Exported, promela
from eplb_model.findings import PRECEDENCE
from eplb_model.scenario import Scenario
from tests.specs.projection import in_words
from tests.specs.spin import (
    PAN_LIVENESS,
    PAN_REACH,
    SAFETY,
    Searched,
    SpinFailed,
    compile_model,
    fair,
    search,
    translate,
)

FORMULA_BOUND = 6_000  # states of Spin's; in larger models formulas are not asked one by one
UNREACHED = "unreached"  # of a formula that is wanted to fail, and holds
PLAIN_BOUND = 20_000  # states of ours; what is larger is compared by its verdict
# By verdict: which formulas some run has to break; the first words of their names.
BREAKS = {
    "deadlock": ("no_deadlock",),
    "race": ("no_race",),
    "misuse": ("no_error",),
    "violation": ("no_error", "ends_well", "always", UNREACHED),
    "stall": ("goes_on", "eventually"),
}
ENDS = ("violation", "misuse", "race", "deadlock", "ok")


@dataclass(frozen=True)
class Spun:
    """What Spin says of a model."""

    verdict: str
    states: int
    transitions: int
    depth: int
    seconds: float
    memory_mib: float
    ends: Mapping[str, int]
    deadlocks: Counter[str]
    processes: int
    stalls: str  # asked; not asked; none, as nobody goes on for ever or something else is wrong


@dataclass(frozen=True)
class Compared:
    """One scenario with both answers; `differs` says in what, if in anything."""

    name: str
    refused: str | None = None
    spun: Spun | None = None
    ours: str = ""
    our_states: int | None = None  # None: too many for our plain search
    broken: tuple[str, ...] | None = None  # formulas; None: not asked, the model is too large
    differs: str = ""


def compare(name: str, scenario: Scenario, known_states: int | None = None) -> Compared:
    """Ask both, and for each formula; `known_states` saves a plain search that would be cut."""
    found = agree(name, scenario, known_states)
    if found.spun is None or found.differs:
        return found
    try:
        return _with_formulas(found, promela(scenario), found.spun)
    except SpinFailed as reason:
        return replace(found, differs=f"formulas: {reason}")


def agree(name: str, scenario: Scenario, known_states: int | None = None) -> Compared:
    """Ask both for the verdict, and for every state where that is no more than a bound."""
    try:
        exported = promela(scenario)
    except CannotExport as reason:
        return Compared(name, refused=str(reason))
    try:
        ours = check(scenario).verdict
        spun = spin_says(exported, PLAIN_BOUND if ours != "stall" else sys.maxsize)
    except SpinFailed as reason:
        return Compared(name, differs=f"Spin: {reason}")
    found = Compared(name, None, spun, ours)
    if ours != spun.verdict:
        return replace(found, differs=f"verdict: Spin {spun.verdict}, ours {ours}")
    if max(spun.states, known_states or 0) > PLAIN_BOUND:
        return found
    plain = explore(scenario.world, bounds=Bounds(max_states=PLAIN_BOUND * 2))
    found = replace(found, our_states=len(plain.states))
    return replace(found, differs="; ".join(differences(exported, spun, plain)))


def _with_formulas(found: Compared, exported: Exported, spun: Spun) -> Compared:
    """The same with the formulas that Spin finds broken, which have to fit the verdict.

    Of a model that is too large for that Spin only reads them.
    """
    if spun.states > FORMULA_BOUND:
        with TemporaryDirectory() as name:
            model = Path(name) / "model.pml"
            model.write_text(exported.text)
            translate(model, Path(name), ("-DLTL",))
        return found
    broken = tuple(broken_formulas(exported))
    kinds = BREAKS.get(spun.verdict, ())
    asked = not any(f"/* {kind} is too long" in exported.text for kind in kinds)
    if not asked:
        return found
    fits = any(name.startswith(kinds) for name in broken) if kinds else not broken
    said = "" if fits else f"formulas: {', '.join(broken) or 'all hold'}, verdict {spun.verdict}"
    return replace(found, broken=broken, differs=said)


def differences(exported: Exported, spun: Spun, plain: Exploration) -> list[str]:
    """In what a search of Spin and a plain search of ours differ."""
    found = []
    for what, theirs, our in (
        ("states", spun.states, len(plain.states)),
        ("transitions", spun.transitions, plain.transitions),
        ("ends", dict(spun.ends), our_ends(plain)),
        ("deadlocks", spun.deadlocks, our_deadlocks(exported, plain)),
    ):
        if theirs != our:
            found.append(f"{what}: Spin {theirs}, ours {our}")
    return found


def our_ends(plain: Exploration) -> dict[str, int]:
    """How many states of each kind our runs end in."""
    ends: Counter[str] = Counter(broken.verdict for broken in plain.broken.values())
    for number in plain.final:
        ends["deadlock" if plain.states[number].unfinished() else "ok"] += 1
    return dict(ends)


def our_deadlocks(exported: Exported, plain: Exploration) -> Counter[str]:
    """Our deadlocks in the words of the exported model."""
    states = (plain.states[number] for number in plain.final)
    return Counter(in_words(exported.layout, s) for s in states if s.unfinished())


def spin_says(exported: Exported, bound: int = PLAIN_BOUND) -> Spun:
    """Verify an exported model: every schedule, then, where programs loop, fair runs.

    With more states than the bound it is not asked for these.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.pml"
        model.write_text(exported.text)
        searched = search(compile_model(model, folder, ("-DSHOW",), SAFETY))
        said = _said(exported, searched)
        if said.verdict == "ok" and exported.cyclic and said.states > bound:
            said = replace(said, stalls="not asked")
        elif said.verdict == "ok" and exported.cyclic:
            pan = compile_model(model, folder, ("-DLIVENESS",), fair(exported.processes))
            stalls = search(pan, PAN_LIVENESS).errors
            said = replace(said, stalls="asked", verdict="stall" if stalls else "ok")
        if said.verdict == "ok" and exported.interesting:
            pan = compile_model(model, folder, ("-DSHOW", "-DREACH"), SAFETY)
            if len(search(pan, PAN_REACH).said) < exported.interesting:
                said = replace(said, verdict="violation")
        return said


def broken_formulas(exported: Exported) -> Iterator[str]:
    """The formulas of an exported model that some run breaks; or doesn't, where that is wanted."""
    names = re.findall(r"^ltl (\w+)", exported.text, re.MULTILINE)
    with TemporaryDirectory() as name:
        model = Path(name) / "model.pml"
        model.write_text(exported.text)
        pan = compile_model(model, Path(name), ("-DLTL",), fair(exported.processes))
        for each in names:
            searched = search(pan, (*_how(each), "-N", each))
            if not (searched.complete or searched.errors):
                raise SpinFailed(f"the search for {each} was not completed")
            if each.startswith("sometimes_"):
                yield from () if searched.errors else (each.replace("sometimes", UNREACHED),)
            elif searched.errors:
                yield each


def _how(formula: str) -> tuple[str, ...]:
    fairness = formula.startswith(("goes_on_", "eventually_"))
    return PAN_LIVENESS if fairness else tuple(flag for flag in PAN_LIVENESS if flag != "-f")


def _said(exported: Exported, searched: Searched) -> Spun:
    """The counts of a search without the steps of the process that only looks."""
    ends: Counter[str] = Counter()
    looked = 0
    deadlocks: Counter[str] = Counter()
    for line, times in searched.said.items():
        kind, _, rest = line.partition(" ")
        looked += times
        if kind in ENDS:
            ends[kind] += times
        if kind == "deadlock":
            deadlocks[rest] += times
    if not searched.complete:
        raise SpinFailed("the search was not completed")
    asserted = sum(times for kind, times in ends.items() if kind != "ok")
    if searched.errors != asserted:
        raise SpinFailed("an assertion of the model itself failed: a queue is too small")
    verdict = next((kind for kind in PRECEDENCE if kind in ends), "ok")
    return Spun(
        verdict,
        searched.states,
        searched.transitions - looked - 1,  # Spin counts the way into the initial state
        searched.depth,
        searched.seconds,
        searched.memory_mib,
        dict(ends),
        deadlocks,
        exported.processes,
        "none",
    )
