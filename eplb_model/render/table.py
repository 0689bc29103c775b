"""A schedule as a table: one column per thread and stream, one row per step.

Rule: a cell says what its party did in that step, or what became of its stream by it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from eplb_model.render.story import Cell, Story
from eplb_model.render.text import WIDTH

NARROWEST = 13  # columns of text per party
MOST_STEPS = 40  # longer schedules are lists


def columns_text(story: Story) -> str | None:
    """The table, in bands of ranks if it is wider than a page; None if no table fits."""
    shown = [n for n, track in enumerate(story.tracks) if _takes_part(story, n)]
    bands = list(_bands(story, shown))
    if len(story.steps) > MOST_STEPS or not bands:
        return None
    return "\n\n".join("\n".join(_band_lines(story, band)) for band in bands)


def _takes_part(story: Story, track: int) -> bool:
    return any(frame.cells[track].status not in ("idle", "ended") for frame in story.frames)


def _digits(story: Story) -> int:
    return max(2, len(str(len(story.steps))))


def _bands(story: Story, shown: Sequence[int]) -> Iterator[list[int]]:
    """As many whole ranks side by side as fit; a rank that does not fit alone takes several."""
    most = (WIDTH - 2 - _digits(story)) // (NARROWEST + 2)
    band: list[int] = []
    for _, group in groupby(shown, key=lambda n: story.tracks[n].rank):
        members = list(group)
        if band and len(band) + len(members) > most:
            yield band
            band = []
        band += members
        while len(band) > most:
            yield band[:most]
            band = band[most:]
    if band:
        yield band


def _band_lines(story: Story, band: Sequence[int]) -> Iterator[str]:
    digits = _digits(story)
    wide = (WIDTH - 2 - digits) // len(band) - 2
    wide = min(wide, 30)
    heads = [story.tracks[n].name for n in band]
    yield _row("", heads, wide, digits)
    yield _row("-" * digits, ["-" * wide] * len(band), wide, digits)
    for number in range(1, len(story.steps) + 1):
        cells = [_cell(story, number, n) for n in band]
        if any(cells):
            yield from _wrapped(str(number), cells, wide, digits)
    ends = [_end(story.frames[-1].cells[n]) for n in band]
    if any(ends):
        yield from _wrapped("", ends, wide, digits)


def _cell(story: Story, number: int, track: int) -> str:
    taken, before, after = (
        story.steps[number - 1],
        story.frames[number - 1].cells[track],
        story.frames[number].cells[track],
    )
    if taken.track == story.tracks[track].name:
        return taken.does.partition(";")[0]
    if story.tracks[track].kind == "thread" or (_state(before) == _state(after)):
        return ""
    return _state(after)


def _state(cell: Cell) -> str:
    if not cell.text:
        return ""
    return f"{cell.text} {cell.held}/{cell.ctas}" if cell.ctas else cell.text


def _end(cell: Cell) -> str:
    if cell.status not in ("stuck", "waits"):
        return ""
    return f"waits for {', '.join(cell.on)}" if cell.on else "waits, nobody can free it"


def _wrapped(number: str, cells: Sequence[str], wide: int, digits: int) -> Iterator[str]:
    lines = [textwrap.wrap(cell, wide) for cell in cells]
    for at in range(max(1, *map(len, lines))):
        row = [each[at] if at < len(each) else "" for each in lines]
        yield _row(number if at == 0 else "", row, wide, digits)


def _row(number: str, cells: Sequence[str], wide: int, digits: int) -> str:
    return f"  {number:>{digits}}" + "".join(f"  {cell:<{wide}}" for cell in cells).rstrip()
