"""What expressions and conditions of a program give, read from the variables of one rank.

Rule: as in Python, true equals 1; only numbers are ordered (specs/semantics.md#branch).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, assert_never

from eplb_model.ops.expression import Condition, Expression, Value, Variable

ORDERINGS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def value_of(expression: Expression, variables: Mapping[str, Any]) -> Any:
    """A constant, or the value of a variable with what is added to it."""
    match expression:
        case Value(constant):
            return constant
        case Variable(name, plus):
            value = variables[name]
            return value + plus if plus and isinstance(value, int) else value
        case _:
            assert_never(expression)


def holds(condition: Condition, variables: Mapping[str, Any]) -> bool:
    """Whether a comparison holds now."""
    left, right = value_of(condition.left, variables), value_of(condition.right, variables)
    match condition.comparison:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case ordering:
            numbers = isinstance(left, int) and isinstance(right, int)
            return numbers and bool(ORDERINGS[ordering](left, right))
