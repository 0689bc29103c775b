"""The command line: parse, call, print, exit.

Exit codes: 0 holds within the stated bounds, 1 a violation was found, 2 bad input, 3 inconclusive,
4 the environment lacks something, 5 our own error, 130 interrupted (with what was reached).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from eplb_model.bugs import bugs, bugs_table
from eplb_model.check import Search, check, finding_at, machines
from eplb_model.conform import Conformance, predictions
from eplb_model.format.machines import load_machine
from eplb_model.options import Command, parser
from eplb_model.outcome import Report
from eplb_model.render.documents import report_document, report_summary
from eplb_model.render.text import circle_text, report_text, verdict_line, waiting_text
from eplb_model.scenario import Scenario
from eplb_model.tables import find_table, tables
from eplb_model.trace import ScheduleError, parse_schedule, replay, schedule_text
from eplb_model.vector import VectorError, catalogue, load
from eplb_model.without import WhereError, compare
from eplb_model.words import scenario_text

BAD_INPUT, OUR_ERROR, INTERRUPTED = 2, 5, 130
LIST_WIDTH = 120
PROGRESS_EVERY = 2.0  # seconds


class UsageError(ValueError):
    """Something on the command line that can't be used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser(COMMANDS).parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except (VectorError, ScheduleError, UsageError, WhereError) as error:
        print(f"eplb-model: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 (the last frame: whatever escapes is ours, and gets its own code)
        traceback.print_exc()
        print("eplb-model: this is our own error, not yours; please report it", file=sys.stderr)
        return OUR_ERROR
    return code


# --- what each command does ------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    scenario = _scenario(options, options.set)
    search, interrupted = _search(options)
    report = check(scenario, search)
    _progress("")
    if options.json:
        _print_json(report_document(report))
    else:
        print(report_text(report, _replay_command(options, report)))
    return INTERRUPTED if interrupted() else report.exit_code


def _without(options: argparse.Namespace) -> int:
    scenario = _scenario(options, options.set)
    search, interrupted = _search(options)
    comparison = compare(scenario, options.op, search)
    present, absent = comparison.present, comparison.absent
    if options.json:
        both = {"with": report_document(present), "without": report_document(absent)}
        head = {"schema": "eplb-without/1", "op": options.op, "removed": comparison.removed}
        _print_json({**head, "needed": comparison.needed, **both})
    else:
        print(f"with {options.op}: {verdict_line(present).partition(': ')[2]}")
        print(f"without it: {verdict_line(absent).partition(': ')[2]}")
        verdict = "needed" if comparison.needed else "not shown to be needed"
        print(f"It is {verdict} (taken out in {comparison.removed} places).\n")
        print(report_text(absent))
    return INTERRUPTED if interrupted() else absent.exit_code


def _show(options: argparse.Namespace) -> int:
    print(scenario_text(_scenario(options, options.set)))
    return 0


def _replay(options: argparse.Namespace) -> int:
    scenario = _scenario(options, options.set)
    world = scenario.on(next(machines(scenario))).world
    trace = replay(world, parse_schedule(world, options.schedule))
    finding = finding_at(trace.last, trace.schedule)
    if options.json:
        last = {"verdict": finding.verdict if finding else None}
        circle = [str(actor) for actor in finding.circle] if finding else []
        steps = [{"action": str(step.action), "does": step.does} for step in trace.steps()]
        _print_json({"schema": "eplb-replay/1", **last, "steps": steps, "circle": circle})
        return 0
    for number, step in enumerate(trace.steps(), start=1):
        print(f"  {number:>3}  {step.action!s:<12}  {step.does}")
    if finding is None:
        print("\nThe run may go on from here, or has ended.")
        return 0
    print(f"\n{finding.verdict}: {finding.message}")
    if finding.waiting:
        print(waiting_text(finding.waiting))
    if finding.circle:
        print(f"The circle: {circle_text(finding.circle)}")
    return 0


def _list(options: argparse.Namespace) -> int:
    if options.bugs:
        return _list_bugs(options)
    vectors = [vector.document for vector in catalogue()]
    if options.json:
        rows = [
            {key: document.get(key) for key in ("name", "about", "classes", "source", "fixes")}
            | {"expect": document.get("expect", {})}
            for document in vectors
        ]
        _print_json({"schema": "eplb-list/1", "vectors": rows})
        return 0
    wide = max(len(str(document["name"])) for document in vectors)
    for document in vectors:
        expect: Any = document.get("expect") or {}
        line = f"{document['name']:<{wide}}  {expect.get('verdict', ''):<9}  {document['about']}"
        print(line if len(line) <= LIST_WIDTH else f"{line[: LIST_WIDTH - 4]} ...")
    return 0


def _list_bugs(options: argparse.Namespace) -> int:
    pairs = bugs(catalogue())
    if options.json:
        _print_json({"schema": "eplb-list/1", "bugs": [pair.document() for pair in pairs]})
    else:
        print(bugs_table(pairs), end="")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    varied = [_range(text) for text in options.vary]
    names = [name for name, _ in varied]
    search, interrupted = _search(options)
    verdicts: Counter[str] = Counter()
    for chosen in product(*(values for _, values in varied)):
        point = dict(zip(names, chosen, strict=True))
        words = [f"{name}={value}" for name, value in point.items()]
        report = check(_scenario(options, [*options.set, *words]), search)
        verdicts[report.verdict] += 1
        _print_point(options, point, report)
        if interrupted():
            break
    if options.json:
        totals = {"schema": "eplb-sweep/1", "points": sum(verdicts.values()), **_sorted(verdicts)}
        print(json.dumps(totals))
    else:
        print(f"{sum(verdicts.values())} points: {_counted(verdicts)}")
    return INTERRUPTED if interrupted() else _sweep_code(verdicts)


def _conform(options: argparse.Namespace) -> int:
    chosen = tuple(map(find_table, options.tables)) or tables()
    machine = load_machine(options.machine) if options.machine else None
    done = Conformance()
    total = sum(len(table.rows) for table in chosen)
    for prediction in predictions(chosen, machine):
        done.predictions.append(prediction)
        _progress(f"{len(done.predictions)} of {total} rows")
    _progress("")
    if options.json:
        _print_json(_conform_document(done, [table.name for table in chosen]))
    else:
        _print_conform(done, chosen)
    return done.exit_code


def _print_conform(done: Conformance, chosen: Sequence[Any]) -> None:
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


def _conform_document(done: Conformance, names: list[str]) -> dict[str, Any]:
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


COMMANDS: Mapping[str, Command] = {
    "check": _check,
    "without": _without,
    "show": _show,
    "replay": _replay,
    "sweep": _sweep,
    "list": _list,
    "conform": _conform,
}


# --- what the options mean -------------------------------------------------------------------


def _scenario(options: argparse.Namespace, settings: Sequence[str]) -> Scenario:
    """The scenario of a vector under `name=value` texts; a later one wins."""
    for text in settings:
        _pair(text, "--set")
    vector = load(options.vector)
    named = dict(vector.setting(text) for text in settings)
    if options.machine:
        named["machine"] = options.machine
    switches = dict(_pair(text, "--switch") for text in options.switch)
    return vector.scenario(named, switches)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text!r}: expected name=value")
    return name, value


