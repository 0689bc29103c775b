"""How the call of a method becomes an operation of a vector: `t.launch(moe, "compute", gil=True)`.

Rules:
- What an operation takes is read from its annotations, as the loader does; nothing is listed here.
- Required fields may be given by place, the others by name only.
- A kind that is a keyword of Python gets an underscore: `t.raise_()`.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable
from typing import Any, Protocol

from eplb_model.build.places import Place, caller
from eplb_model.build.words import Comparison, Value, escaped, name_of, written
from eplb_model.format.statements import Argument, arguments_of
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Condition, Expression

ME = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Writes(Protocol):
    """Whatever takes the statements of a thread."""

    def append(self, statement: object, place: Place) -> None:
        """Take one more statement."""


def method_name(kind: str) -> str:
    """The method for an operation.

    >>> method_name("launch"), method_name("assert")
    ('launch', 'assert_')
    """
    return f"{kind}_" if keyword.iskeyword(kind) else kind


def method(kind: str) -> Callable[..., None]:
    """The method that writes an operation."""
    arguments = arguments_of(OPERATIONS[kind])
    signature = inspect.Signature([ME, *map(_parameter, arguments)])
    called = method_name(kind)

    def write(*positional: Any, **named: Any) -> None:
        try:
            given = signature.bind(*positional, **named).arguments
        except TypeError as error:
            raise TypeError(f"{called}(): {error}") from None
        thread: Writes = given["self"]
        parts = {
            each.name: taken(each, given[each.name], f"{called}(): {each.name}")
            for each in arguments
            if each.name in given
        }
        optional = {each.name: parts[each.name] for each in arguments if _is_given(each, parts)}
        first = [parts[each.name] for each in arguments if each.required]
        thread.append([kind, *first, *([optional] if optional else [])], caller())

    write.__name__ = called
    write.__qualname__ = f"Operations.{called}"
    write.__doc__ = OPERATIONS[kind].__doc__
    write.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect` looks for
    return write


def taken(argument: Argument, value: Any, what: str) -> object:
    """A value that was given for a field, as a vector has it."""
    try:
        if argument.role is not None and argument.role.name == "moves":
            return [[name_of(target), _source(source)] for target, source in value]
        if argument.role is not None and argument.several:
            return [name_of(each) for each in ([value] if isinstance(value, str) else value)]
        if argument.role is not None:
            return name_of(value)
        if argument.hint is Condition:
            return _comparison(value)
        if argument.hint == Expression:
            return written(value)
        return escaped(value) if isinstance(value, str) else value
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None


def _comparison(value: object) -> object:
    if not isinstance(value, Comparison):
        raise TypeError(f"got {value!r}; expected a comparison, like Var('x') == 1")
    return value.written


def _source(value: Value) -> object:
    """What a move reads: text names a variable here or, like `1.x`, on a peer."""
    return name_of(value) if not isinstance(value, (bool, int, type(None))) else value  # type: ignore[arg-type]


def _parameter(argument: Argument) -> inspect.Parameter:
    if argument.required:
        return inspect.Parameter(argument.name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter(argument.name, inspect.Parameter.KEYWORD_ONLY, default=...)


def _is_given(argument: Argument, parts: dict[str, object]) -> bool:
    return not argument.required and argument.name in parts
