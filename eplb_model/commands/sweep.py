"""`eplb-model sweep`: check a range of parameters, on standard output or into a file.

Rule: the lines in the file are those that `--json` prints.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from eplb_model.campaign import Line, Task
from eplb_model.check import check
from eplb_model.commands.printing import add_json
from eplb_model.commands.searching import add_searching, chosen_search
from eplb_model.commands.shards import add_workers, like, written
from eplb_model.commands.vectors import add_vector, chosen_scenario, chosen_settings, pair
from eplb_model.outcome import INTERRUPTED, Lacking, Report, UsageError
from eplb_model.render.documents import report_summary
from eplb_model.render.grid import SafetyMap
from eplb_model.render.text import verdict_line
from eplb_model.safety_map import safety_map
from eplb_model.tables import tables
from eplb_model.vector import load

Drawing: TypeAlias = Callable[[Sequence[Line]], None]


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
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="a map of two parameters, .png or .svg"
    )
    add_workers(parser)


def run(options: Namespace) -> int:
    """Print a line for every point, and how many had which verdict."""
    drawing = _drawing(options)
    if options.out is None:
        if options.resume or options.jobs or options.executor:
            raise UsageError("--resume, --jobs and --executor need --out FILE")
        return _print_points(options, drawing)
    settings = [(chosen_settings(options, words)) for _, words in _points(options)]
    tasks = [
        replace(like(options), vector=options.vector, settings=named, switches=switches)
        for named, switches in settings
    ]
    return _write_points(options, tasks, drawing)


def _drawing(options: Namespace) -> Drawing:
    """What draws the map of a sweep, or nothing; complains before anything is checked."""
    if options.plot is None:
        return lambda lines: None
    names = [values_of(text)[0] for text in options.vary]
    if len(names) != 2 or options.plot.suffix not in (".png", ".svg"):
        raise UsageError("--plot: expected FILE.png or FILE.svg, and --vary twice")
    draw = _matplotlib()

    def drawing(lines: Sequence[Line]) -> None:
        if lines:
            settings, _ = chosen_settings(options)
            axes = (names[0], names[1])
            vector = load(options.vector)
            draw(safety_map(vector, dict(settings), axes, lines, tables()), options.plot)

    return drawing


def _matplotlib() -> Callable[[SafetyMap, Path], None]:
    try:
        draw: Callable[[SafetyMap, Path], None] = import_module("eplb_model.render.safety_map").draw
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        raise Lacking("--plot: no matplotlib here: pip install 'eplb-checker[plot]'") from None
    return draw


def _points(options: Namespace) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Every combination of the values, as names with values, and as `name=value` words."""
    varied = [values_of(text) for text in options.vary]
    names = [name for name, _ in varied]
    for chosen in product(*(values for _, values in varied)):
        point = dict(zip(names, chosen, strict=True))
        yield point, [f"{name}={value}" for name, value in point.items()]


def _write_points(options: Namespace, tasks: Sequence[Task], drawing: Drawing) -> int:
    done, failed = written(options, tasks, _totals)
    if failed is not None:
        return failed
    drawing(done.lines)
    verdicts = Counter(str(line["verdict"]) for line in done.lines)
    print(_counted(verdicts))
    return _code(verdicts)


def _totals(lines: Sequence[Line]) -> Line:
    counts = Counter(str(line["verdict"]) for line in lines)
    return {"schema": "eplb-sweep/1", "points": len(lines), **dict(sorted(counts.items()))}


def _counted(verdicts: Counter[str]) -> str:
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    return f"{sum(verdicts.values())} points: {counted}"


def _print_points(options: Namespace, drawing: Drawing) -> int:
    search, interrupted = chosen_search(options)
    verdicts: Counter[str] = Counter()
    lines: list[Line] = []
    for point, words in _points(options):
        report = check(chosen_scenario(options, words), search)
        verdicts[report.verdict] += 1
        lines.append(report_summary(report))
        _print_point(options, point, report)
        if interrupted():
            break
    drawing(lines)
    if options.json:
        counts = dict(sorted(verdicts.items()))
        print(json.dumps({"schema": "eplb-sweep/1", "points": sum(counts.values()), **counts}))
    else:
        print(_counted(verdicts))
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
