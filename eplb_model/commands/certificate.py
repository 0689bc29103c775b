"""`eplb-model certificate`: check a certificate without trusting the search that made it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from eplb_model.all_ranks.checker import refusal
from eplb_model.outcome import UsageError
from eplb_model.vector import VectorError

SCHEMA = "eplb-certificate/1"
MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def add_arguments(parser: ArgumentParser) -> None:
    """Take a file."""
    parser.add_argument("file", metavar="FILE", help="what `check --all-ranks --json` printed")


def run(options: Namespace) -> int:
    """Print whether the certificate proves its answer."""
    certificate = _read(options.file)
    why = _refusal(certificate)
    if why is not None:
        print(f"refused: {why}")
        return 1
    states = sum(1 + len(rows) for rows in certificate["states"])
    many = f"every number of ranks from {certificate['least']} on"
    print(f"accepted: {certificate['scenario']} holds for {many} ({states} states)")
    return 0


def _refusal(certificate: dict[str, Any]) -> str | None:
    if certificate.get("answer") != "holds":
        return f"its answer is {certificate.get('answer')!r}: there is nothing to prove"
    try:
        return refusal(certificate)
    except VectorError as error:
        return str(error)
    except MALFORMED as error:
        return f"it is malformed: {type(error).__name__} {error}"


def _read(name: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{name}: can't be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{name}: no JSON; expected an {SCHEMA} document") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise UsageError(f"{name}: expected an {SCHEMA} document")
    return document
