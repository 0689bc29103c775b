"""What several commands print alike."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any


def add_json(parser: ArgumentParser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def print_json(document: Mapping[str, Any]) -> None:
    """Print one document on standard output."""
    print(json.dumps(document, indent=1, ensure_ascii=False))


def progress(text: str) -> None:
    """What long work has reached: on a terminal's standard error, on one line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
