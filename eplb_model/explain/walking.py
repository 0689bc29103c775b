"""A scenario as a graph of states to walk by hand: `eplb-graph/1`, whole or state by state.

Rules:
- Every enabled action is offered, no reduction: a person may ask for any order.
- Nodes are numbered breadth first; behind a bound an action has no target, and `cut` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eplb_model.explain.film import MOST_RANKS, film, frame
from eplb_model.explore.search import Bounds, explore
from eplb_model.outcome import Action
from eplb_model.properties import violation
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.trace import Trace, narrate, parse_schedule, replay

SCHEMA = "eplb-graph/1"

Document = dict[str, Any]


def graph_document(scenario: Scenario, most: int) -> Document:
    """The states that are reached first, each with its actions and where these lead."""
    world, ranks = scenario.world, shown_ranks(scenario)
    found = explore(world, "bfs", Bounds(max_states=most))
    known = {state: number for number, state in enumerate(found.states[:most])}
    nodes = [node(state, ranks, known) for state in known]
    return {**_head(scenario, ranks), "nodes": nodes, "cut": found.cut}


def first_document(scenario: Scenario) -> Document:
    """The same with the first state alone, for who asks for the others one by one."""
    ranks = shown_ranks(scenario)
    first = node(initial(scenario.world), ranks, {})
    return {**_head(scenario, ranks), "nodes": [first], "cut": None}


def node_after(scenario: Scenario, schedule: str) -> Document:
    """The state that a schedule leads to; `ScheduleError` if it can't be followed."""
    world = scenario.world
    trace = replay(world, parse_schedule(world, schedule))
    return node(trace.last, shown_ranks(scenario), {})


def node(state: State, ranks: Sequence[int], known: dict[State, int]) -> Document:
    """One state: its frame, and what may happen next."""
    actions = [] if violation(state) else enabled(state)
    return {
        "frame": asdict(frame(state, ranks)),
        "actions": [_action(state, action, known) for action in actions],
    }


def shown_ranks(scenario: Scenario) -> tuple[int, ...]:
    """The ranks that have tracks."""
    return tuple(range(min(MOST_RANKS, len(scenario.ranks))))


def _action(state: State, action: Action, known: dict[State, int]) -> Document:
    after = step(state, action)
    return {
        "word": str(action),
        "does": narrate(state, action, after),
        "to": known.get(after),
    }


def _head(scenario: Scenario, ranks: Sequence[int]) -> Document:
    trace = Trace((), (initial(scenario.world),))
    return {"schema": SCHEMA, "story": film(scenario, trace, ranks).document()}