def _range(text: str) -> tuple[str, list[str]]:
    """`k=a..b[,step]` or `k=x,y,z`: the name and the values as they would be written."""
    name, values = _pair(text, "--vary")
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


def _search(options: argparse.Namespace) -> tuple[Search, Callable[[], bool]]:
    """The search that the options ask for, and whether the user has interrupted it."""
    pressed: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    signal.signal(signal.SIGINT, interrupt)
    started = time.monotonic()

    told = started

    def enough() -> str | None:
        nonlocal told
        now = time.monotonic()
        if now - told > PROGRESS_EVERY and not options.json:
            told = now
            _progress(f"searching for {now - started:.0f} s, Ctrl-C says what was reached")
        if pressed:
            return "interrupted"
        limit = options.time_limit
        return "time_limit" if limit is not None and now - started > limit else None

    search = Search(
        strategy=options.strategy,
        settle=not options.plain,
        max_states=options.max_states,
        max_depth=options.max_depth,
        enough=enough,
        seed=options.seed,
        runs=options.runs,
        time_limit=options.time_limit,
    )
    return search, lambda: bool(pressed)


def _replay_command(options: argparse.Namespace, report: Report) -> str | None:
    if report.finding is None:
        return None
    words = ["eplb-model", "replay", options.vector]
    for text in options.set:
        words += ["--set", text]
    for text in options.switch:
        words += ["--switch", text]
    if options.machine:
        words += ["--machine", options.machine]
    schedule = schedule_text(report.finding.schedule)
    return f"{shlex.join(words)} --schedule {shlex.quote(schedule)}"


# --- how it is printed -----------------------------------------------------------------------


def _print_json(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, indent=1, ensure_ascii=False))


def _print_point(options: argparse.Namespace, point: Mapping[str, Any], report: Report) -> None:
    if options.json:
        print(json.dumps(report_summary(report), ensure_ascii=False), flush=True)
        return
    where = " ".join(f"{name}={value}" for name, value in point.items())
    print(f"{where}  {verdict_line(report).partition(': ')[2]}", flush=True)


def _sorted(verdicts: Counter[str]) -> dict[str, int]:
    return dict(sorted(verdicts.items()))


def _counted(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))


def _sweep_code(verdicts: Counter[str]) -> int:
    open_ = verdicts["may"] + verdicts["unknown"]
    if sum(verdicts.values()) > verdicts["ok"] + open_:
        return 1
    return 3 if open_ else 0


def _progress(text: str) -> None:
    """What long work has reached: on a terminal's standard error, on one line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
