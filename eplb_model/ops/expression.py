"""Values and conditions over the shared variables of a rank.

Both are read in one atomic step: under the interpreter lock a read of one variable is atomic.
Values are compared as in Python, where true equals 1; states compare them in the same way.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eplb_model.outcome import Actor
from eplb_model.state import State

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Value:
    """A constant."""

    constant: Any

    def of(self, state: State, me: Actor) -> Any:
        return self.constant

    @property
    def variables(self) -> tuple[str, ...]:
        return ()

    def __str__(self) -> str:
        simple = self.constant is None or isinstance(self.constant, bool)
        return json.dumps(self.constant) if simple else str(self.constant)


NOTHING = Value(None)


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a variable, plus a number if `plus` is not 0."""

    name: str
    plus: int = 0

    def of(self, state: State, me: Actor) -> Any:
        value = state.read(me.rank, self.name)
        return value + self.plus if self.plus and isinstance(value, int) else value

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.name,)

    def __str__(self) -> str:
        return f"{self.name} + {self.plus}" if self.plus else self.name


Expression = Value | Variable


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of two expressions as Python makes it; only numbers are ordered."""

    left: Expression
    comparison: str
    right: Expression

    def holds(self, state: State, me: Actor) -> bool:
        left, right = self.left.of(state, me), self.right.of(state, me)
        comparable = isinstance(left, int) and isinstance(right, int)
        if self.comparison in ("==", "!=") or comparable:
            return COMPARISONS[self.comparison](left, right)
        return False

    @property
    def variables(self) -> tuple[str, ...]:
        return (*self.left.variables, *self.right.variables)

    def __str__(self) -> str:
        return f"{self.left} {self.comparison} {self.right}"
