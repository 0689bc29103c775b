"""The catalogue of bugs: vectors that go wrong, each with the twin that fixes it.

Rule: nothing is said here that the vectors don't say; the table is made from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from eplb_model.vector import VECTORS, VectorFile, load


@dataclass(frozen=True, slots=True)
class Bug:
    """One pair: what goes wrong, how, where it was seen, and what fixes it."""

    name: str
    twin: str
    classes: tuple[str, ...]
    verdict: str
    when: str
    steps: int | None
    source: tuple[str, ...]
    about: str
    fix: str

    def document(self) -> dict[str, Any]:
        """The pair as JSON has it."""
        return {
            "name": self.name,
            "twin": self.twin,
            "classes": list(self.classes),
            "verdict": self.verdict,
            "when": self.when,
            "steps": self.steps,
            "source": list(self.source),
            "about": self.about,
            "fix": self.fix,
        }


def bugs(vectors: Iterable[VectorFile]) -> tuple[Bug, ...]:
    """Every vector of a class that some other vector fixes, by class and name."""
    by_name = {vector.name: vector for vector in vectors}
    twins: dict[str, VectorFile] = {}
    for vector in by_name.values():
        fixed = vector.document.get("fixes")
        if isinstance(fixed, str):
            twins.setdefault(fixed, vector)
    pairs = [_bug(by_name[name], twin) for name, twin in twins.items()]
    return tuple(sorted((pair for pair in pairs if pair.classes), key=_order))


def twins_of(name: str) -> Iterator[VectorFile]:
    """The vectors of the catalogue that fix this one; only these are read in full."""
    for path in sorted(VECTORS.glob("*.json")):
        if json.loads(path.read_text("utf-8")).get("fixes") == name:
            yield load(path.stem)


def bugs_table(pairs: Iterable[Bug]) -> str:
    """The pairs as a Markdown table."""
    head = "| class | bug | verdict | steps | seen in | fixed by |\n|---|---|---|---|---|---|\n"
    rows = [
        f"| {', '.join(pair.classes)} | `{pair.name}` | {pair.verdict}, {pair.when} "
        f"| {pair.steps or '-'} | {', '.join(pair.source)} | `{pair.twin}` |\n"
        for pair in pairs
    ]
    return head + "".join(rows)


def _bug(vector: VectorFile, twin: VectorFile) -> Bug:
    scenario = vector.scenario()
    expect = vector.cases()[0][1]
    return Bug(
        vector.name,
        twin.name,
        scenario.classes,
        expect.verdict,
        expect.when or "depends",
        expect.steps,
        scenario.source,
        scenario.about,
        twin.scenario().about,
    )


def _order(pair: Bug) -> tuple[int, str]:
    return int(pair.classes[0].lstrip("S")), pair.name
