"""Many checks that go to a file: the options of `sweep` and `campaign`, progress, Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from eplb_model.campaign import EXECUTORS, Campaign, Task, Workers
from eplb_model.campaign.executors import Kind
from eplb_model.campaign.output import Totals, write_out
from eplb_model.commands.printing import progress
from eplb_model.commands.searching import positive
from eplb_model.outcome import INTERRUPTED, OUR_ERROR

TOLD_EVERY = 0.5  # seconds


def add_workers(parser: ArgumentParser) -> None:
    """Take where shards run, and the file that keeps what they say."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON lines to a file")
    parser.add_argument("--resume", action="store_true", help="go on with FILE.part")
    parser.add_argument("--jobs", type=positive, metavar="N", help="shards at a time")
    parser.add_argument(
        "--executor", choices=EXECUTORS, help="default: processes if --jobs, else here"
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a Ray cluster; default: a local one"
    )
    parser.add_argument("--retries", type=int, default=2, help="of a shard that fails")


def chosen_workers(options: Namespace) -> Workers:
    """Where the shards run."""
    jobs = options.jobs
    kind: Kind = options.executor or ("processes" if jobs else "here")
    default = 1 if kind == "here" else (os.cpu_count() or 1)
    return Workers(kind, jobs or default, options.address)


def like(options: Namespace) -> Task:
    """A task that searches as the options say."""
    return Task(
        "",
        strategy=options.strategy,
        settle=options.engine != "plain",
        fast=options.engine == "fast",
        symmetry=options.symmetry,
        folding=options.folding,
        max_states=options.max_states,
        max_depth=options.max_depth,
        time_limit=options.time_limit,
        seed=options.seed,
        runs=options.runs,
    )


def written(
    options: Namespace, tasks: Sequence[Task], totals: Totals
) -> tuple[Campaign, int | None]:
    """The campaign, and an exit code if it is not complete."""
    done = write_out(
        options.out,
        tasks,
        totals,
        workers=chosen_workers(options),
        resume=options.resume,
        retries=max(0, options.retries),
        stop=_stopper(),
        tell=teller(len(tasks)),
    )
    progress("")
    for each in done.failed:
        print(
            f"eplb-model: shard {each.shard} failed {each.attempts} times: {each.error}",
            file=sys.stderr,
        )
    if not done.complete:
        print(f"interrupted: {len(done.done)} of {done.shards}; --resume goes on", file=sys.stderr)
        return done, INTERRUPTED
    if done.failed:
        print("eplb-model: --resume tries what failed again", file=sys.stderr)
        return done, OUR_ERROR
    return done, None


def _stopper() -> Callable[[], bool]:
    """Whether Ctrl-C was pressed; pressed twice it ends at once."""
    pressed: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    signal.signal(signal.SIGINT, interrupt)
    return lambda: bool(pressed)


def teller(total: int) -> Callable[[int], None]:
    """Says what is done, how fast, and how long it still takes: on a terminal's standard error."""
    started = told = time.monotonic()
    before: int | None = None

    def tell(done: int) -> None:
        nonlocal told, before
        now = time.monotonic()
        before = done - 1 if before is None else before  # what a journal had does not count
        if now - told > TOLD_EVERY:
            told = now
            progress(progress_text(done, total, done - before, now - started))

    return tell


def progress_text(done: int, total: int, lately: int, seconds: float) -> str:
    """One line of progress.

    >>> progress_text(30, 90, 20, 10.0)
    '30 of 90, 2.0 per second, 30 s to go'
    """
    if not lately or seconds <= 0:
        return f"{done} of {total}"
    rate = lately / seconds
    left = (total - done) / rate
    minutes, rest = divmod(round(left), 60)
    ahead = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{done} of {total}, {rate:.1f} per second, {ahead} to go"
