"""A report as a person reads it: the verdict, the way there, who waits for whom.

Rules: pure functions from a value to a string; at most 100 columns; nothing that depends on the
machine that prints it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eplb_model.outcome import Actor, Claimed, Finding, Report, Waiting

WIDTH = 100
MOST_WAITING = 8  # of those who wait, in a circle or without one
MOST_OF_CIRCLE = 24
LONGEST_MESSAGE = 400

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


def report_text(report: Report, replay: str | None = None, more: str | None = None) -> str:
    """The answer to a check on one screen.

    `replay` is the command that shows its schedule again, `more` the one that explains it.
    """
    blocks = [head_text(report)]
    finding = report.finding
    if finding is not None:
        blocks += _finding_blocks(finding)
        commands = [f"Replay:\n  {replay}"] if replay is not None and finding.schedule else []
        commands += [f"Why, and what would help:\n  {more}"] if more is not None else []
        blocks += ["\n".join(commands)] if commands else []
    if report.claims:
        blocks.append("Claims:\n" + "\n".join(_claim_lines(report.claims)))
    if finding is None:
        blocks += _rests_on(report)
    elif report.assumptions:
        blocks.append(_wrapped(f"Rests on: {'; '.join(report.assumptions)}", ""))
    return "\n\n".join(blocks)


def notes_text(report: Report) -> list[str]:
    """What stands at the end of an explanation: claims, and what the verdict rests on."""
    claims = "Claims:\n" + "\n".join(_claim_lines(report.claims))
    return [*([claims] if report.claims else []), *_rests_on(report)]


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


def steps_text(steps: Sequence[tuple[str, str]], most: int, first: int = 1) -> str:
    """A schedule as a list: number, actor, what it did; of more than `most` both ends."""
    wide = max((len(actor) for actor, _ in steps), default=0)
    digits = len(str(first + len(steps) - 1))
    rows = []
    for number, (actor, does) in enumerate(steps, start=first):
        lead = f"  {number:>{digits}}  {actor:<{wide}}  "
        rows.append(
            textwrap.fill(does, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
        )
    if len(rows) > most:
        rows[most // 2 : -(most // 2)] = [f"  ... {len(rows) - most // 2 * 2} steps ..."]
    return "\n".join(rows)


def waiting_text(waits: Iterable[Waiting]) -> str:
    """Every waiting party: where it is, why it waits, who could free it."""
    return "\n".join(line for each in waits for line in _waiting_lines(each))


def circle_text(circle: Iterable[Actor]) -> str:
    """A circle of waits, closed."""
    return " -> ".join(map(str, circle))


def head_text(report: Report) -> str:
    """The verdict, the parameters, how much was looked at."""
    lines = textwrap.wrap(verdict_line(report), WIDTH, subsequent_indent="  ")
    given = " ".join(f"{name}={_plain(value)}" for name, value in report.parameters.items())
    lines += textwrap.wrap(given, WIDTH, initial_indent="  ", subsequent_indent="  ")
    how = SEARCHES[report.strategy] + (f", {report.reduction}" if report.reduction else "")
    cut = report.bounds.get("cut")
    whole = f"cut by {cut}" if cut else "every schedule"
    if cut == "race":
        whole = "cut behind the race"
    lines.append(f"  {report.states} states, depth {report.depth}; {whole}; {how}")
    return "\n".join(lines)


def _rests_on(report: Report) -> list[str]:
    if not report.assumptions:
        return []
    return ["Rests on:\n" + "\n".join(f"  {each}" for each in report.assumptions)]


def _finding_blocks(finding: Finding) -> list[str]:
    """What goes wrong, and if it is a circle its members with their reasons."""
    blocks = []
    if finding.verdict == "stall":
        moving = ", ".join(dict.fromkeys(str(action.actor) for action in finding.loop))
        moving = textwrap.shorten(moving, LONGEST_MESSAGE, placeholder=" ...")
        message = textwrap.shorten(finding.message, LONGEST_MESSAGE, placeholder=" ...")
        blocks.append(_wrapped(f"{message}; {moving} go on for ever", ""))
    elif finding.verdict != "deadlock":
        told = [finding.message, *finding.details[-1:]]  # of a race, the missing edge
        blocks.append("What goes wrong:\n" + "\n".join(map(_wrapped, told)))
    if finding.circle:
        members = {each.actor: each for each in finding.waiting}
        ring = [members[actor] for actor in finding.circle[:-1] if actor in members]
        lines = [_some_of(finding.circle), *_reasons(ring[:MOST_WAITING])]
        lines += [f"and {len(ring) - MOST_WAITING} more"] if len(ring) > MOST_WAITING else []
        blocks.append("The circle:\n" + "\n".join(_wrapped(line) for line in lines))
    elif finding.waiting:
        title = "Nobody can move:" if finding.verdict == "deadlock" else "Who waits for ever:"
        few = finding.waiting[:MOST_WAITING]
        left = len(finding.waiting) - len(few)
        more = [f"and {left} more"] if left else []
        blocks.append("\n".join([title, *map(_wrapped, [*_reasons(few), *more])]))
    return blocks


def _some_of(circle: Sequence[Actor]) -> str:
    if len(circle) <= MOST_OF_CIRCLE:
        return circle_text(circle)
    return f"{circle_text(circle[:MOST_OF_CIRCLE])} -> ... -> {circle[-1]}"


def _reasons(waits: Iterable[Waiting]) -> Iterator[str]:
    for each in waits:
        what = f" ({each.doing.partition(',')[0]})" if each.doing else ""
        freed = "" if each.freed_by else "; nobody can free it"
        yield f"{each.actor}{what}: {each.why}{freed}"


def _wrapped(text: str, indent: str = "  ") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _claim_lines(claims: Iterable[Claimed]) -> Iterator[str]:
    for each in claims:
        lead = f"  {each.outcome:<11}  "
        yield from textwrap.wrap(
            each.sentence, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)
        )


def _waiting_lines(each: Waiting) -> list[str]:
    actor = each.actor
    title = f"  {actor!s:<12} rank {actor.rank}, {each.kind} {actor.name}" + (
        f", {each.doing}" if each.doing else ""
    )
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
