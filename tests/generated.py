"""What the tests of generated scenarios share: which are drawn, and how far they are followed."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from eplb_model.explore.search import Bounds, Exploration, explore
from eplb_model.machine import MACHINES, Machine
from eplb_model.outcome import Action
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.strategies import Sizes, scenarios

MOST_STATES = 250
TINY = Sizes(ranks=2, threads=2, streams=2, statements=3, kernels=2, ctas=2)

# Scenarios differ a lot in size, and some are thrown away for it; MOST_STATES bounds the time.
# How many are drawn is the profile's choice (conftest.py).
often = settings(suppress_health_check=list(HealthCheck))
seldom = settings(often, max_examples=often.max_examples // 2)


def machines() -> st.SearchStrategy[Machine]:
    """The tiny machine, mostly as it is, sometimes with one switch set or a shorter queue."""
    tiny = MACHINES["tiny"]
    return st.sampled_from(
        (
            tiny,
            replace(tiny, queue_depth=2),
            tiny.with_switch("queue_map", "together"),
            tiny.with_switch("distributor", "any"),
            tiny.with_switch("slip_in", "on"),
            tiny.with_switch("priority", "hint"),
            tiny.with_switch("cta_order", "opposed"),
            tiny.with_switch("first_use", "returns"),
            tiny.with_switch("packing", "worst"),
            tiny.with_switch("empty_waiter_blocks", "off"),
            tiny.with_switch("clustered_waiter_blocks_gangs", "on"),
        )
    )


any_scenario = machines().flatmap(lambda machine: scenarios(machine=machine))


def transitions(scenario: Scenario) -> Iterator[tuple[State, Action, State]]:
    """The first transitions of the plain search, beyond broken states too."""
    start = initial(scenario.world)
    known, frontier = {start}, deque([start])
    while frontier and len(known) < MOST_STATES:
        state = frontier.popleft()
        for action in enabled(state):
            after = step(state, action)
            yield state, action, after
            if after not in known:
                known.add(after)
                frontier.append(after)


def some_states(scenario: Scenario) -> list[State]:
    return [initial(scenario.world), *(after for _, _, after in transitions(scenario))]


def explored(scenario: Scenario) -> Exploration:
    """The whole graph; scenarios with a larger one are not looked at."""
    found = explore(scenario.world, bounds=Bounds(max_states=MOST_STATES))
    assume(found.cut is None)
    return found


def numbers(scenario: Scenario) -> tuple[int, int, Counter[str]]:
    """States, transitions, and the kinds of ends of the plain search."""
    found = explored(scenario)
    return len(found.states), found.transitions, kinds_of_ends(found)


def kinds_of_ends(found: Exploration) -> Counter[str]:
    ends = Counter(str(broken.verdict) for broken in found.broken.values())
    ends.update("deadlock" if found.states[n].unfinished() else "ok" for n in found.final)
    return ends
