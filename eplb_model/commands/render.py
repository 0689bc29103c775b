"""`eplb-model render`: a report as text, picture or page."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from eplb_model.check import check
from eplb_model.commands.printing import progress
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import add_vector, chosen
from eplb_model.explain.asked import Asked, on_machine_of
from eplb_model.explain.explanation import explain, story_of
from eplb_model.explain.reports import read_report, report_in
from eplb_model.outcome import Report, UsageError
from eplb_model.render.chrome_trace import chrome_trace
from eplb_model.render.circle import dot, mermaid
from eplb_model.render.explained import explanation_text
from eplb_model.render.page import page
from eplb_model.render.story import Story
from eplb_model.render.text import report_text
from eplb_model.trace import schedule_text

PICTURES: Mapping[str, Callable[[Story], str]] = {
    "mermaid": mermaid,
    "dot": dot,
    "perfetto": chrome_trace,
    "html": page,
}


class NothingToShowError(UsageError):
    """A report without a schedule has no picture."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take a report or a vector, the format, and where to write."""
    add_vector(parser, "REPORT|NAME", "what `check --json` printed, or a vector to check now")
    add_searching(parser)
    parser.add_argument("--format", choices=("text", *PICTURES), default="text")
    parser.add_argument("--out", metavar="FILE", help="write there, not to standard output")
    parser.set_defaults(json=False)


def run(options: Namespace) -> int:
    """Print or write it."""
    asked, report = _answered(options)
    if options.format == "text":
        text = _text(asked, report)
    elif report.finding is None:
        raise NothingToShowError(
            f"{report.scenario}: {report.verdict}, so there is no schedule to draw; "
            "`eplb-model explore` walks through any scenario"
        )
    else:
        text = PICTURES[options.format](story_of(asked, report))
    if options.out is None:
        print(text)
        return 0
    _write(Path(options.out), text)
    return 0


def _answered(options: Namespace) -> tuple[Asked, Report]:
    """The report of a file, or that of a check now."""
    document = report_in(Path(options.vector))
    if document is not None:
        for name in ("set", "switch", "machine"):
            if getattr(options, name):
                raise UsageError(f"--{name} changes a vector; {options.vector} is a report")
        return read_report(document, options.vector)
    vector, settings, switches = chosen(options)
    asked = Asked(vector.scenario(settings, switches), vector, settings, switches)
    search, _ = chosen_search(options)
    report = check(asked.scenario, search)
    progress("")
    return on_machine_of(asked, report), report


def _text(asked: Asked, report: Report) -> str:
    if report.finding is None:
        return report_text(report)
    return explanation_text(explain(asked, report), _replay_command(asked, report))


def _replay_command(asked: Asked, report: Report) -> str:
    """The command that shows the schedule again: what differs from the defaults is set."""
    assert asked.vector is not None, "[model bug] a report without its vector"
    assert report.finding is not None, "[model bug] nothing to replay"
    words = ["eplb-model", "replay", _name_of(asked)]
    for name, value in asked.settings.items():
        if value != asked.vector.parameters[name].default:
            words += ["--set", f"{name}={_written(value)}"]
    plain = asked.vector.scenario(asked.settings).machine.switches
    for each in fields(plain):
        setting = getattr(asked.scenario.machine.switches, each.name)
        if setting != getattr(plain, each.name):
            words += ["--switch", f"{each.name}={setting}"]
    words += ["--schedule", schedule_text(report.finding.schedule)]
    return shlex.join(words)


def _name_of(asked: Asked) -> str:
    """What names the vector on a command line."""
    assert asked.vector is not None, "[model bug] a report without its vector"
    shipped = asked.vector.file == f"{asked.vector.name}.json"
    return asked.vector.name if shipped else asked.vector.file


def _written(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
