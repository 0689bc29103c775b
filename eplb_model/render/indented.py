"""JSON as people read it: one line for each value, indented by one space.

Rule: the text is that of `json.dumps(value, indent=1, ensure_ascii=False)`.  With an indent, the
standard library of Python 3.11 does not use its fast encoder, and a report about a thousand ranks
takes longer to print than to find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring as quoted


def indented(value: object, lead: str = "\n") -> str:
    """The text of a JSON value; `lead` begins the line of its closing bracket.

    >>> print(indented({"ranks": [0, 1], "cut": None, "ends": {}}))
    {
     "ranks": [
      0,
      1
     ],
     "cut": null,
     "ends": {}
    }
    """
    if isinstance(value, str):
        return quoted(value)
    inner = f"{lead} "
    if isinstance(value, Mapping) and value:
        members = [
            f"{quoted(key) if type(key) is str else _key(key)}: "
            f"{quoted(each) if type(each) is str else indented(each, inner)}"
            for key, each in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(members)}{lead}}}"
    if isinstance(value, (list, tuple)) and value:
        elements = [quoted(each) if type(each) is str else indented(each, inner) for each in value]
        return f"[{inner}{f',{inner}'.join(elements)}{lead}]"
    return json.dumps(value)


def _key(key: object) -> str:
    """Members have texts for names, and JSON makes one of whatever else is a key."""
    return quoted(key if isinstance(key, str) else json.dumps(key))
