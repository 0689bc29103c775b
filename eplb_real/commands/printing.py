"""What several commands take and print alike."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from eplb_model.outcome import UsageError


def add_json(parser: argparse.ArgumentParser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one document on stdout")


def print_json(found: Mapping[str, Any]) -> None:
    """Print one document on standard output."""
    print(json.dumps(found, indent=1, ensure_ascii=False))


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader of numbers above 0."""

    def read(text: str) -> Any:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
        return value

    return read


def pair(text: str) -> str:
    """`name=value`, or an error."""
    name, equals, _ = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {text!r}: expected name=value")
    return text
