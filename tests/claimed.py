"""Generated claims over the variables and flags of generated scenarios."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from eplb_model.claims import Agree, Claim, Stated, StatedKind
from eplb_model.ops.expression import COMPARISONS, Condition, Value, Variable
from eplb_model.scenario import Scenario
from eplb_model.strategies import scenarios

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
def claiming(draw: st.DrawFn, **more: Any) -> Scenario:
    """A scenario that claims one to three things."""
    scenario = draw(scenarios(**more))
    unique = st.lists(
        claims(len(scenario.ranks)), min_size=1, max_size=3, unique_by=lambda c: c.sentence
    )
    return replace(scenario, claims=tuple(draw(unique)))
