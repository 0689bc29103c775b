"""What stands for values in a protocol that is built: variables, comparisons, parameters.

Rules:
- `Var("x") == 1` is no truth of Python but a `Comparison` that the model makes when it gets there.
- Text is text: only a `Parameter` stands for the value of a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class Parameter(str):
    """The value of a parameter, wherever a name, a number, a text or a truth is taken."""

    __slots__ = ()


class Var:
    """The value of a variable of the rank, plus a number.

    >>> (Var("step") + 1).written, (Var("step") < 3).written
    ({'var': 'step', 'plus': 1}, [{'var': 'step'}, '<', 3])
    """

    __slots__ = ("name", "plus")
    __hash__ = None  # type: ignore[assignment]  # == makes a comparison, so no set can hold this

    def __init__(self, name: str, plus: int = 0) -> None:
        self.name = name
        self.plus = plus

    @property
    def written(self) -> dict[str, object]:
        """The expression as a vector has it."""
        return {"var": self.name, "plus": self.plus} if self.plus else {"var": self.name}

    def __repr__(self) -> str:
        return f"Var({self.name!r}, {self.plus})" if self.plus else f"Var({self.name!r})"

    def __add__(self, number: int) -> Var:
        return Var(self.name, self.plus + number)

    def __sub__(self, number: int) -> Var:
        return Var(self.name, self.plus - number)

    def __eq__(self, other: Value) -> Comparison:  # type: ignore[override]  # see the module's rule
        return Comparison(self, "==", other)

    def __ne__(self, other: Value) -> Comparison:  # type: ignore[override]  # likewise
        return Comparison(self, "!=", other)

    def __lt__(self, other: Value) -> Comparison:
        return Comparison(self, "<", other)

    def __le__(self, other: Value) -> Comparison:
        return Comparison(self, "<=", other)

    def __gt__(self, other: Value) -> Comparison:
        return Comparison(self, ">", other)

    def __ge__(self, other: Value) -> Comparison:
        return Comparison(self, ">=", other)


class Comparison:
    """A condition of a program."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, left: Value, operator: Operator, right: Value) -> None:
        self.left = left
        self.operator = operator
        self.right = right

    @property
    def written(self) -> list[object]:
        """The condition as a vector has it."""
        return [written(self.left), self.operator, written(self.right)]

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self.left!r} {self.operator} {self.right!r} is decided by the model, not by Python; "
            "write `with t.if_(...)`, one comparison each"
        )


Value: TypeAlias = bool | int | float | str | Var | Sequence["Value"] | None
Names: TypeAlias = str | Sequence[str]
MoveList: TypeAlias = Sequence[tuple[str | Var, bool | int | str | Var | None]]


def written(value: Value) -> object:
    """A value of a program as a vector has it."""
    if isinstance(value, Var):
        return value.written
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, (list, tuple)):
        return [written(each) for each in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"got {value!r}; expected a Var, or what JSON can hold")


def name_from(title: str) -> str:
    """A name made of a title.

    >>> name_from("my protocol, 2nd/try")
    'my_protocol_2nd_try'
    """
    return re.sub(r"\W+", "_", title, flags=re.ASCII).strip("_")


def escaped(text: str) -> str:
    """A text that stands for itself, unless it is a parameter."""
    return text if isinstance(text, Parameter) or not text.startswith("$") else f"${text}"


def name_of(name: str | Var) -> str:
    """A name, where a variable may be given for its name."""
    if isinstance(name, Var):
        if name.plus:
            raise TypeError(f"got {name!r}; expected a variable without a number added")
        return name.name
    if not isinstance(name, str):
        raise TypeError(f"got {name!r}; expected a name")
    return name
