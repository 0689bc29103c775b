"""What several commands print alike."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from eplb_model.render.indented import indented


def add_json(parser: ArgumentParser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def print_json(document: Mapping[str, Any]) -> None:
    """Print one document on standard output."""
    print(indented(document))


def progress(text: str) -> None:
    """What long work has reached: on a terminal's standard error, on one line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def pace(done: int, total: int, seconds: float, what: str) -> str:
    """How far long work has come, how fast it goes, and when it will be done.

    >>> pace(120, 1770, 4.0, "rows"), pace(0, 5, 0.0, "points")
    ('120 of 1770 rows, 30 a second, 55 s left', '0 of 5 points')
    """
    reached = f"{done} of {total} {what}"
    if not done or seconds <= 0:
        return reached
    rate = done / seconds
    return f"{reached}, {rate:.3g} a second, {(total - done) / rate:.0f} s left"
