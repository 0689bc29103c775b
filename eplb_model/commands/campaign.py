"""`eplb-model campaign`: the whole catalogue, or sampled schedules, over many workers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from eplb_model.campaign import Line, Task, catalogue_tasks, random_tasks
from eplb_model.campaign.output import Totals
from eplb_model.campaign.tasks import SAMPLING
from eplb_model.commands.searching import add_searching, positive
from eplb_model.commands.shards import add_workers, like, written
from eplb_model.commands.vectors import chosen_settings
from eplb_model.outcome import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Take what to do, how to search, and where."""
    parser.add_argument("what", choices=("catalogue", "random"))
    parser.add_argument("vectors", nargs="*", metavar="NAME|FILE", help="catalogue: default all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--machine", help="for random: a preset or a file")
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=SETTING")
    parser.add_argument("--shards", type=positive, default=16, help="for random")
    add_searching(parser)
    add_workers(parser)


def run(options: Namespace) -> int:
    """Write a line for every shard, and print how many there were of which kind."""
    if options.out is None:
        raise UsageError("campaign: expected --out FILE")
    tasks, totals = _catalogue(options) if options.what == "catalogue" else _random(options)
    done, failed = written(options, tasks, totals)
    if failed is not None:
        return failed
    last = totals(done.lines)
    counts = ", ".join(f"{value} {name}" for name, value in last.items() if name != "schema")
    print(f"campaign: {counts}")
    return 1 if last.get("disagree") or last.get("findings") else 0


def _catalogue(options: Namespace) -> tuple[tuple[Task, ...], Totals]:
    if options.set or options.machine or options.switch:
        raise UsageError("campaign catalogue: --set, --machine and --switch are for random")
    return catalogue_tasks(options.vectors, like(options)), _catalogue_totals


def _catalogue_totals(lines: Sequence[Line]) -> Line:
    verdicts = Counter(str(line["verdict"]) for line in lines)
    agree = sum(line["agrees"] is True for line in lines)
    head = {"schema": "eplb-campaign/1", "cases": len(lines), "agree": agree}
    return {**head, "disagree": len(lines) - agree, **dict(sorted(verdicts.items()))}


def _random(options: Namespace) -> tuple[tuple[Task, ...], Totals]:
    if len(options.vectors) != 1:
        raise UsageError(f"campaign random: got {len(options.vectors)} vectors; expected one")
    if options.strategy not in SAMPLING:
        raise UsageError(f"campaign random: --strategy {' or '.join(SAMPLING)}")
    (options.vector,) = options.vectors
    settings, switches = chosen_settings(options)
    task = replace(like(options), vector=options.vector, settings=settings, switches=switches)
    return random_tasks(task, options.shards), _random_totals


def _random_totals(lines: Sequence[Line]) -> Line:
    runs = sum(sum(line["ends"].values()) for line in lines)
    found = sum(line["verdict"] != "unknown" for line in lines)
    return {"schema": "eplb-campaign/1", "shards": len(lines), "runs": runs, "findings": found}
