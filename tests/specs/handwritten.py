"""The models that are written by hand: specs/*/models.json says what Spin must answer for each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.specs.spin import SPIN_FLAGS, Searched, SpinFailed, compile_model, search

SPECS = Path(__file__).parents[2] / "specs"
NO_CLAIM = "safety"  # the property that is no formula: no deadlock, no failed assertion


@dataclass(frozen=True)
class Model:
    """One line of a `models.json`: a file, a property, the defines, and what must come out."""

    folder: Path
    file: str
    claim: str
    defines: tuple[tuple[str, str], ...]
    fairness: bool
    expected: str
    states: int
    depth: int
    search_depth: int
    cc: tuple[str, ...]
    pan: tuple[str, ...]
    about: str

    @property
    def name(self) -> str:
        """Where it is in the repository."""
        return f"specs/{self.folder.name}/{self.file}"

    @property
    def definitions(self) -> tuple[str, ...]:
        """The defines as Spin takes them."""
        return tuple(f"-D{name}={value}" if value else f"-D{name}" for name, value in self.defines)

    @property
    def pan_flags(self) -> tuple[str, ...]:
        """How its verifier is run."""
        claim = () if self.claim == NO_CLAIM else ("-a", "-N", self.claim)
        fair = ("-f",) if self.fairness else ()
        return (*claim, *fair, f"-m{self.search_depth}", *self.pan)

    @property
    def command(self) -> tuple[str, ...]:
        """What to type, line by line."""
        return (
            " ".join(("spin", *self.definitions, *SPIN_FLAGS, self.name)),
            " ".join(("gcc", "-w", *self.cc, "-o pan pan.c")),
            " ".join(("./pan", *self.pan_flags)),
        )

    @property
    def binary(self) -> tuple[object, ...]:
        """Models with one and the same verifier are equal in this."""
        return (self.name, self.defines, self.cc)


@dataclass(frozen=True)
class Checked:
    """A model with what Spin said, or why it said nothing."""

    model: Model
    searched: Searched | None
    differs: str


def models(specs: Path = SPECS) -> tuple[Model, ...]:
    """All that are listed, folder by folder."""
    return tuple(each for file in sorted(specs.glob("*/models.json")) for each in _read(file))


def _read(file: Path) -> Iterator[Model]:
    for entry in json.loads(file.read_text()):
        yield Model(
            file.parent,
            entry["file"],
            entry["property"],
            tuple((name, str(value)) for name, value in entry["defines"].items()),
            entry["fairness"],
            entry["expected"],
            entry["states"],
            entry["depth"],
            entry["search_depth"],
            tuple(entry["cc"]),
            tuple(entry["pan"]),
            entry["about"],
        )


def batches(listed: Iterable[Model]) -> list[tuple[Model, ...]]:
    """Models that share a verifier, so that each is compiled once."""
    ordered = sorted(listed, key=lambda model: repr(model.binary))
    return [tuple(group) for _, group in groupby(ordered, key=lambda model: model.binary)]


def check_batch(batch: Sequence[Model]) -> list[Checked]:
    """Compile once, then ask for each property."""
    first = batch[0]
    with TemporaryDirectory() as name:
        try:
            model = first.folder / first.file
            pan = compile_model(model, Path(name), first.definitions, first.cc)
        except SpinFailed as reason:
            return [Checked(each, None, str(reason)) for each in batch]
        return [_check(each, pan) for each in batch]


def _check(model: Model, pan: Path) -> Checked:
    try:
        searched = search(pan, model.pan_flags)
    except SpinFailed as reason:
        return Checked(model, None, str(reason))
    answer = "violated" if searched.errors else "holds"
    said = {
        "expected": (model.expected, answer),
        "states": (model.states, searched.states),
        "depth": (model.depth, searched.depth),
    }
    wrong = [
        f"{what}: {was} is listed, {now} found" for what, (was, now) in said.items() if was != now
    ]
    if not searched.complete and answer == "holds":
        wrong.append("the search was not completed")
    return Checked(model, searched, "; ".join(wrong))


def formulas(file: Path) -> frozenset[str]:
    """The formulas that a model, or what it includes, gives a name."""
    text = file.read_text()
    found = set(re.findall(r"^ltl\s+(\w+)", text, re.MULTILINE))
    for included in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        found |= formulas(file.parent / included)
    return frozenset(found)
