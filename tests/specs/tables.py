"""The tables that specs/README.md and specs/results.md show, made from the manifest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.specs.handwritten import SPECS

BEGIN, END = "<!-- generated from manifest.json: begin -->", "<!-- generated: end -->"
README, RESULTS = SPECS / "README.md", SPECS / "results.md"
HEAD = """\
# Results

Every model that Spin or z3 checks, from `manifest.json`.
`make specs` runs all of them again and compares.
States and transitions are those of the whole search without any reduction.
Where something is violated, the search of a hand-written model ends there.
z3 visits no states: what it says holds for any number of rounds.
"""
EXPORTED = """\
## Exported vectors

*Formulas* are those of the model that some run breaks, by name; `-` where they are not asked.
*Ours* is how many states our plain search visits; `verdict` where only that is compared.
*Stalls* says whether Spin was asked for silent stalls; they need somebody who goes on for ever.
"""

BATTERY = "../tests/battery.py"
BY_HAND = ("model", "defines", "property", "says", "result", "states", "depth")
VECTORS = (
    *("vector", "settings", "verdict", "formulas", "states", "transitions", "depth", "ours"),
    "stalls",
)

Manifest = Mapping[str, Any]
Row = Sequence[object]


def summary(manifest: Manifest) -> str:
    """A line per hand-written file and one per verdict of exported scenarios."""
    return _table(("models", "checked", "result", "most states", "tool"), _summary(manifest))


def _summary(manifest: Manifest) -> Iterator[Row]:
    by_file: dict[str, list[Mapping[str, Any]]] = {}
    for entry in manifest["models"]:
        name = entry["model"]
        if isinstance(name, str):
            by_file.setdefault(name, []).append(entry)
    for name, entries in by_file.items():
        kinds = Counter(entry["expected"] for entry in entries)
        result = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        shown = f"[{name.removeprefix('specs/')}]({name.removeprefix('specs/')})"
        yield shown, f"{len(entries)} properties", result, _most(entries), entries[0]["version"]
    exported = [entry for entry in manifest["models"] if not isinstance(entry["model"], str)]
    if exported:
        kinds = Counter(entry["expected"] for entry in exported)
        result = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        same = sum(1 for entry in exported if entry["our_states"] is not None)
        checked = f"{len(exported)} scenarios, {same} of them state by state"
        yield (
            "exported vectors ([results](results.md))",
            checked,
            result,
            _most(exported),
            exported[0]["version"],
        )
    cases = manifest["cases"]
    if cases:
        total = cases["checked"] + cases["refused"]
        said = f"{cases['checked']} of {total}, state by state"
        tool = exported[0]["version"]
        yield f"[cases of the battery]({BATTERY}), a rule each", said, "as pinned", "-", tool
    if manifest["refused"]:
        yield "vectors that the export refuses", len(manifest["refused"]), "-", "-", "-"


def _most(entries: Sequence[Mapping[str, Any]]) -> str:
    counts = [entry["states"] for entry in entries if entry["states"] is not None]
    return str(max(counts)) if counts else "no bound"


def results(manifest: Manifest) -> str:
    """Every model in full."""
    parts = [HEAD]
    by_hand = [entry for entry in manifest["models"] if isinstance(entry["model"], str)]
    exported = [entry for entry in manifest["models"] if not isinstance(entry["model"], str)]
    if by_hand:
        parts += ["## Written by hand\n", _table(BY_HAND, map(_by_hand, by_hand))]
    if exported:
        parts += [EXPORTED, _table(VECTORS, map(_exported, exported))]
    if manifest["refused"]:
        rows = ((each["vector"], each["why"]) for each in manifest["refused"])
        parts += ["## What the export refuses\n", _table(("vector", "why"), rows)]
    return "\n".join(parts)


def _by_hand(entry: Mapping[str, Any]) -> Row:
    defines = " ".join(re.findall(r"-D(\S+)", entry["command"][0])) or "-"
    name = entry["model"].removeprefix("specs/")
    says, result = entry["about"], entry["expected"]
    counts = ("-" if entry[each] is None else entry[each] for each in ("states", "depth"))
    return name, defines, entry["property"], says, result, *counts


def _exported(entry: Mapping[str, Any]) -> Row:
    model = entry["model"]
    named = {**model.get("set", {}), **model.get("switches", {})}
    settings = ", ".join(f"{name}={value}" for name, value in named.items()) or "-"
    ours = "verdict" if entry["our_states"] is None else entry["our_states"]
    counts = (entry["states"], entry["transitions"], entry["depth"])
    broken = "-" if entry["broken"] is None else ", ".join(entry["broken"]) or "all hold"
    return model["vector"], settings, entry["expected"], broken, *counts, ours, entry["stalls"]


def _table(head: Sequence[str], rows: Iterator[Row]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def with_summary(text: str, manifest: Manifest) -> str:
    """A page with the summary between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{summary(manifest)}\n{END}{after}"


def rewrite(manifest: Manifest, readme: Path = README, page: Path = RESULTS) -> None:
    """Write the tables."""
    readme.write_text(with_summary(readme.read_text(), manifest))
    page.write_text(results(manifest))
