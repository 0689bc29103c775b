"""How edges of happens-before are written, one at a time.

Rule: in the first scenario of a pair the accesses are ordered by one edge alone; in the second that
edge is missing, and nothing orders them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.scenario import If, RankPlan, Scenario, Statement
from tests.small import kernel, rank, scenario


def op(kind: str, *values: Any, **more: Any) -> Any:
    """An operation by its kind."""
    return OPERATIONS[kind](*values, **more)


WRITES = {"writes": ("buffer",)}
ACCESS = op("access", **WRITES)
EXCLUSIVE = {"kernels": [kernel("k"), kernel("other")]}


def copy(stream: str, **more: Any) -> Any:
    return op("copy", "h2d", stream, **WRITES, **more)


def launch(stream: str, name: str = "k") -> Any:
    return op("launch", name, stream, **WRITES)


def if_(variable: str, value: object, *body: Statement) -> If:
    return If(Condition(Variable(variable), "==", Value(value)), body)


def one(*threads: list[Any], streams: Any = ("s", "t"), **more: Any) -> Scenario:
    """One rank with these threads: a, b, c."""
    return scenario(rank(*threads, streams=streams), **{**EXCLUSIVE, **more})


def late(plan: RankPlan) -> RankPlan:
    """The rank with its last thread not started."""
    *others, last = plan.threads
    return replace(plan, threads=(*others, replace(last, started=False)))


@dataclass(frozen=True)
class Edge:
    """Two scenarios; without the edge every run races, or only some do."""

    kept: Scenario
    missing: Scenario
    every: bool = True


EDGES: dict[str, Edge] = {}


def edge(make: Callable[[], Edge]) -> None:
    EDGES[make.__name__] = make()
