"""`eplb-model check`: explore every schedule; say what goes wrong."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace

from eplb_model.check import check
from eplb_model.commands.all_ranks import answer_for_all
from eplb_model.commands.printing import add_json, print_json, progress
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import add_vector, chosen, words_again
from eplb_model.explain.asked import Asked, on_machine_of, varied
from eplb_model.explain.explanation import explain
from eplb_model.format.machines import is_file_name
from eplb_model.outcome import INTERRUPTED, Report
from eplb_model.render.annotations import FORMATS
from eplb_model.render.documents import report_document
from eplb_model.render.explained import explanation_text
from eplb_model.render.text import report_text
from eplb_model.trace import schedule_text

LONGEST_SCHEDULE = 400  # steps; a longer one is in the document


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector and how to search."""
    add_vector(parser)
    add_searching(parser)
    add_json(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say why, step by step, and what would help; each suggestion is checked",
    )
    parser.add_argument("--format", choices=tuple(FORMATS), help="for the eyes of a CI")
    parser.add_argument(
        "--all-ranks", action="store_true", help="for every number of ranks, with a certificate"
    )


def run(options: Namespace) -> int:
    """Print the report."""
    if options.all_ranks:
        return answer_for_all(options)
    vector, settings, switches = chosen(options)
    scenario = vector.scenario(settings, switches)
    search, interrupted = chosen_search(options)
    report = check(scenario, search)
    progress("")
    if options.json:
        print_json({**report_document(report), "vector": options.vector})
    elif options.format:
        file = options.vector if is_file_name(options.vector) else None
        print(FORMATS[options.format](report, file))
    elif options.explain and report.finding is not None and not interrupted():
        asked = on_machine_of(Asked(scenario, vector, settings, switches), report)
        told = explain(asked, report, enough=search.enough)
        progress("")
        print(explanation_text(told, _replay_command(options, report)))
    else:
        print(report_text(report, _replay_command(options, report), _more(options, report)))
    return INTERRUPTED if interrupted() else report.exit_code


def _replay_command(options: Namespace, report: Report) -> str | None:
    if report.finding is None:
        return None
    if len(report.finding.schedule) > LONGEST_SCHEDULE:
        return f"{words_again('check', options)} --json  # its schedule is too long for a line"
    schedule = shlex.quote(schedule_text(report.finding.schedule))
    under = "".join(f" --switch {n}={report.switches[n]}" for n in sorted(varied(report.switches)))
    return f"{words_again('replay', options)}{under} --schedule {schedule}"


def _more(options: Namespace, report: Report) -> str | None:
    """The command that explains a finding."""
    return None if report.finding is None else f"{words_again('check', options)} --explain"
