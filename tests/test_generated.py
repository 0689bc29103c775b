"""What holds for every generated scenario: the searches agree, and names do not matter."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eplb_model.explore.search import Bounds, explore
from eplb_model.explore.settle import Settling
from eplb_model.outcome import Action, Actor
from eplb_model.scenario import Scenario, ThreadPlan
from eplb_model.state import State
from eplb_model.step import initial, options, step
from eplb_model.strategies import Sizes, scenarios, schedules
from eplb_model.trace import parse_schedule, replay, schedule_text
from eplb_model.wait_for import stuck_set, waiting
from eplb_model.world import Meets, Stream
from tests.dumb_twin import TooManySteps, ends_of_all_runs
from tests.generated import (
    MOST_STATES,
    TINY,
    any_scenario,
    explored,
    kinds_of_ends,
    numbers,
    often,
    seldom,
    some_states,
    transitions,
)

# --- the searches ----------------------------------------------------------------------------


@often
@given(scenarios(TINY))
def test_the_plain_search_reaches_exactly_the_ends_of_all_runs(scenario):
    try:
        expected = ends_of_all_runs(scenario.world, most_steps=3_000)
    except TooManySteps:
        assume(False)

    found = explore(scenario.world)

    assert {found.states[n] for n in (*found.final, *found.broken)} == expected


@often
@given(scenarios())
def test_settling_keeps_the_kinds_of_ends_and_the_deadlocks(scenario):
    plain = explored(scenario)

    settled = explore(scenario.world, reduction=Settling(scenario.world))

    assert set(kinds_of_ends(settled)) == set(kinds_of_ends(plain))
    if not plain.broken:
        finals = {plain.states[n] for n in plain.final}
        assert {settled.states[n] for n in settled.final} == finals


@often
@given(scenarios())
def test_depth_first_and_breadth_first_reach_the_same_states(scenario):
    breadth = explored(scenario)

    depth = explore(scenario.world, "dfs")

    assert set(depth.states) == set(breadth.states)
    assert kinds_of_ends(depth) == kinds_of_ends(breadth)


@seldom
@given(scenarios(Sizes(ranks=2), forever=True))
def test_a_scenario_that_loops_is_searched_without_an_error(scenario):
    for state in some_states(scenario):
        for _, wait in options(state):
            assert wait is None or wait.why


# --- schedules -------------------------------------------------------------------------------


@often
@given(st.data())
def test_a_printed_schedule_parses_back_and_replays(data):
    scenario = data.draw(scenarios())
    schedule = data.draw(schedules(scenario))

    parsed = parse_schedule(scenario.world, schedule_text(schedule))

    assert parsed == tuple(schedule)
    assert len(replay(scenario.world, parsed).states) == len(schedule) + 1


@often
@given(any_scenario)
def test_a_state_that_is_reached_again_is_equal_and_hashes_alike(scenario):
    for state, action, after in transitions(scenario):
        again = step(state, action)
        assert again == after
        assert hash(again) == hash(after)


@often
@given(any_scenario)
def test_equal_states_hold_the_same_values(scenario):
    """`True == 1` to Python, not to a condition of a program."""
    known: dict[State, State] = {}
    for _, _, state in transitions(scenario):
        first = known.setdefault(state, state)
        assert first is state or repr(first.memory) == repr(state.memory)


# --- waits -----------------------------------------------------------------------------------


@often
@given(any_scenario)
def test_every_wait_says_why_and_names_actors_of_the_scenario(scenario):
    actors = set(scenario.world.actors)
    for state in some_states(scenario):
        for _, wait in options(state):
            if wait is not None:
                assert wait.why
                assert actors.issuperset(actor for clause in wait.on for actor in clause)


@often
@given(any_scenario)
def test_where_nobody_can_move_the_stuck_set_is_everybody_with_work_left(scenario):
    found = explored(scenario)
    for number in found.final:
        state = found.states[number]
        assert stuck_set(state) == set(state.unfinished())
        assert {each.actor for each in waiting(state)} == set(state.unfinished())


@often
@given(any_scenario)
def test_who_is_stuck_never_moves_again(scenario):
    start = initial(scenario.world)
    graph: dict[State, list[tuple[Action, State]]] = {start: []}
    for state, action, after in transitions(scenario):
        graph[state].append((action, after))
        graph.setdefault(after, [])
    assume(len(graph) < MOST_STATES)

    moves: dict[State, frozenset[Actor]] = {}  # who still moves from here on
    for state in sorted(graph, key=steps_left(graph)):
        later = [moves[after] | {action.actor} for action, after in graph[state]]
        moves[state] = frozenset().union(*later)

    for state, movers in moves.items():
        assert not stuck_set(state) & movers


def steps_left(graph: dict[State, list[tuple[Action, State]]]):
    """The longest way from a state to an end; programs without `Forever` never go back."""
    longest: dict[State, int] = {}
    stack = list(graph)
    while stack:
        state = stack[-1]
        ahead = [after for _, after in graph[state] if after not in longest]
        if ahead:
            stack += ahead
            continue
        longest[stack.pop()] = 1 + max((longest[after] for _, after in graph[state]), default=0)
    return longest.__getitem__


# --- renaming and adding ---------------------------------------------------------------------


@often
@given(st.data())
def test_renaming_ranks_keeps_the_numbers(data):
    scenario = meeting_all(data.draw(scenarios()))
    order = data.draw(st.permutations(range(len(scenario.ranks))))

    other = renamed(scenario, order)

    assert numbers(other) == numbers(scenario)


def meeting_all(scenario: Scenario) -> Scenario:
    """The scenario with every meeting made one with all peers, in all channels alike."""
    offsets = tuple(range(1, len(scenario.ranks)))

    def with_all(meets: Meets | None) -> Meets | None:
        return meets and replace(meets, sends=offsets, receives=offsets)

    return replace(
        scenario,
        kernels={
            name: replace(kernel, meets=with_all(kernel.meets), rounds=())
            for name, kernel in scenario.kernels.items()
        },
    )


def renamed(scenario: Scenario, order: list[int]) -> Scenario:
    """The rank that was `order[i]` is now called i."""
    groups = {
        name: tuple(order.index(rank) for rank in group) for name, group in scenario.groups.items()
    }
    ranks = tuple(scenario.ranks[rank] for rank in order)
    return replace(scenario, ranks=ranks, groups=groups)


@seldom
@given(scenarios())
def test_an_idle_stream_changes_no_number(scenario):
    first, *others = scenario.ranks
    wider = replace(first, streams=(*first.streams, Stream("idle")))

    assert numbers(replace(scenario, ranks=(wider, *others))) == numbers(scenario)


@seldom
@given(scenarios())
def test_an_idle_thread_changes_no_number(scenario):
    first, *others = scenario.ranks
    wider = replace(first, threads=(*first.threads, ThreadPlan("idle", ())))

    assert numbers(replace(scenario, ranks=(wider, *others))) == numbers(scenario)


# --- sizes -----------------------------------------------------------------------------------


def test_most_generated_scenarios_are_small_but_not_trivial():
    sizes: list[int] = []

    @settings(often, derandomize=True, max_examples=100, database=None)
    @given(scenarios())
    def collect(scenario):
        sizes.append(len(explore(scenario.world, bounds=Bounds(max_states=2_000)).states))

    collect()

    assert sum(size < 2_000 for size in sizes) >= 0.8 * len(sizes)
    assert sum(size > 5 for size in sizes) >= 0.6 * len(sizes)


@pytest.mark.parametrize("most", [1, 2])
def test_sizes_are_kept(most):
    sizes = Sizes(most, most, most, most, most, most)

    @settings(often, derandomize=True, max_examples=50, database=None)
    @given(scenarios(sizes))
    def look(scenario):
        assert len(scenario.ranks) <= most
        assert len(scenario.kernels) <= most
        assert all(kernel.ctas <= most for kernel in scenario.kernels.values())
        assert all(len(rank.threads) <= most >= len(rank.streams) for rank in scenario.ranks)

    look()
