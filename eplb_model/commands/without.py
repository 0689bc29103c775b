"""`eplb-model without`: check without one operation: is it needed?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eplb_model.commands.printing import add_json, print_json
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import add_vector, chosen_scenario
from eplb_model.outcome import INTERRUPTED
from eplb_model.render.documents import report_document
from eplb_model.render.text import report_text, verdict_line
from eplb_model.without import compare


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector, how to search, and the operation."""
    add_vector(parser)
    add_searching(parser)
    add_json(parser)
    parser.add_argument(
        "--op",
        required=True,
        metavar="THREAD: OPERATION",
        help="as `show` prints it: 'worker: stream_synchronize side'",
    )


def run(options: Namespace) -> int:
    """Print both verdicts, and the report without the operation."""
    scenario = chosen_scenario(options)
    search, interrupted = chosen_search(options)
    comparison = compare(scenario, options.op, search)
    present, absent = comparison.present, comparison.absent
    if options.json:
        both = {"with": report_document(present), "without": report_document(absent)}
        head = {"schema": "eplb-without/1", "op": options.op, "removed": comparison.removed}
        print_json({**head, "needed": comparison.needed, **both})
    else:
        print(f"with {options.op}: {verdict_line(present).partition(': ')[2]}")
        print(f"without it: {verdict_line(absent).partition(': ')[2]}")
        verdict = "needed" if comparison.needed else "not shown to be needed"
        print(f"It is {verdict} (taken out in {comparison.removed} places).\n")
        print(report_text(absent))
    return INTERRUPTED if interrupted() else absent.exit_code
