"""Where in a user's Python a part of a protocol was written, and errors that say so.

Rule: a place is that of the innermost call from outside this package.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from eplb_model.format.document import VectorError

HERE = str(Path(__file__).parent)


class Place(NamedTuple):
    """A line of Python."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        here = Path.cwd()
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown}:{self.line}"


class BuildError(VectorError):
    """What was built can't be a vector.  `str` begins with the line of Python that wrote it."""

    __module__ = "eplb_model.build"  # from where it is imported; tracebacks print it

    def __init__(self, place: Place, error: VectorError) -> None:
        at = f" ({error.path} of the vector)" if error.path is not None else ""
        super().__init__(str(place), None, f"{error.problem}{at}")
        self.place = place


def caller() -> Place:
    """The place that calls this package."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    assert frame is not None, "[model bug] nobody calls the builder"
    return Place(frame.f_code.co_filename, frame.f_lineno)


def nearest(places: Mapping[str, Place], path: str | None) -> Place:
    """The place of the innermost part around a JSON path; `""` is the whole document."""
    inner = (path or "").rstrip("/")
    while inner and inner not in places:
        inner = inner.rpartition("/")[0]
    return places[inner]
