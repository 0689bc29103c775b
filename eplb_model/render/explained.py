"""An explanation as a person reads it: Let, Then, However; the way there; what would help.

Rules: pure functions from a value to a string; at most 100 columns; nothing that depends on the
machine that prints it.  The order Let, Then, However is that in which Elle explains an anomaly
(Kingsbury and Alvaro: Elle: Inferring Isolation Anomalies from Experimental Observations, VLDB
2020): name the parties, follow the waits one by one, end where it contradicts itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eplb_model.outcome import Report
from eplb_model.render.story import Story
from eplb_model.render.table import columns_text
from eplb_model.render.text import WIDTH, head_text, notes_text, steps_text

MOST_LISTED = 120  # steps of a list; of more, those in the middle are left out
MOST_REPEATED = 40  # steps of a loop, likewise
WAITS = {
    "sometimes": ", on some runs one kernel waits for the SMs of another",
    "always": ", on every run one kernel waits for the SMs of another",
}


@dataclass(frozen=True, slots=True)
class Let:
    """A name and what it stands for, line by line."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cure:
    """A change under which the model finds nothing wrong, and how much it looked at."""

    kind: str
    words: str
    settings: tuple[str, ...]  # for --set; empty for a change of the programs
    states: int
    serialised: str
    beside: str = ""  # what was checked beside it and does not hold


@dataclass(frozen=True, slots=True)
class Cures:
    """What helps, and how many other changes were tried."""

    found: tuple[Cure, ...]
    no_help: int
    undecided: int
    not_tried: int
    bound: int  # states per check


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a report says what it says."""

    report: Report
    smaller: str  # the setting of the run that is explained instead, if there are too many ranks
    let: tuple[Let, ...]
    then: tuple[str, ...]
    however: str
    others: str  # who waits too, without being part of it
    story: Story  # of the steps that matter
    shortened: str
    critical: str
    cures: Cures | None
    loop: Sequence[tuple[object, str]] = ()  # of a stall: the actions that repeat, what they do


def explanation_text(told: Explanation, replay: str | None = None) -> str:
    """The whole explanation; `replay` is the command that shows the schedule again."""
    blocks = [head_text(told.report)]
    if told.smaller:
        smaller = f"The same goes wrong with {told.smaller}. What follows is that run."
        blocks.append(_filled(smaller))
    if told.let:
        blocks.append("Let\n" + "\n".join(_let_lines(told.let)))
    if told.then:
        blocks.append("Then\n" + "\n".join(line for each in told.then for line in _item(each)))
    if told.however:
        blocks.append("However\n" + "\n".join(_item(told.however)))
    if told.others:
        blocks.append(_filled(told.others))
    blocks += [*_way(told), *_for_ever(told)]
    if told.critical:
        blocks.append(_filled(told.critical, "The critical step: "))
    if told.cures is not None:
        blocks.append(_cures_text(told.cures, told.report.verdict))
    finding = told.report.finding
    if replay is not None and finding is not None and finding.schedule:
        blocks.append(f"Replay:\n  {replay}")
    return "\n\n".join([*blocks, *notes_text(told.report)])


def _way(told: Explanation) -> list[str]:
    if not told.story.steps:
        return []
    count = len(told.story.steps)
    steps = "one step" if count == 1 else f"{count} steps"
    lead = f"How to get there ({steps}{told.shortened}):"
    table = columns_text(told.story)
    if table is None:
        table = steps_text([(each.action, each.does) for each in told.story.steps], MOST_LISTED)
    blocks = [f"{textwrap.fill(lead, WIDTH, subsequent_indent='  ')}\n{table}"]
    notes = [f"  {note}" for note in told.story.notes]
    return blocks + (["\n".join(notes)] if notes else [])


def _for_ever(told: Explanation) -> list[str]:
    if not told.loop:
        return []
    first = len(told.story.steps) + 1
    steps = [(str(action), does) for action, does in told.loop]
    return [f"And then for ever:\n{steps_text(steps, MOST_REPEATED, first)}"]


def _let_lines(let: Sequence[Let]) -> Iterator[str]:
    wide = max(len(each.name) for each in let)
    for each in let:
        lead = f"  {each.name:<{wide}}  "
        for line in each.lines:
            yield from textwrap.wrap(
                line, WIDTH, initial_indent=lead, subsequent_indent=" " * (wide + 6)
            )
            lead = " " * (wide + 4)


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _filled(text: str, lead: str = "") -> str:
    return textwrap.fill(f"{lead}{text}", WIDTH, subsequent_indent="  ")


def _cures_text(cures: Cures, verdict: str) -> str:
    lines = ["What would help (each checked: every schedule):"]
    if not cures.found:
        lines = ["What would help: nothing that was tried."]
    for each in cures.found:
        lines += _cure_lines(each, verdict)
    lines += _tried_lines(cures)
    return "\n".join(lines)


def _cure_lines(each: Cure, verdict: str) -> Iterator[str]:
    head = " ".join(f"--set {text}" for text in each.settings) or each.words
    yield from textwrap.wrap(head, WIDTH, initial_indent="  ", subsequent_indent="    ")
    now = f" ({each.words})" if each.settings else ""
    how = WAITS.get(each.serialised, "")
    beside = f"; {each.beside}" if each.beside else ""
    yield from textwrap.wrap(
        f"{each.kind}{now}: ok in {each.states} states{how}{beside}",
        WIDTH,
        initial_indent="      ",
        subsequent_indent="      ",
    )


def _tried_lines(cures: Cures) -> Iterable[str]:
    parts = []
    if cures.no_help:
        one = cures.no_help == 1
        parts.append(f"{cures.no_help} other change{'' if one else 's'} did not help")
    if cures.undecided:
        parts.append(f"{cures.undecided} undecided within {cures.bound} states")
    if cures.not_tried:
        parts.append(f"{cures.not_tried} not tried, the states for it were used up")
    return [f"  ({'; '.join(parts)})"] if parts else []
