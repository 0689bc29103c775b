"""A safety map as PNG or SVG.

Rules:
- Imported only when asked for (`sweep --plot`, extra `plot`): matplotlib brings numpy with it.
- Colours are told apart with any colour vision (Okabe and Ito, "Color Universal Design", 2008), and
  what hangs is hatched too.
- The same map gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from eplb_model.render.grid import CELLS, OTHER, SafetyMap, axis

COLOURS = {
    "ok": "#bfe8da",
    "ok, one after the other": "#56b4e9",
    "may": "#f0e442",
    "unknown": "#bbbbbb",
    "deadlock": "#d55e00",
    "stall": "#cc79a7",
    "race": "#e69f00",
    OTHER: "#0072b2",
}
HATCHED = {"deadlock": "///", "stall": "\\\\\\", "may": ".."}
SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "eplb",
}
MOST_TICKS = 18
DPI = 110


def draw(shown: SafetyMap, path: Path) -> None:
    """Write the map; the suffix of the path says how, `.png` or `.svg`."""
    with mpl.rc_context(SETTINGS):
        figure = _figure(shown)
        nothing = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=DPI, facecolor="white", metadata=nothing, bbox_inches="tight")


def _figure(shown: SafetyMap) -> Figure:
    columns = axis(cell.x for cell in shown.cells)
    rows = axis(cell.y for cell in shown.cells)
    figure = Figure(figsize=(min(9.0, 3.2 + 0.28 * len(columns)), min(8.0, 2.0 + 0.2 * len(rows))))
    axes = figure.add_subplot()
    _cells(axes, shown, columns, rows)
    _marks(axes, shown, columns, rows)
    _frame(axes, shown, columns, rows)
    axes.legend(
        handles=_legend(shown),
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        frameon=False,
        handlelength=1.6,
    )
    return figure


def _cells(axes: Any, shown: SafetyMap, columns: list[int], rows: list[int]) -> None:
    for cell in shown.cells:
        corner = (columns.index(cell.x) - 0.5, rows.index(cell.y) - 0.5)
        axes.add_patch(
            Rectangle(
                corner,
                1,
                1,
                facecolor=COLOURS[cell.kind],
                edgecolor="white",
                linewidth=0.8,
                hatch=HATCHED.get(cell.kind),
            )
        )


def _marks(axes: Any, shown: SafetyMap, columns: list[int], rows: list[int]) -> None:
    for mark in shown.marks:
        at = (_place(mark.x, columns), _place(mark.y, rows))
        axes.add_line(_mark_line(mark.outcome, at))


def _mark_line(outcome: str, at: tuple[float, float]) -> Line2D:
    hang = outcome == "hang"
    return Line2D(
        [at[0]],
        [at[1]],
        linestyle="none",
        marker="X" if hang else "o",
        markersize=8 if hang else 7,
        markerfacecolor="black" if hang else "white",
        markeredgecolor="white" if hang else "black",
        markeredgewidth=0.9,
    )


def _place(value: int, values: list[int]) -> float:
    """Where a value lies between the cells; cells are equally wide whatever their values are."""
    if value in values:
        return float(values.index(value))
    above = next(index for index, each in enumerate(values) if each > value)
    low, high = values[above - 1], values[above]
    return above - 1 + (value - low) / (high - low)


def _frame(axes: Any, shown: SafetyMap, columns: list[int], rows: list[int]) -> None:
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    for setter, values in ((axes.set_xticks, columns), (axes.set_yticks, rows)):
        step = -(-len(values) // MOST_TICKS)
        setter(range(0, len(values), step), [str(each) for each in values[::step]])
    axes.set_xlabel(shown.x_name)
    axes.set_ylabel(shown.y_name)
    axes.set_title(shown.title, loc="left", fontsize=10.0)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _legend(shown: SafetyMap) -> list[Patch | Line2D]:
    kinds = {cell.kind for cell in shown.cells}
    found: list[Patch | Line2D] = [
        Patch(facecolor=COLOURS[kind], edgecolor="white", hatch=HATCHED.get(kind), label=kind)
        for kind in (*CELLS, OTHER)
        if kind in kinds
    ]
    for outcome in ("completes", "hang"):
        if any(mark.outcome == outcome for mark in shown.marks):
            line = _mark_line(outcome, (0.0, 0.0))
            line.set_label(f"measured: {outcome}")
            found.append(line)
    return found
