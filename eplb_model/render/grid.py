"""A safety map as a value: verdicts over two parameters, and what real GPUs did at some points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Outcome = Literal["completes", "hang"]
# How the cells are told apart: an `ok` in which kernels wait for SMs is near the edge.
CELLS = ("ok", "ok, one after the other", "may", "unknown", "deadlock", "stall", "race")
OTHER = "violation"


class Cell(NamedTuple):
    """One point that was checked."""

    x: int
    y: int
    kind: str  # of CELLS, or OTHER


class Mark(NamedTuple):
    """One point that was measured."""

    x: int
    y: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SafetyMap:
    """What to draw."""

    title: str
    x_name: str
    y_name: str
    cells: tuple[Cell, ...]
    marks: tuple[Mark, ...] = ()

    @property
    def agreement(self) -> tuple[int, int]:
        """How many measured points lie on a checked one that is definite, and how many agree."""
        kinds = {(cell.x, cell.y): cell.kind for cell in self.cells}
        said = [(kinds.get((mark.x, mark.y)), mark.outcome) for mark in self.marks]
        known = [(kind, outcome) for kind, outcome in said if kind not in (None, "may", "unknown")]
        agree = sum((kind == "deadlock") == (outcome == "hang") for kind, outcome in known)
        return len(known), agree


def kind_of(verdict: str, serialised: str | None) -> str:
    """How a report is shown.

    >>> kind_of("ok", "sometimes"), kind_of("misuse", None)
    ('ok, one after the other', 'violation')
    """
    if verdict == "ok" and serialised in ("sometimes", "always"):
        return CELLS[1]
    return verdict if verdict in CELLS else OTHER


def axis(values: Iterable[int]) -> list[int]:
    """The values of one parameter, ascending, each once."""
    return sorted(set(values))
