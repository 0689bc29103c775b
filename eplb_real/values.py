"""What expressions and conditions of a program give, read from the variables of one rank.

Rule: as in Python, true equals 1; only numbers are ordered (specs/semantics.md#branch).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, assert_never

from eplb_model.ops.expression import Condition, Expression, Value, Variable
from eplb_model.ops.moves import Move, PeerVariable

Moves: TypeAlias = Sequence[Move]  # what work of a stream does to variables when it ends

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


def source_of(move: Move, variables: Mapping[str, Any]) -> Any:
    """What a move takes; raises ValueError for a variable of a peer, which no driver moves."""
    if isinstance(move.source, PeerVariable):
        raise ValueError(f"no driver moves {move}")
    return value_of(move.source, variables)


def takes_from_peers(moves: Moves) -> bool:
    """Whether a move takes a variable of a peer."""
    return any(isinstance(each.source, PeerVariable) for each in moves)


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
