"""`eplb-model conform`: predict every measured row, and compare."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from eplb_model.commands.printing import add_json, pace, print_json, progress
from eplb_model.conform import Conformance, predictions
from eplb_model.format.machines import load_machine
from eplb_model.tables import find_table, tables


def add_arguments(parser: ArgumentParser) -> None:
    """Take the tables and the machine."""
    add_json(parser)
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE|FILE", help="measured tables (default: all)"
    )
    parser.add_argument("--machine", help="predict for this machine: a preset or a file")


def run(options: Namespace) -> int:
    """Print how many rows of each table agree, and every row that does not."""
    chosen = tuple(map(find_table, options.tables)) or tables()
    machine = load_machine(options.machine) if options.machine else None
    done = Conformance()
    started = time.monotonic()
    total = sum(len(table.rows) for table in chosen)
    for prediction in predictions(chosen, machine):
        done.predictions.append(prediction)
        progress(pace(len(done.predictions), total, time.monotonic() - started, "rows"))
    progress("")
    if options.json:
        print_json(_document(done, [table.name for table in chosen]))
    else:
        _print(done, chosen)
    return done.exit_code


def _print(done: Conformance, chosen: Sequence[Any]) -> None:
    for table in chosen:
        rows = [each for each in done.predictions if each.table == table.name]
        agree = sum(each.agrees for each in rows)
        print(f"  {table.name:<24} {agree:>4} of {len(rows):>4} rows agree")
    for each in done.predictions:
        if not each.agrees:
            print(
                f"  {each.table} row {each.number}: measured {each.row['outcome']}, "
                f"the model says {each.predicted}: {json.dumps(each.row)}"
            )
    may = f", {done.may} may" if done.may else ""
    print(f"conform: {done.agree} of {len(done.predictions)} measured rows agree{may}")


def _document(done: Conformance, names: list[str]) -> dict[str, Any]:
    return {
        "schema": "eplb-conform/1",
        "rows": len(done.predictions),
        "agree": done.agree,
        "may": done.may,
        "disagree": [
            {"table": p.table, "row": p.number, "measured": p.row["outcome"], "model": p.predicted}
            for p in done.disagree
        ],
        "tables": names,
    }
