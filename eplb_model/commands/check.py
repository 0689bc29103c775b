"""`eplb-model check`: explore every schedule; say what goes wrong."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace

from eplb_model.check import check
from eplb_model.commands.all_ranks import answer_for_all
from eplb_model.commands.printing import add_json, print_json, progress
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import add_vector, chosen_scenario, words_again
from eplb_model.outcome import INTERRUPTED, Report
from eplb_model.render.documents import report_document
from eplb_model.render.text import report_text
from eplb_model.trace import schedule_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector and how to search."""
    add_vector(parser)
    add_searching(parser)
    add_json(parser)
    parser.add_argument(
        "--all-ranks", action="store_true", help="for every number of ranks, with a certificate"
    )


def run(options: Namespace) -> int:
    """Print the report."""
    if options.all_ranks:
        return answer_for_all(options)
    scenario = chosen_scenario(options)
    search, interrupted = chosen_search(options)
    report = check(scenario, search)
    progress("")
    if options.json:
        print_json(report_document(report))
    else:
        print(report_text(report, _replay_command(options, report)))
    return INTERRUPTED if interrupted() else report.exit_code


def _replay_command(options: Namespace, report: Report) -> str | None:
    if report.finding is None:
        return None
    schedule = schedule_text(report.finding.schedule)
    return f"{words_again('replay', options)} --schedule {shlex.quote(schedule)}"
