"""How to search: the options of every command that explores, and Ctrl-C on the way."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable

from eplb_model.check import STRATEGIES, Search
from eplb_model.commands.printing import progress

ENGINES = ("fast", "settled", "plain")
PROGRESS_EVERY = 2.0  # seconds


def add_searching(parser: ArgumentParser) -> None:
    """Take strategy, reduction, bounds and seed."""
    parser.add_argument("--strategy", choices=STRATEGIES, default="bfs")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="fast",
        help="plain: no reduction, the reference; settled: where only one order matters; "
        "fast (default): tables of one rank, where they are sound, else settled",
    )
    parser.add_argument(
        "--plain", action="store_const", dest="engine", const="plain", help="the same as an engine"
    )
    parser.add_argument(
        "--no-symmetry",
        action="store_false",
        dest="symmetry",
        help="the fast engine keeps equal ranks apart",
    )
    parser.add_argument(
        "--no-folding",
        action="store_false",
        dest="folding",
        help="the fast engine tabulates a rank whole, also if it repeats itself",
    )
    parser.add_argument("--seed", type=int, default=0, help="for uniform and pct")
    parser.add_argument("--runs", type=positive, default=1000, help="for uniform and pct")
    parser.add_argument("--max-states", type=positive, default=2_000_000)
    parser.add_argument("--max-depth", type=positive)
    parser.add_argument("--time-limit", type=seconds, metavar="SECONDS")


def chosen_search(options: Namespace) -> tuple[Search, Callable[[], bool]]:
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
            progress(f"searching for {now - started:.0f} s, Ctrl-C says what was reached")
        if pressed:
            return "interrupted"
        limit = options.time_limit
        return "time_limit" if limit is not None and now - started > limit else None

    search = Search(
        strategy=options.strategy,
        settle=options.engine != "plain",
        fast=options.engine == "fast",
        symmetry=options.symmetry,
        folding=options.folding,
        max_states=options.max_states,
        max_depth=options.max_depth,
        enough=enough,
        seed=options.seed,
        runs=options.runs,
        time_limit=options.time_limit,
    )
    return search, lambda: bool(pressed)


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is not positive")
    return number


def seconds(text: str) -> float:
    """A finite time above 0, in seconds."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number
