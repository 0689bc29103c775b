"""Spin for tests: build a verifier of a hand-written specification, run it, read what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SPECS = Path(__file__).parents[2] / "specs"
FOLDERS = ("cpu_gpu_event", "sm_deadlock", "async_eplb")
SECONDS = 100
PLAIN = ("-a", "-o1", "-o2", "-o3")  # no dead variables, merging or slicing

needs_spin = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")),
    reason="needs spin and gcc (Debian: apt-get install spin gcc)",
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
    source = SPECS / model.folder / row["file"]
    _run(["spin", *defines, *PLAIN, str(source)], folder)
    _run(["gcc", "-O0", "-w", *row["cc"], *more, "-o", "pan", "pan.c"], folder)
    chosen = [] if row["property"] == "safety" else ["-a", "-N", row["property"]]
    fairness = ["-f"] if row["fairness"] else []
    out = _run(["./pan", f"-m{row['search_depth']}", *chosen, *fairness, *row["pan"]], folder)
    assert "max search depth too small" not in out
    return Verified(
        "violated" if _number(r"errors: (\d+)", out) else "holds",
        _number(r"(\d+) states, stored", out),
        _number(r"depth reached (\d+)", out),
        tuple(re.findall(r"^ *(?:end|at) (.*)$", out, re.MULTILINE)),
    )


def included(source: Path) -> str:
    """The text of a model with the files that it includes."""
    text = source.read_text(encoding="utf-8")
    more = re.findall(r'^#include "(.*)"', text, re.MULTILINE)
    return text + "".join(included(source.parent / name) for name in more)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert "Error:" not in done.stdout, done.stdout
    return done.stdout


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text[-2000:]
    return int(found[1])
