"""Generated claims over the variables and flags of generated scenarios."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from hypothesis import strategies as st

from eplb_model.claims import Agree, Claim, Stated, StatedKind
from eplb_model.ops.expression import COMPARISONS, Condition, Value, Variable
from eplb_model.ops.variables import Put
from eplb_model.scenario import Forever, Scenario, Statement
from eplb_model.strategies import scenarios
from tests.small import rank, scenario

NAMES = ("x", "y", "flag1")  # what strategies.py calls them
KINDS: tuple[StatedKind, ...] = get_args(StatedKind)


@st.composite
def claims(draw: st.DrawFn, ranks: int) -> Claim:
    """A claim of some kind; its sentence is its text."""
    if draw(st.sampled_from((False, False, False, True))):
        agree = Agree(draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES)), "")
        return replace(agree, sentence=str(agree))
    values = st.sampled_from((0, 1, 2, None, True, False)).map(Value)
    sides = values | st.sampled_from(NAMES).map(Variable)
    condition = Condition(
        Variable(draw(st.sampled_from(NAMES))),
        draw(st.sampled_from(tuple(COMPARISONS))),
        draw(sides),
    )
    on = draw(st.none() | st.integers(0, ranks - 1))
    kind = draw(st.sampled_from(KINDS))
    stated = Stated(kind, condition, "", None if on is None else (on,))
    return replace(stated, sentence=str(stated))


@st.composite
def claiming(draw: st.DrawFn, *, forever: bool = False) -> Scenario:
    """A scenario that claims one to three things."""
    return draw(_with_claims(draw(scenarios(forever=forever))))


@st.composite
def writing(draw: st.DrawFn) -> Scenario:
    """One or two ranks whose threads write a variable each, and claims about how these meet."""
    values = st.integers(0, 2).map(Value)
    ranks = []
    for _ in range(draw(st.integers(1, 2))):
        bodies: list[list[Statement]] = []
        for name in ("x", "y"):
            puts = tuple(Put(name, value) for value in draw(st.lists(values, max_size=3)))
            loops = puts and draw(st.sampled_from((False, False, True)))
            bodies.append([Forever(puts)] if loops else list(puts))
        ranks.append(rank(*bodies, **draw(st.sampled_from(({}, {"x": 0}, {"x": 0, "y": 0})))))
    return draw(_with_claims(scenario(*ranks)))


@st.composite
def _with_claims(draw: st.DrawFn, described: Scenario) -> Scenario:
    unique = st.lists(
        claims(len(described.ranks)), min_size=1, max_size=3, unique_by=lambda c: c.sentence
    )
    return replace(described, claims=tuple(draw(unique)))
