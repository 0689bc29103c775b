"""`eplb-model list`: the vectors of the catalogue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from eplb_model.bugs import bugs, bugs_table
from eplb_model.commands.printing import add_json, print_json
from eplb_model.vector import catalogue

LIST_WIDTH = 120


def add_arguments(parser: ArgumentParser) -> None:
    """Take which list."""
    add_json(parser)
    parser.add_argument("--bugs", action="store_true", help="bugs with their fixed twins")


def run(options: Namespace) -> int:
    """Print the list."""
    if options.bugs:
        return _list_bugs(options)
    vectors = [vector.document for vector in catalogue()]
    if options.json:
        rows = [
            {key: document.get(key) for key in ("name", "about", "classes", "source", "fixes")}
            | {"expect": document.get("expect", {})}
            for document in vectors
        ]
        print_json({"schema": "eplb-list/1", "vectors": rows})
        return 0
    wide = max(len(str(document["name"])) for document in vectors)
    for document in vectors:
        expect: Any = document.get("expect") or {}
        line = f"{document['name']:<{wide}}  {expect.get('verdict', ''):<9}  {document['about']}"
        print(line if len(line) <= LIST_WIDTH else f"{line[: LIST_WIDTH - 4]} ...")
    return 0


def _list_bugs(options: Namespace) -> int:
    pairs = bugs(catalogue())
    if options.json:
        print_json({"schema": "eplb-list/1", "bugs": [pair.document() for pair in pairs]})
    else:
        print(bugs_table(pairs), end="")
    return 0
