"""Generated programs of which the real side performs everything."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from eplb_model.ops.moves import PeerVariable
from eplb_model.scenario import Forever, If, RankPlan, Repeat, Scenario, Statement, Try
from eplb_real.performed import OPERATIONS, not_performed

KINDS = sorted(set(OPERATIONS) - {"branch"})  # which blocks are made of


def performed(scenario: Scenario) -> Scenario:
    """The same scenario with every field that is not performed as it is by default."""
    ranks = tuple(map(_rank, scenario.ranks))
    found = replace(scenario, ranks=ranks)
    assert not_performed(found) == []
    return found


def _rank(plan: RankPlan) -> RankPlan:
    threads = tuple(replace(thread, body=_body(thread.body)) for thread in plan.threads)
    return replace(plan, threads=threads)


def _body(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    return tuple(map(_statement, body))


def _statement(statement: Statement) -> Statement:
    match statement:
        case If(then=then, otherwise=otherwise):
            return replace(statement, then=_body(then), otherwise=_body(otherwise))
        case Repeat(body=body) | Forever(body=body):
            return replace(statement, body=_body(body))
        case Try(body, handler):
            return Try(_body(body), _body(handler))
        case _:
            found: Statement = _operation(statement)
            return found


def _operation(op: Any) -> Statement:
    asked = [each for each in fields(op) if each.name not in OPERATIONS[op.kind]]
    found: Any = replace(op, **{each.name: each.default for each in asked})
    if getattr(found, "moves", ()):  # no driver moves what a peer has
        mine = tuple(m for m in found.moves if not isinstance(m.source, PeerVariable))
        found = replace(found, moves=mine)
    statement: Statement = found
    return statement
