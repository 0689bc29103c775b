"""Values and conditions of programs as Promela expressions.  specs/semantics.md#test

A variable is a number: null and texts have numbers of their own, far from those of programs, so
that equality is that of Python; only numbers have an order.
"""

from __future__ import annotations

from eplb_model.export.promela.layout import Layout, all_of
from eplb_model.ops.expression import Condition, Expression, Value, Variable


def expression(layout: Layout, rank: int, value: Expression) -> str:
    """What an expression is on a rank."""
    if isinstance(value, Value):
        return layout.constant(value.constant)
    place = layout.variable(rank, value.name)
    if not value.plus:
        return place
    return f"({place} + {value.plus} * is_number({place}))"  # no `->`: formulas read it too


def condition(layout: Layout, rank: int, wanted: Condition) -> str:
    """Whether a condition holds on a rank."""
    left, right = (expression(layout, rank, side) for side in (wanted.left, wanted.right))
    compared = f"{left} {wanted.comparison} {right}"
    if wanted.comparison in ("==", "!="):
        return f"({compared})"
    return f"({all_of((*_ordered(layout, rank, wanted), compared))})"


def _ordered(layout: Layout, rank: int, wanted: Condition) -> list[str]:
    """That both sides have an order at all; of constants this is known."""
    terms = []
    for side in (wanted.left, wanted.right):
        if isinstance(side, Variable):
            terms.append(f"is_number({layout.variable(rank, side.name)})")
        elif not isinstance(side.constant, int):
            terms.append("false")
    return terms
