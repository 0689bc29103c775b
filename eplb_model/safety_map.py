"""From the lines of a sweep to a safety map, with the measured points that belong on it.

Rule: a measured row belongs on a map if its scenario is the one of the swept vector at the row's
values of the two parameters: machine, kernels and programs are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eplb_model.outcome import UsageError
from eplb_model.render.grid import Cell, Mark, SafetyMap, kind_of
from eplb_model.scenario import Scenario
from eplb_model.tables import Row, Table
from eplb_model.vector import VectorFile

Settings = Mapping[str, Any]


def safety_map(
    vector: VectorFile,
    settings: Settings,
    names: tuple[str, str],
    lines: Iterable[Mapping[str, Any]],
    tables: Sequence[Table],
) -> SafetyMap:
    """The map of a sweep over two parameters: the first upwards, the second to the right.

    Raises `UsageError` if a parameter is no number.
    """
    up, right = names
    cells = []
    for line in lines:
        x, y = line["parameters"][right], line["parameters"][up]
        if not (isinstance(x, int) and isinstance(y, int)):
            raise UsageError(f"--plot: {right}={x} {up}={y}; expected two parameters in numbers")
        cells.append(Cell(x, y, kind_of(line["verdict"], line["serialised"])))
    marks = tuple(sorted(set(_marks(vector, settings, names, cells, tables))))
    drawn = SafetyMap("", right, up, tuple(cells), marks)
    return SafetyMap(_title(vector, settings, drawn), right, up, drawn.cells, marks)


def _title(vector: VectorFile, settings: Settings, drawn: SafetyMap) -> str:
    given = " ".join(f"{name}={value}" for name, value in settings.items())
    known, agree = drawn.agreement
    measured = f"{agree} of {known} measured points agree" if known else ""
    return "\n".join(each for each in (vector.name, given, measured) if each)


def _marks(
    vector: VectorFile,
    settings: Settings,
    names: tuple[str, str],
    cells: Sequence[Cell],
    tables: Sequence[Table],
) -> Iterator[Mark]:
    up, right = names
    xs, ys = [cell.x for cell in cells], [cell.y for cell in cells]
    for table in tables:
        for row in table.rows:
            if row.get("observe", "run") != "run" or row.get("vector", table.vector) != vector.name:
                continue
            measured = _scenario_of(row, vector)
            x, y = measured.parameters[right], measured.parameters[up]
            inside = min(xs) <= x <= max(xs) and min(ys) <= y <= max(ys)
            if inside and _same(measured, vector.scenario({**settings, up: y, right: x})):
                yield Mark(x, y, row["outcome"])


def _scenario_of(row: Row, vector: VectorFile) -> Scenario:
    return vector.scenario(dict(row.get("set", {})))


def _same(one: Scenario, other: Scenario) -> bool:
    return (one.machine, one.kernels, one.ranks) == (other.machine, other.kernels, other.ranks)
