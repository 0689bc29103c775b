"""JSON files, read strictly and written in one form.

Rules:
- What a reader could take in two ways is an error: duplicate keys, NaN, numbers too large to hold.
- Size and depth are bounded before anything is built from the text.
- `VectorError` is one line: the file, the path in the JSON text as it is written, what was got,
  what was expected or is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from eplb_model.outcome import UsageError

VECTOR_SCHEMA = "eplb-vector/1"
LARGEST_FILE = 1 << 20  # bytes
DEEPEST = 64  # lists and objects within one another
LONGEST_NUMBER = 18  # digits
WIDTH = 100

JsonPath: TypeAlias = tuple[str | int, ...]


class VectorError(UsageError):
    """A file of the user that can't be used.  `str` is one line with file, path and reason."""

    def __init__(self, file: str, path: JsonPath | None, problem: str) -> None:
        self.file = file
        self.path = None if path is None else pointer(path)
        self.problem = problem
        place = "" if self.path is None else f"{self.path}: "
        super().__init__(_one_line(f"{file}: {place}{problem}"))


def pointer(path: JsonPath) -> str:
    """A path as RFC 6901 writes it, but `/` for the whole document.

    >>> pointer(("programs", "0.main", 3)), pointer(("a/b",)), pointer(())
    ('/programs/0.main/3', '/a~1b', '/')
    """
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "/" + "/".join(steps)


def describe(value: object) -> str:
    """A value that was got, short enough for a line.

    >>> print(describe(True), describe("lauch"), describe([1, 2]), describe({}))
    true 'lauch' a list of 2 an object
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:36] + "...")
    return json.dumps(value)


def listing(names: Iterable[object]) -> str:
    """What is known, for the end of an error line."""
    return ", ".join(map(str, names)) or "(none)"


def read_document(path: Path, label: str | None = None) -> dict[str, object]:
    """The object in a JSON file; `VectorError` says why there is none.  `label` names the file."""
    file = str(path) if label is None else label
    return parse_document(_read_text(path, file), file)


def parse_document(text: str, file: str) -> dict[str, object]:
    """The object in a JSON text; `file` is what errors call it."""
    try:
        value = json.loads(
            text, object_pairs_hook=_Pairs.of, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise VectorError(file, None, f"invalid JSON at {place}: {error.msg}") from None
    except RecursionError:
        raise VectorError(file, None, _too_deep()) from None
    _refuse(file, value)
    if not isinstance(value, dict):
        raise VectorError(file, (), f"got {describe(value)}; expected an object")
    return value


def _read_text(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise VectorError(file, None, "no such file; expected a JSON document") from None
    except IsADirectoryError:
        raise VectorError(file, None, "is a directory; expected a JSON document") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise VectorError(file, None, f"can't be read: {reason}; expected a file") from None
    if len(data) > LARGEST_FILE:
        raise VectorError(file, None, f"larger than {LARGEST_FILE} bytes; expected at most that")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8; expected a JSON document in UTF-8"
        raise VectorError(file, None, problem) from None


class _Pairs(dict[str, object]):
    """An object that remembers a key which its text had twice."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, object]]) -> dict[str, object]:
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found = cls(plain)
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.twice = key
            seen.add(key)
        return found


class _Refused:
    """In place of a number that can't be held, until its path is known."""

    def __init__(self, text: str) -> None:
        self.text = text


def _integer(text: str) -> object:
    return int(text) if len(text.lstrip("-")) <= LONGEST_NUMBER else _Refused(text)


def _number(text: str) -> object:
    value = float(text)
    return value if math.isfinite(value) else _Refused(text)


def _refuse(file: str, value: object) -> None:
    """Raise for the first thing that no document may contain."""
    for path, each in _walk(value):
        container = isinstance(each, (dict, list))
        problem = _too_deep() if container and len(path) >= DEEPEST else _problem(each)
        if problem is not None:
            twice = (each.twice,) if isinstance(each, _Pairs) and each.twice is not None else ()
            raise VectorError(file, (*path, *twice), problem)


def _problem(value: object) -> str | None:
    match value:
        case _Pairs():
            return f"key {describe(value.twice)} appears twice; expected each key once"
        case _Refused():
            return f"number {value.text[:20]} is too large; expected one that 64 bits hold"
        case float() if not math.isfinite(value):
            return f"got {value}; expected a number that JSON has"
        case str() if not _is_unicode(value):
            return "got half a surrogate pair; expected text that UTF-8 can write"
        case _:
            return None


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _walk(value: object) -> Iterator[tuple[JsonPath, object]]:
    """Every key and value with its path, in order; no recursion, for depth is not checked yet."""
    stack: list[tuple[JsonPath, object]] = [((), value)]
    while stack:
        path, each = stack.pop()
        yield path, each
        if len(path) >= DEEPEST:
            continue
        if isinstance(each, dict):
            stack += [((*path, key), child) for key, child in reversed(each.items())]
            stack += [(path, key) for key in each]
        elif isinstance(each, list):
            stack += [((*path, index), child) for index, child in reversed([*enumerate(each)])]


def _too_deep() -> str:
    return f"nested too deeply; expected at most {DEEPEST} levels"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def dump(document: object) -> str:
    """The canonical text: what fits in 100 columns is one line, the rest is indented by 2.

    >>> print(dump({"name": "x", "ranks": [0, 1]}), end="")
    {
      "name": "x",
      "ranks": [0, 1]
    }
    """
    return _expanded(document, 0, 0) + "\n"


def _expanded(value: object, indent: int, column: int) -> str:
    """A value that starts at a column, its parts in lines of their own below `indent`."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return _line(value)
    hugged = _hugged(value, indent, column)
    if hugged is not None:
        return hugged
    inner = " " * (indent + 2)
    lines = [
        inner + key + _fitted(each, indent + 2, len(inner) + len(key))
        for key, each in _parts(value)
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join((opening, ",\n".join(lines), " " * indent + closing))


def _fitted(value: object, indent: int, column: int) -> str:
    line = _line(value)
    return line if column + len(line) < WIDTH else _expanded(value, indent, column)


def _hugged(value: object, indent: int, column: int) -> str | None:
    """Opening brackets that share a line, `[{"repeat": 2, "do": [`, where only the end is long."""
    *before, (key, last) = _parts(value)
    inline = "".join(f"{name}{_line(each)}, " for name, each in before)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    start = column + len(opening + inline + key)
    if isinstance(value, dict):
        plain = isinstance(last, list) and not any(isinstance(each, dict) for _, each in before)
        fits = column > 0 and plain and len(before) <= 1 and start < WIDTH - 2
    else:
        fits = not before and isinstance(last, dict) and start < WIDTH - 2
    if not fits:
        return None
    return opening + inline + key + _expanded(last, indent, start) + closing


def _parts(value: object) -> list[tuple[str, object]]:
    """The parts of a list or an object, each with its key as it is written."""
    if isinstance(value, dict):
        return [(f"{_line(key)}: ", each) for key, each in value.items()]
    assert isinstance(value, (list, tuple))
    return [("", each) for each in value]


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
