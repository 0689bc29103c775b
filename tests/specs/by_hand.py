"""The rows of `models.json` for tests: what each asks, and one of them asked of Spin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.specs.spin import compile_model, missing, search

SPECS = Path(__file__).parents[2] / "specs"
FOLDERS = ("cpu_gpu_event", "sm_deadlock", "async_eplb")
SECONDS = 100

needs_spin = pytest.mark.skipif(
    missing() is not None, reason="needs spin and gcc (Debian: apt-get install spin gcc libc6-dev)"
)


class Verified(NamedTuple):
    """What a verifier has found; `told` is what the model printed, line by line."""

    verdict: str
    states: int
    depth: int
    told: tuple[str, ...]


class Model(NamedTuple):
    """One row of a `models.json`."""

    folder: str
    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        settings = ",".join(f"{name}={value}" for name, value in self.row["defines"].items())
        return "-".join(filter(None, (self.row["file"], settings, self.row["property"])))

    def matches(self, **expected: object) -> bool:
        return all(self.row[key] == value for key, value in expected.items())


def models() -> list[Model]:
    return [
        Model(folder, row)
        for folder in FOLDERS
        for row in json.loads((SPECS / folder / "models.json").read_text(encoding="utf-8"))
    ]


def verify(model: Model, folder: Path, more: Sequence[str] = ()) -> Verified:
    """Build and run one row in a folder; `more` are further flags of the compiler."""
    row = model.row
    defines = [f"-D{name}={value}" for name, value in row["defines"].items()]
    pan = compile_model(SPECS / model.folder / row["file"], folder, defines, (*row["cc"], *more))
    chosen = [] if row["property"] == "safety" else ["-a", "-N", row["property"]]
    fairness = ["-f"] if row["fairness"] else []
    found = search(pan, [f"-m{row['search_depth']}", *chosen, *fairness, *row["pan"]], SECONDS)
    assert found.complete or found.errors
    return Verified(
        "violated" if found.errors else "holds",
        found.states,
        found.depth,
        tuple(line.partition(" ")[2] for line in found.said),
    )


def included(source: Path) -> str:
    """The text of a model with the files that it includes."""
    text = source.read_text(encoding="utf-8")
    more = re.findall(r'^#include "(.*)"', text, re.MULTILINE)
    return text + "".join(included(source.parent / name) for name in more)
