"""Hypothesis strategies for the maps of one layer, and for what ranks may believe about them.

Rule: the simpler a draw, the fewer its ranks, rows, experts and changed rows.
"""

from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from eplb_model.communicators.plan import EMPTY, Plan, plan

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


def _grids(cells: st.SearchStrategy[Cell], least_ranks: int) -> st.SearchStrategy[list[list[Cell]]]:
    """Cells by rank and row; drawn with all rows and cut, so that sizes shrink on their own."""
    rank = st.lists(cells, min_size=MOST_ROWS, max_size=MOST_ROWS)
    ranks = st.lists(rank, min_size=least_ranks, max_size=MOST_RANKS)
    return st.builds(
        lambda grid, rows: [each[:rows] for each in grid], ranks, st.integers(1, MOST_ROWS)
    )


def _changed(ids: tuple[int, ...], differences: dict[int, int]) -> tuple[int, ...]:
    return tuple(differences.get(place, expert) for place, expert in enumerate(ids))
