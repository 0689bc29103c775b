"""Values of a document with the place where they are written, and what may stand for a value.

Rules:
- `"$name"` is a parameter or a derived value; `{"fn": name, ...}` calls a named formula;
  `{"by": name, value: ..., ...}` selects by the value of a parameter; `"$$..."` is a text that
  starts with `$`.
- A `Node` never shows these: it holds what they stand for, and its path is the place where they
  are written.  What came from a parameter or a formula is taken as it is.
- Every complaint about a value goes through `Node.error`, so every one has file and path.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache

from eplb_model import formulas
from eplb_model.format.document import JsonPath, VectorError, describe, listing
from eplb_model.protocols.environment import cap_in_force

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FEW = 3  # names of which one sees at a glance which was meant
RESERVED = ("by", "fn")  # an object with such a key is not an object with a member of that name

Function = Callable[..., object]

FUNCTIONS: Mapping[str, Function] = {
    name: function
    for name, function in sorted({**vars(formulas), "cap_in_force": cap_in_force}.items())
    if inspect.isfunction(function)
    and function.__module__ in (formulas.__name__, cap_in_force.__module__)
    and not name.startswith("_")
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What names stand for; `sms` is given to formulas that ask for it and are not told."""

    values: Mapping[str, object] = field(default_factory=dict)
    sms: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it is written, and (in `via`) which parameter or formula it came from.

    Without a scope nothing is substituted.
    """

    value: object
    file: str
    path: JsonPath = ()
    scope: Scope | None = None
    via: str = ""

    def error(self, problem: str) -> VectorError:
        """The error to raise about this value."""
        return VectorError(self.file, self.path, problem)

    def unexpected(self, expected: str) -> VectorError:
        """The error to raise where this value is not what is expected."""
        got = f"{self.via} is" if self.via else "got"
        return self.error(f"{got} {describe(self.value)}; expected {expected}")

    def unknown(self, what: str, known: Collection[object], where: str = "") -> VectorError:
        """The error to raise where this value names nothing."""
        via = f" (from {self.via})" if self.via else ""
        got = f"{describe(self.value)}{via}{where}"
        return self.error(f"unknown {what} {got}; known: {listing(known)}{near(self.value, known)}")

    # --- parts ---------------------------------------------------------------------------------

    def child(self, key: str | int) -> Node:
        """A member or an element, with what it stands for."""
        assert isinstance(self.value, (dict, list, tuple))
        value = self.value[key]  # type: ignore[index]  # str for objects, int for lists
        if self.via:
            return Node(value, self.file, self.path, self.scope, self.via)
        return node(value, self.file, (*self.path, key), self.scope)

    def elements(self, expected: str = "a list") -> list[Node]:
        """The elements of a list."""
        if not isinstance(self.value, (list, tuple)):
            raise self.unexpected(expected)
        return [self.child(index) for index in range(len(self.value))]

    def members(self, expected: str = "an object") -> dict[str, Node]:
        """The members of an object, whatever their names."""
        if not isinstance(self.value, dict) or not all(isinstance(k, str) for k in self.value):
            raise self.unexpected(expected)  # formulas may return tables with other keys
        return {key: self.child(key) for key in self.value}

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, Node]:
        """The members of an object with fixed names."""
        if not isinstance(self.value, dict):
            raise self.unexpected(f"an object with {listing(known)}")
        for key in self.value:
            if key not in known:
                where = self if self.via else Node(key, self.file, (*self.path, key))
                raise where.error(f"unknown key {describe(key)}; known: {listing(known)}")
        for key in required:
            if key not in self.value:
                raise self.error(f"has no {describe(key)}; required: {listing(required)}")
        return self.members()

    def named(self) -> dict[str, Node]:
        """The members of an object that gives things their names."""
        found = self.members()
        for key in found:
            where = Node(key, self.file, (*self.path, key), via=self.via)
            where.name()
        return found

    # --- leaves --------------------------------------------------------------------------------

    def text(self) -> str:
        """Any text."""
        if not isinstance(self.value, str):
            raise self.unexpected("a string")
        return self.value

    def name(self) -> str:
        """A text that can name something."""
        text = self.value
        if not isinstance(text, str) or not NAME.fullmatch(text) or text in RESERVED:
            raise self.unexpected("a name: letters, digits and _, not 'by' or 'fn'")
        return text

    def choice(self, options: Collection[str]) -> str:
        """One of some texts."""
        if not isinstance(self.value, str) or self.value not in options:
            raise self.unexpected(f"one of {listing(options)}")
        return self.value

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.unexpected("true or false")
        return self.value

    def integer(self, least: int | None = None, most: int | None = None) -> int:
        """An integer (true is none) within bounds."""
        value = self.value
        if not is_integer(value) or not _within(value, least, most):
            raise self.unexpected(f"an integer{_bounds(least, most)}")
        assert isinstance(value, int)
        return value

    def constant(self) -> object:
        """A value that programs can hold; lists become tuples."""
        if isinstance(self.value, (list, tuple)):
            return tuple(each.constant() for each in self.elements())
        if isinstance(self.value, dict):
            raise self.unexpected("null, true, false, a number, a string or a list of these")
        return self.value

    def plain(self) -> object:
        """The whole value with everything in it replaced by what it stands for."""
        if self.via:
            return self.value
        if isinstance(self.value, list):
            return [each.plain() for each in self.elements()]
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.members().items()}
        return self.value


def node(value: object, file: str, path: JsonPath = (), scope: Scope | None = None) -> Node:
    """The node of what a written value stands for."""
    written = Node(value, file, path, scope)
    if scope is None:
        return written
    if isinstance(value, str) and value.startswith("$"):
        return _of_name(written, value, scope)
    if isinstance(value, dict) and "fn" in value:
        return _of_call(written, value, scope)
    if isinstance(value, dict) and "by" in value:
        return _of_choice(written, value, scope)
    return written


def near(value: object, known: Collection[object]) -> str:
    """The name that was meant, perhaps, for the end of a long list of names.

    >>> near("coop_cta", ["machine", "coop_ctas", "nccl_ctas", "ranks"]), near("coop", ["cop"])
    ("; perhaps 'coop_ctas'", '')
    """
    if len(known) <= FEW:
        return ""
    import difflib  # noqa: PLC0415 (only a mistake needs it)

    close = difflib.get_close_matches(str(value), map(str, known), 1, 0.75)
    return f"; perhaps {describe(close[0])}" if close else ""


def is_integer(value: object) -> bool:
    """Whether a JSON value is an integer: true and false are none, though Python says so."""
    return isinstance(value, int) and not isinstance(value, bool)


def _of_name(written: Node, text: str, scope: Scope) -> Node:
    if text.startswith("$$"):
        return Node(text[1:], written.file, written.path, scope)
    if text[1:] not in scope.values:
        raise Node(text[1:], written.file, written.path).unknown("parameter", scope.values)
    return Node(scope.values[text[1:]], written.file, written.path, scope, text)


def _of_choice(written: Node, members: Mapping[str, object], scope: Scope) -> Node:
    name = members["by"]
    if not isinstance(name, str) or name not in scope.values:
        at = Node(name, written.file, (*written.path, "by"))
        raise at.unknown("parameter", scope.values)
    value = scope.values[name]
    key = value if isinstance(value, str) else json.dumps(value)
    cases = [case for case in members if case != "by"]
    if key not in cases:
        raise written.error(f"parameter {name} is {describe(value)}; known: {listing(cases)}")
    return node(members[key], written.file, (*written.path, key), scope)


def _of_call(written: Node, members: Mapping[str, object], scope: Scope) -> Node:
    name = node(members["fn"], written.file, (*written.path, "fn"), scope)
    if not isinstance(name.value, str) or name.value not in FUNCTIONS:
        raise name.unknown("function", FUNCTIONS)
    arguments = {
        key: node(value, written.file, (*written.path, key), scope).plain()
        for key, value in members.items()
        if key != "fn"
    }
    function = FUNCTIONS[name.value]
    known = _parameters(function)
    if "sms" in known:
        arguments.setdefault("sms", scope.sms)
    _check_arguments(written, name.value, arguments, known)
    try:
        result = function(**arguments)
    except (ValueError, TypeError, AttributeError) as error:  # the others: a list for a number
        raise written.error(f"{name.value}: {error}") from None
    return Node(result, written.file, written.path, scope, f"{name.value}(...)")


@cache
def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _check_arguments(
    written: Node,
    function: str,
    arguments: Mapping[str, object],
    known: Mapping[str, inspect.Parameter],
) -> None:
    for key in arguments:
        if key not in known:
            at, takes = Node(key, written.file, (*written.path, key)), _taken(known)
            raise at.error(f"{function} has no argument {describe(key)}; it takes: {takes}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in arguments:
            takes = _taken(known)
            raise written.error(f"{function} lacks argument {describe(key)}; it takes: {takes}")


def _taken(known: Mapping[str, inspect.Parameter]) -> str:
    """What a formula takes, for people."""
    return listing(n if p.default is p.empty else f"{n} (optional)" for n, p in known.items())


def _within(value: object, least: int | None, most: int | None) -> bool:
    assert isinstance(value, int)
    return (least is None or value >= least) and (most is None or value <= most)


def _bounds(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least}"
    return f" of {least}..{most}" if least is not None else f" of at most {most}"
