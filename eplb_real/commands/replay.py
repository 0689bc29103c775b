"""`eplb-real replay`: run a vector for real and hold it against the model."""

from __future__ import annotations

import argparse
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

from eplb_model.outcome import INCONCLUSIVE, INTERRUPTED, Lacking, UsageError
from eplb_model.scenario import Scenario
from eplb_model.trace import parse_schedule
from eplb_model.vector import VectorFile, catalogue, load
from eplb_real.commands.choosing import able, add_driver, chosen_name, said_of_replay
from eplb_real.commands.printing import add_json, pair, positive, print_json
from eplb_real.drivers.base import Driver, library_modules
from eplb_real.lease import gpus, leased
from eplb_real.nursery import Spawner
from eplb_real.runner import Replay, Replayed, Wish, document, lacking
from eplb_real.torchrun import follow, gather, meeting

DEADLINE = 20.0
Wanted = tuple[VectorFile, Scenario, Wish]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a vector or all, where, and how."""
    parser.add_argument(
        "vector", nargs="?", metavar="NAME|FILE", help="a name of the catalogue, or a file"
    )
    parser.add_argument("--all", action="store_true", help="every vector of the catalogue")
    add_driver(parser, "threads")
    parser.add_argument("--nproc", type=positive(int), metavar="N", help="the number of ranks")
    parser.add_argument("--deadline", type=positive(float), metavar="S", help="seconds per run")
    parser.add_argument(
        "--schedule", metavar="WORDS", help="enforce these steps: '0.main 1.side:3'"
    )
    parser.add_argument("--runs", type=positive(int), metavar="N", help="how often to run")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the free choices")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="a parameter")
    parser.add_argument(
        "--jobs", type=positive(int), default=1, metavar="N", help="so many vectors side by side"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Replay, and say what agrees."""
    driver = able(chosen_name(options))
    where = meeting(os.environ) if driver.name == "gloo" else None
    if where is None:
        with _leased(driver, options):
            return _replay_with(driver, None, options)
    modules = (*driver.modules, "eplb_real.events")
    if where.rank:
        follow(where, modules)
        return 0
    options.nproc = where.size
    return _replay_with(driver, gather(where, modules), options)


def _leased(driver: Driver, options: argparse.Namespace) -> AbstractContextManager[object]:
    """The GPUs for a driver that needs some: one per rank, all for all vectors."""
    if not driver.on_gpus:
        return nullcontext()
    there = len(gpus())
    ranks = there if options.all else len(_chosen(options)[0][1].world.ranks)
    return leased(min(ranks, there))


def _replay_with(driver: Driver, team: Spawner | None, options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    done: list[Replayed] = []
    interrupted = False
    wanted = [(*each, _wish(options, *each)) for each in chosen]
    try:
        for replayed in _in_order(driver, team, wanted, options.jobs):
            done.append(replayed)
            if not options.json:
                _print_replayed(replayed, full=not options.all)
    except KeyboardInterrupt:
        interrupted = True
    answers = Counter(str(replayed.answer) for replayed in done)
    if options.json:
        vectors = [document(replayed) for replayed in done]
        print_json({"schema": "eplb-replay/1", "driver": driver.name, "vectors": vectors})
    elif options.all:
        print(", ".join(f"{count} {answer}" for answer, count in sorted(answers.items())))
    return INTERRUPTED if interrupted else exit_code(answers)


def _in_order(
    driver: Driver, team: Spawner | None, wanted: Sequence[Wanted], jobs: int
) -> Iterator[Replayed]:
    """What comes of replaying vectors, in their order; with jobs, so many at a time.

    Every thread has places of its own; they are closed before it ends, which would end them too.
    """
    with ThreadPoolExecutor(jobs) as threads, ExitStack() as replays:
        own = threading.local()

        def replayed(each: Wanted) -> list[Replayed]:
            if not hasattr(own, "replay"):
                own.replay = replays.enter_context(Replay(driver, team))
            return list(_replayed(own.replay, driver, *each))

        futures = [threads.submit(replayed, each) for each in wanted]
        try:
            for future in futures:
                yield from future.result()
        finally:
            wait([future for future in futures if not future.cancel()])


def _replayed(
    replay: Replay, driver: Driver, vector: VectorFile, scenario: Scenario, wish: Wish
) -> Iterator[Replayed]:
    """What comes of replaying a vector, which may itself name the drivers it is for."""
    named = said_of_replay(vector).get("drivers")
    if named is not None and driver.name not in named:
        why = f"the vector is for the drivers {', '.join(named)}"
        yield Replayed(vector.name, driver.name, "", "declined", why)
        return
    yield from replay.scenario(scenario, wish)


def exit_code(answers: Counter[str]) -> int:
    """0 if all agree, 1 if something disagrees, 3 for everything else."""
    if answers["disagrees"]:
        return 1
    if answers["inconclusive"] or not answers["agrees"]:
        return INCONCLUSIVE
    return 0


def _chosen(options: argparse.Namespace) -> list[tuple[VectorFile, Scenario]]:
    """The vectors to replay, with their scenarios."""
    if options.all == (options.vector is not None):
        raise UsageError("expected a vector or --all, and not both")
    if options.all:
        if options.set or options.nproc or options.schedule:
            raise UsageError("--set, --nproc and --schedule go with one vector, not with --all")
        return [(vector, vector.scenario()) for vector in catalogue()]
    vector = load(options.vector)
    scenario = _chosen_scenario(options, vector)
    missing = lacking(library_modules(scenario))
    if missing:
        raise Lacking(f"{vector.name} needs {', '.join(missing)}, which is not installed")
    return [(vector, scenario)]


def _chosen_scenario(options: argparse.Namespace, vector: VectorFile) -> Scenario:
    named = dict(vector.setting(pair(text)) for text in options.set)
    if options.nproc is not None:
        named["ranks"] = options.nproc
    return vector.scenario(named)


def _wish(options: argparse.Namespace, vector: VectorFile, scenario: Scenario) -> Wish:
    deadline = said_of_replay(vector).get("deadline_s", DEADLINE)
    wish = Wish(
        runs=options.runs,
        seed=options.seed,
        deadline=float(deadline if options.deadline is None else options.deadline),
    )
    if options.schedule is None:
        return wish
    return replace(wish, schedule=parse_schedule(scenario.world, options.schedule))


def _print_replayed(replayed: Replayed, full: bool) -> None:
    where = f" [{replayed.setting}]" if replayed.setting else ""
    outcomes = Counter(result.outcome for result in replayed.runs)
    runs = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    told = "; ".join(filter(None, (runs, replayed.why)))
    expected = f"the model says {replayed.expected}; " if replayed.expected else ""
    print(f"{replayed.answer:<12}  {replayed.vector}{where}: {expected}{told}", flush=True)
    if full:
        _print_last_run(replayed)


def _print_last_run(replayed: Replayed) -> None:
    if not replayed.runs:
        return
    last = replayed.runs[-1]
    for text in last.evidence:
        print(f"  {text}")
    for pending in last.pending:
        place = "" if pending.pc is None else f" (operation {pending.pc})"
        why = f": {pending.why}" if pending.why else ""
        print(f"  {pending.actor} in {pending.op}{place}{why}")
    for line in last.exceptions:
        print(f"  {line['actor']} raised {line['family']} in {line['op']}: {line['text']}")
    for line in last.overlaps:
        print(f"  {' and '.join(line['actors'])} overlap on {line['buffer']}")
