"""A report as a person reads it: the verdict, the way there, who waits for whom.

Rules: pure functions from a value to a string; at most 100 columns; nothing that depends on the
machine that prints it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eplb_model.outcome import Actor, Claimed, Finding, Report, Waiting

WIDTH = 100

SEARCHES: Mapping[str, str] = {
    "bfs": "breadth first",
    "dfs": "depth first",
    "uniform": "sampled uniformly",
    "pct": "sampled by PCT",
}
SERIALISED: Mapping[str, str] = {
    "never": "no kernel ever waits for SMs",
    "sometimes": "on some runs kernels go one after the other, waiting for SMs",
    "always": "on every run kernels go one after the other, waiting for SMs",
}


def report_text(report: Report, replay: str | None = None) -> str:
    """The whole answer to a check.  `replay` is the command that shows its schedule again."""
    blocks = [_head(report)]
    if report.finding is not None and report.kernels:
        blocks.append(f"Kernels:\n{_kernels_text(report.kernels)}")
    if report.finding is not None:
        blocks += _finding_blocks(report.finding)
        if replay is not None and report.finding.schedule:
            blocks.append(f"Replay:\n  {replay}")
    if report.claims:
        blocks.append("Claims:\n" + "\n".join(_claim_lines(report.claims)))
    if report.assumptions:
        blocks.append("Rests on:\n" + "\n".join(f"  {each}" for each in report.assumptions))
    return "\n\n".join(blocks)


def verdict_line(report: Report) -> str:
    """The verdict in one line."""
    name, cut = report.scenario, report.bounds.get("cut")
    match report.verdict:
        case "ok":
            well = "no run goes wrong, some go on for ever"
            if "goes on" not in report.ends:
                well = "every run ends well"
            return f"{name}: ok, {well} ({SERIALISED[report.serialised or 'never']})"
        case "unknown":
            return f"{name}: unknown, the search ended early ({cut})"
        case "may":
            settings = ", ".join(f"{k}: {v}" for k, v in report.switches.items() if "=" in k)
            return f"{name}: may, it depends on what nobody measured ({settings})"
        case verdict:
            runs = "every run" if report.when == "every" else "some runs"
            return f"{name}: {verdict}, on {runs}"


def steps_text(finding: Finding) -> str:
    """The schedule as a table: number, actor, what it did."""
    actors = [str(step.action) for step in finding.steps]
    wide = max(map(len, actors), default=0)
    digits = len(str(len(actors)))
    rows = []
    for number, (actor, step) in enumerate(zip(actors, finding.steps, strict=True), start=1):
        lead = f"  {number:>{digits}}  {actor:<{wide}}  "
        rows.append(
            textwrap.fill(step.does, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
        )
    return "\n".join(rows)


def waiting_text(waits: Iterable[Waiting]) -> str:
    """Every waiting party: where it is, why it waits, who could free it."""
    return "\n".join(line for each in waits for line in _waiting_lines(each))


def circle_text(circle: Iterable[Actor]) -> str:
    """A circle of waits, closed."""
    return " -> ".join(map(str, circle))


def _head(report: Report) -> str:
    lines = textwrap.wrap(verdict_line(report), WIDTH, subsequent_indent="  ")
    given = " ".join(f"{name}={_plain(value)}" for name, value in report.parameters.items())
    lines += textwrap.wrap(given, WIDTH, initial_indent="  ", subsequent_indent="  ")
    how = SEARCHES[report.strategy] + (f", {report.reduction}" if report.reduction else "")
    cut = report.bounds.get("cut")
    whole = f"cut by {cut}" if cut else "every schedule"
    lines.append(f"  {report.states} states, depth {report.depth}; {whole}; {how}")
    return "\n".join(lines)


def _kernels_text(kernels: Mapping[str, str]) -> str:
    return "\n".join(
        textwrap.fill(f"{name}: {text}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        for name, text in kernels.items()
    )


def _finding_blocks(finding: Finding) -> list[str]:
    blocks = []
    if finding.verdict not in ("deadlock", "stall"):
        blocks.append(f"What goes wrong:\n{_wrapped(finding.message)}")
    if finding.steps:
        count = "one step" if len(finding.steps) == 1 else f"{len(finding.steps)} steps"
        blocks.append(f"How to get there ({count}):\n{steps_text(finding)}")
    if finding.details:
        told = (textwrap.wrap(each, WIDTH - 2, subsequent_indent="  ") for each in finding.details)
        lines = "\n".join(f"  {line}" for lines in told for line in lines)
        blocks.append(f"What orders them with the rest, and what is missing:\n{lines}")
    if finding.verdict == "stall":
        loop = textwrap.fill(circle_text(a.actor for a in finding.loop), WIDTH - 2)
        said = textwrap.fill(f"{finding.message}.", WIDTH)
        blocks.append(f"{said}\nWhat goes on:\n{textwrap.indent(loop, '  ')}")
    if finding.waiting:
        title = "Nobody can move:" if finding.verdict == "deadlock" else "Who waits for ever:"
        blocks.append(f"{title}\n{waiting_text(finding.waiting)}")
    if finding.circle:
        blocks.append(f"The circle:\n  {circle_text(finding.circle)}")
    return blocks


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _claim_lines(claims: Iterable[Claimed]) -> Iterator[str]:
    for each in claims:
        lead = f"  {each.outcome:<11}  "
        yield from textwrap.wrap(
            each.sentence, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)
        )


def _waiting_lines(each: Waiting) -> list[str]:
    actor = each.actor
    what = f"stream {actor.name}" if actor.is_stream else f"thread {actor.name}"
    title = f"  {actor!s:<12} rank {actor.rank}, {what}" + (f", {each.doing}" if each.doing else "")
    freed = ", ".join(map(str, each.freed_by)) or "nobody"
    indent = " " * 15
    return [
        title,
        *textwrap.wrap(each.why, WIDTH, initial_indent=indent, subsequent_indent=indent),
        f"{indent}could be freed by {freed}",
    ]


def _plain(value: Any) -> str:
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if isinstance(value, (bool, type(None)))
        else str(value)
    )
