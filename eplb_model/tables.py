"""Measured tables, `eplb-measured/1`: what real GPUs did, shipped with the package or in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eplb_model.format.document import VectorError, read_document

SCHEMA = "eplb-measured/1"
MEASURED = Path(__file__).parent / "measured"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One measured table: who measured what, and its rows.  `vector` is the rows' default."""

    name: str
    provenance: Mapping[str, Any]
    rows: tuple[Row, ...]
    vector: str | None = None


def tables() -> tuple[Table, ...]:
    """The tables of the package, by name."""
    return tuple(read_table(path) for path in sorted(MEASURED.glob("*.json")))


def find_table(name_or_path: str) -> Table:
    """A table of the package by its name, or one in a file.

    Raises `VectorError`, with the names there are, if it is neither.
    """
    known = {path.stem: path for path in sorted(MEASURED.glob("*.json"))}
    path = known.get(name_or_path, Path(name_or_path))
    if not path.exists():
        problem = f"neither a table nor a file; the tables are {', '.join(known)}"
        raise VectorError(name_or_path, None, problem)
    return read_table(path)


def read_table(path: Path) -> Table:
    """A table from a file.

    Raises
    ------
    VectorError
        With the file and the place, if it is not such a table.
    """
    document: Any = read_document(path, path.name if path.parent == MEASURED else None)
    file = str(path.name)
    if document.get("schema") != SCHEMA:
        got = document.get("schema")
        raise VectorError(file, ("schema",), f"got {got!r}; expected {SCHEMA!r}")
    for key, kind in (("name", str), ("provenance", dict), ("rows", list)):
        if not isinstance(document.get(key), kind):
            raise VectorError(file, (key,), f"missing or no {kind.__name__}")
    for number, row in enumerate(document["rows"]):
        _check_row(file, number, row, document.get("vector"))
    return Table(
        document["name"],
        document["provenance"],
        tuple(document["rows"]),
        document.get("vector"),
    )


def _check_row(file: str, number: int, row: Any, vector: str | None) -> None:
    place = ("rows", number)
    if not isinstance(row, dict):
        raise VectorError(file, place, "a row must be an object")
    if "outcome" not in row:
        raise VectorError(file, place, "a row needs an outcome")
    known = {"rule", "vector", "set", "conditions", "observe", "outcome"}
    known |= {"machine", "launch", "ctas", "cluster", "holder", "holders", "footprint"}
    known |= {"fn", "args"}
    for key in row:
        if key not in known:
            raise VectorError(
                file, (*place, key), f"unknown key; known: {', '.join(sorted(known))}"
            )
    scenario_needed = row.get("observe", "run") not in ("seats", "clusters", "formula")
    if scenario_needed and "vector" not in row and vector is None:
        raise VectorError(file, place, "neither the row nor its table names a vector")
