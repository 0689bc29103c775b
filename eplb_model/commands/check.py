"""`eplb-model check`: explore every schedule; say what goes wrong.

Rule: what only some options need is imported where they are read: a plain check starts fast.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eplb_model.check import Search, check
from eplb_model.commands.printing import add_json, print_json, progress
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import Chosen, add_vector, chosen, words_again
from eplb_model.format.machines import is_file_name
from eplb_model.outcome import INTERRUPTED, Report, varied
from eplb_model.render.documents import report_document
from eplb_model.trace import schedule_text

FORMATS = ("github", "sarif")  # those of render.annotations
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
    parser.add_argument("--format", choices=FORMATS, help="for the eyes of a CI")
    parser.add_argument(
        "--all-ranks", action="store_true", help="for every number of ranks, with a certificate"
    )


def run(options: Namespace) -> int:
    """Print the report."""
    if options.all_ranks:
        from eplb_model.commands.all_ranks import answer_for_all  # noqa: PLC0415 (see the rule)

        return answer_for_all(options)
    about = chosen(options)
    scenario = about.vector.scenario(about.settings, about.switches)
    search, interrupted = chosen_search(options)
    report = check(scenario, search)
    progress("")
    if options.json:
        print_json({**report_document(report), "vector": options.vector})
    elif options.format:
        print(_annotated(options, report))
    elif options.explain and report.finding is not None and not interrupted():
        print(_explained(options, about, report, search))
    else:
        print(_told(options, report))
    return INTERRUPTED if interrupted() else report.exit_code


def _annotated(options: Namespace, report: Report) -> str:
    from eplb_model.render import annotations  # noqa: PLC0415 (see the rule)

    file = options.vector if is_file_name(options.vector) else None
    return annotations.FORMATS[options.format](report, file)


def _told(options: Namespace, report: Report) -> str:
    from eplb_model.render.text import report_text  # noqa: PLC0415 (see the rule)

    return report_text(report, _replay_command(options, report), _more(options, report))


def _explained(options: Namespace, about: Chosen, report: Report, search: Search) -> str:
    from eplb_model.explain.asked import Asked, on_machine_of  # noqa: PLC0415 (see the rule)
    from eplb_model.explain.explanation import explain  # noqa: PLC0415
    from eplb_model.render.explained import explanation_text  # noqa: PLC0415

    asked = Asked(about.vector.scenario(*about[1:]), *about)
    told = explain(on_machine_of(asked, report), report, enough=search.enough)
    progress("")
    return explanation_text(told, _replay_command(options, report))


def _replay_command(options: Namespace, report: Report) -> str | None:
    if report.finding is None:
        return None
    if len(report.finding.schedule) > LONGEST_SCHEDULE:
        return f"{words_again('check', options)} --json  # its schedule is too long for a line"
    from shlex import quote  # noqa: PLC0415 (see the rule)

    schedule = quote(schedule_text(report.finding.schedule))
    under = "".join(f" --switch {n}={report.switches[n]}" for n in sorted(varied(report.switches)))
    return f"{words_again('replay', options)}{under} --schedule {schedule}"


def _more(options: Namespace, report: Report) -> str | None:
    """The command that explains a finding."""
    return None if report.finding is None else f"{words_again('check', options)} --explain"
