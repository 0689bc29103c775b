"""`eplb-model sweep`: check a range of parameters."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping
from itertools import product
from typing import Any

from eplb_model.check import check
from eplb_model.commands.printing import add_json
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.vectors import add_vector, chosen_scenario, pair
from eplb_model.outcome import INTERRUPTED, Report, UsageError
from eplb_model.render.documents import report_summary
from eplb_model.render.text import verdict_line


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector, how to search, and the ranges."""
    add_vector(parser)
    add_searching(parser)
    add_json(parser)
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="K=A..B[,STEP]",
        help="a range, or a list k=x,y,z; several are combined",
    )


def run(options: Namespace) -> int:
    """Print a line for every point, and how many had which verdict."""
    varied = [values_of(text) for text in options.vary]
    names = [name for name, _ in varied]
    search, interrupted = chosen_search(options)
    verdicts: Counter[str] = Counter()
    for chosen in product(*(values for _, values in varied)):
        point = dict(zip(names, chosen, strict=True))
        words = [f"{name}={value}" for name, value in point.items()]
        report = check(chosen_scenario(options, words), search)
        verdicts[report.verdict] += 1
        _print_point(options, point, report)
        if interrupted():
            break
    if options.json:
        counts = dict(sorted(verdicts.items()))
        print(json.dumps({"schema": "eplb-sweep/1", "points": sum(counts.values()), **counts}))
    else:
        counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        print(f"{sum(verdicts.values())} points: {counted}")
    return INTERRUPTED if interrupted() else _code(verdicts)


def values_of(text: str) -> tuple[str, list[str]]:
    """`k=a..b[,step]` or `k=x,y,z`: the name and the values as they would be written."""
    name, values = pair(text, "--vary")
    first, dots, rest = values.partition("..")
    if not dots:
        return name, values.split(",")
    last, _, step = rest.partition(",")
    try:
        low, high, by = int(first), int(last), int(step or 1)
    except ValueError:
        raise UsageError(f"--vary {text!r}: expected k=a..b, k=a..b,step or k=x,y,z") from None
    if by <= 0 or high < low:
        raise UsageError(f"--vary {text!r}: an empty range")
    return name, [str(value) for value in range(low, high + 1, by)]


def _print_point(options: Namespace, point: Mapping[str, Any], report: Report) -> None:
    if options.json:
        print(json.dumps(report_summary(report), ensure_ascii=False), flush=True)
        return
    where = " ".join(f"{name}={value}" for name, value in point.items())
    print(f"{where}  {verdict_line(report).partition(': ')[2]}", flush=True)


def _code(verdicts: Counter[str]) -> int:
    open_ = verdicts["may"] + verdicts["unknown"]
    if sum(verdicts.values()) > verdicts["ok"] + open_:
        return 1
    return 3 if open_ else 0
