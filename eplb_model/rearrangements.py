"""Hypothesis strategies for rearrangements: maps, what ranks believe, protocols, schedules.

Rules:
- The simpler a draw, the fewer its ranks, rows, experts and changed rows.
- Settings of a protocol are those that its version has; what the vector refuses is not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from eplb_model.communicators.plan import EMPTY, Plan, plan
from eplb_model.explore.walk import uniform, walk
from eplb_model.format.document import VectorError
from eplb_model.outcome import Action
from eplb_model.scenario import Scenario
from eplb_model.vector import load

Cell = TypeVar("Cell")

MOST_RANKS = 4
MOST_ROWS = 4
MOST_EXPERTS = 7


@dataclass(frozen=True)
class Rearrangement:
    """The old and new map of a layer, of shape (ranks * rows,), -1 for an empty row."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    ranks: int

    @property
    def rows(self) -> int:
        return len(self.old) // self.ranks

    @property
    def plan(self) -> Plan:
        return plan(self.old, self.new, self.ranks)

    def by_rank(self, ids: tuple[int, ...]) -> list[tuple[int, ...]]:
        """A map in rows of ranks."""
        return [ids[r * self.rows : (r + 1) * self.rows] for r in range(self.ranks)]


@st.composite
def rearrangements(draw: st.DrawFn, *, least_ranks: int = 1) -> Rearrangement:
    """Any two maps: with empty rows, replicas within a rank, and experts that nobody holds."""
    ids = st.integers(EMPTY, draw(st.integers(0, MOST_EXPERTS - 1)))
    grid = draw(_grids(st.tuples(ids, st.none() | ids), least_ranks))
    cells = [cell for rank in grid for cell in rank]
    old = tuple(was for was, _ in cells)
    return Rearrangement(old, tuple(was if new is None else new for was, new in cells), len(grid))


@st.composite
def served(draw: st.DrawFn, *, least_ranks: int = 1) -> Rearrangement:
    """What a policy makes: every expert that the new map names is held by some rank."""
    ids = st.integers(0, draw(st.integers(0, MOST_EXPERTS - 1)))
    places = st.none() | st.integers(0, MOST_RANKS * MOST_ROWS - 1)
    grid = draw(_grids(st.tuples(ids, places), least_ranks))
    cells = [cell for rank in grid for cell in rank]
    old = tuple(was for was, _ in cells)
    source = (*old, EMPTY)
    new = (was if place is None else source[place % len(source)] for was, place in cells)
    return Rearrangement(old, tuple(new), len(grid))


@st.composite
def views(draw: st.DrawFn) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Rank -> the old and new map it believes in: all old maps agree, new ones differ in places."""
    agreed = draw(rearrangements(least_ranks=2))
    places, ids = st.integers(0, len(agreed.old) - 1), st.integers(EMPTY, MOST_EXPERTS - 1)
    differences = st.dictionaries(places, ids, max_size=2)
    return {
        rank: (agreed.old, _changed(agreed.new, draw(differences))) for rank in range(agreed.ranks)
    }


SWITCHES = ("commit_blocks", "record_first", "synchronises", "waits_consumed", "gated")
FAULTS = ("dies", "raises")


@st.composite
def protocols(draw: st.DrawFn, *, vector: str = "async_eplb_small") -> Scenario:
    """Async EPLB of some version: a plan, switches, and at most one fault, in its small form.

    Shrinks towards version 0.20 over gloo, one layer, everything as it should be, no fault.
    """
    file = load(vector)
    settings: dict[str, Any] = {
        name: draw(st.sampled_from(file.parameters[name].choices))
        for name in ("version", "communicator", "moved")
    }
    settings["layers"] = draw(st.integers(1, 2))
    for name in draw(st.sets(st.sampled_from(SWITCHES), max_size=2)):
        settings[name] = not file.parameters[name].default
    for name in draw(st.sets(st.sampled_from(FAULTS), max_size=1)):
        settings[name] = draw(st.integers(0, settings["layers"] - 1))
    try:
        return file.scenario(settings)
    except VectorError:  # the version refuses it, or has not got it
        return file.scenario({"layers": settings["layers"]})


@st.composite
def schedules(draw: st.DrawFn, scenario: Scenario, *, most: int = 400) -> tuple[Action, ...]:
    """A schedule of a scenario from its start: every enabled action is as likely as any other."""
    seed = draw(st.integers(0, 2**32 - 1))
    return walk(scenario.world, uniform(Random(seed)), draw(st.integers(0, most))).schedule


def _grids(cells: st.SearchStrategy[Cell], least_ranks: int) -> st.SearchStrategy[list[list[Cell]]]:
    """Cells by rank and row; drawn with all rows and cut, so that sizes shrink on their own."""
    rank = st.lists(cells, min_size=MOST_ROWS, max_size=MOST_ROWS)
    ranks = st.lists(rank, min_size=least_ranks, max_size=MOST_RANKS)
    return st.builds(
        lambda grid, rows: [each[:rows] for each in grid], ranks, st.integers(1, MOST_ROWS)
    )


def _changed(ids: tuple[int, ...], differences: dict[int, int]) -> tuple[int, ...]:
    return tuple(differences.get(place, expert) for place, expert in enumerate(ids))
