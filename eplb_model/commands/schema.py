"""`eplb-model schema`: the JSON Schemas of all documents that are read and printed."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser, Namespace

from eplb_model.format.document import dump
from eplb_model.outcome import UsageError
from eplb_model.schema import schema, schemas


def add_arguments(parser: ArgumentParser) -> None:
    """Take the name of a document."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="as in the key `schema`: eplb-report/1"
    )


def run(options: Namespace) -> int:
    """Print one schema, or what there are."""
    known = schemas()
    if options.name is None:
        wide = max(map(len, known))
        for name in known:
            print(f"{name:<{wide}}  {schema(name).get('description', '')}")
        return 0
    if options.name not in known:
        close = difflib.get_close_matches(options.name, known, 1)
        near = f"close to it: {close[0]}; " if close else ""
        raise UsageError(f"unknown schema {options.name!r}; {near}known: {', '.join(known)}")
    print(dump(schema(options.name)), end="")
    return 0
