"""Source-DPOR agrees with the plain search, and counts what is known of such programs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings

from eplb_model.explore.dpor import TraceBounds, explore_traces
from eplb_model.explore.search import Bounds, explore
from eplb_model.ops.collectives import Barrier
from eplb_model.ops.events import RecordEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Clear, Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.locks import Acquire, Release, TryAcquire
from eplb_model.ops.variables import Put
from eplb_model.outcome import Actor
from eplb_model.scenario import If, RankPlan, Scenario, Statement, ThreadPlan
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.strategies import scenarios
from eplb_model.vector import load
from eplb_model.world import Stream, World
from tests.generated import TINY, any_scenario, machines, often
from tests.small import gang, kernel, meeting, rank, scenario

tiny_scenario = machines().flatmap(lambda machine: scenarios(TINY, machine=machine))


# --- agreement -----------------------------------------------------------------------------------


@given(tiny_scenario)
@settings(often, max_examples=40)
def test_every_end_of_the_plain_search_is_the_end_of_a_trace(described: Scenario):
    compare(described, Bounds(max_states=150))


@pytest.mark.slow
@given(any_scenario | tiny_scenario)
@settings(often, max_examples=1_000)
def test_every_end_of_the_plain_search_is_the_end_of_a_trace_at_large(described: Scenario):
    compare(described, Bounds(max_states=400))


def compare(described: Scenario, bounds: Bounds) -> None:
    """The same deadlocks, the same good ends, and errors exactly where there are any."""
    found = explore(described.world, bounds=bounds)
    traces = explore_traces(described.world, TraceBounds(runs=400, steps=6_000))
    if found.cut is not None or traces.cut is not None:
        return
    kinds = {broken.verdict for broken in found.broken.values()}
    unmet = {n for n, broken in found.broken.items() if "is never met" in broken.message}
    if "race" in kinds:
        return  # a race ends a run of the plain search, and no trace
    stuck = {found.states[n] for n in found.final if found.states[n].unfinished()}
    done = {found.states[n] for n in (*found.final, *unmet)} - stuck

    assert set(traces.deadlocks) == stuck
    assert set(traces.ends) - set(traces.deadlocks) - set(traces.failed) == done
    assert bool(traces.failed) == bool(found.broken.keys() - unmet)


@pytest.mark.parametrize(
    ("name", "settings", "runs"),
    [
        ("locks_in_opposite_order", {}, 3),  # either thread first, or one lock each
        ("gated_collective", {}, 1),
    ],
)
def test_a_vector_has_so_many_traces(name, settings, runs):
    described = load(name).scenario(settings)
    traces = explore_traces(described.world)

    compare(described, Bounds())
    assert traces.cut is None
    assert traces.complete == runs


def test_a_schedule_of_an_end_leads_there():
    world = load("locks_in_opposite_order").scenario().world
    for end, schedule in explore_traces(world).ends.items():
        state = initial(world)
        for action in schedule:
            state = step(state, action)

        assert state == end


def test_programs_that_loop_for_ever_are_refused():
    with pytest.raises(ValueError, match="loops for ever"):
        explore_traces(load("handshake_cycle").scenario().world)


# --- what blocks and what orders -----------------------------------------------------------------


def of(*threads: Iterable[Statement], **initially: object) -> World:
    """One rank with these threads."""
    plans = tuple(ThreadPlan(f"t{n}", tuple(body)) for n, body in enumerate(threads))
    return scenario(RankPlan(plans, (Stream("s"),), initially)).world


def test_a_step_that_disables_another_is_tried_after_it_too():
    """The flag is waited for, or cleared first and the wait never ends."""
    traces = explore_traces(of([Set("f"), Clear("f")], [WaitFlag("f")]))

    assert (traces.complete, len(traces.deadlocks)) == (2, 1)


def test_locks_that_nobody_else_takes_order_nothing():
    body: list[list[Statement]] = [
        [Acquire(f"l{n}"), Put(f"x{n}", Value(1)), Release(f"l{n}")] for n in range(4)
    ]

    assert explore_traces(of(*body)).complete == 1


@pytest.mark.parametrize(("threads", "orders"), [(2, 2), (3, 6), (4, 24)])
def test_one_lock_is_taken_in_every_order(threads, orders):
    body: list[Statement] = [Acquire("l"), Release("l")]

    assert explore_traces(of(*[body] * threads)).complete == orders


@pytest.mark.parametrize(("ranks", "times"), [(2, 1), (2, 4), (3, 3), (4, 2)])
def test_barriers_make_one_trace(ranks, times):
    body: list[Statement] = [Barrier("world")] * times

    assert explore_traces(scenario(*[rank(body)] * ranks).world).complete == 1


def test_kernels_that_meet_make_one_trace():
    whole = gang("k", 2, meets=meeting("grid", "k", 3))
    body: list[Statement] = [Launch("k", "s")]

    assert explore_traces(scenario(*[rank(body)] * 3, kernels=[whole]).world).complete == 1


def test_ranks_that_never_meet_make_one_trace_each_whatever_they_do():
    alone = rank([Launch("k", "s"), RecordEvent("e", "s")])
    described = scenario(alone, alone, kernels=[kernel("k")])
    single = explore_traces(scenario(alone, kernels=[kernel("k")]).world)
    both = explore_traces(described.world)

    assert both.complete == single.complete**2


# --- counts from the literature ------------------------------------------------------------------
# Abdulla, Aronis, Jonsson, Sagonas, POPL 2014, section 8: the optimal algorithm's executions, one
# per trace.  Where sleep sets alone block, source sets explore more; those are counted apart.


def readers(count: int) -> World:
    """One thread writes a variable that the others read."""
    looking = [[Put(f"y{n}", Variable("x"))] for n in range(count)]
    return of([Put("x", Value(1))], *looking, x=0)


def last_zero(count: int) -> World:
    """One thread looks for the last zero of an array whose cells become one more than the last."""
    search: tuple[Statement, ...] = ()
    for n in range(1, count + 1):
        search = (If(Condition(Variable(f"a{n}"), "!=", Value(0)), search),)
    writers = [
        [Put(f"m{n}", Variable(f"a{n - 1}")), Put(f"a{n}", Variable(f"m{n}", 1))]
        for n in range(1, count + 1)
    ]
    cells = {f"{kind}{n}": 0 for n in range(count + 1) for kind in "am"}
    return of(search, *writers, **cells)


def indexer(threads: int) -> World:
    """Threads put four messages each into a hash table of 128 slots, probing past what is taken."""

    def insert(thread: int, slot: int, probes: int = 3) -> tuple[Statement, ...]:
        if not probes:
            return ()
        further = insert(thread, (slot + 1) % 128, probes - 1)
        taken = Condition(Variable(f"got{thread}"), "!=", Value(True))
        once = TryAcquire(f"slot{slot}", f"got{thread}")
        return (once, If(taken, further)) if further else (once,)

    return of(
        *(
            [
                each
                for message in range(1, 5)
                for each in insert(thread, (message * 11 + thread) * 7 % 128)
            ]
            for thread in range(threads)
        )
    )


@pytest.mark.parametrize("count", [2, 5, pytest.param(8, marks=pytest.mark.slow)])
def test_readers_have_two_to_the_n_traces(count):
    assert explore_traces(readers(count)).complete == 2**count


@pytest.mark.parametrize(
    ("count", "traces"), [(4, 28), (5, 64), pytest.param(10, 3_328, marks=pytest.mark.slow)]
)
def test_last_zero_has_the_published_number_of_traces(count, traces):
    """64 for 5 and 3,328 for 10; they are (n + 3) 2^(n - 2)."""
    assert traces == (count + 3) * 2 ** (count - 2)
    assert explore_traces(last_zero(count)).complete == traces


def test_source_sets_explore_what_was_published_for_five_cells():
    found = explore_traces(last_zero(5))

    assert found.complete + found.asleep == 79


@pytest.mark.parametrize(
    ("threads", "traces"), [(11, 1), (12, 8), pytest.param(13, 64, marks=pytest.mark.slow)]
)
def test_indexer_has_eight_times_as_many_traces_for_each_thread_from_the_twelfth(threads, traces):
    assert explore_traces(indexer(threads)).complete == traces


# --- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["preemptions", "delays"])
@given(tiny_scenario)
@settings(often, max_examples=12)
def test_within_a_bound_every_end_is_found(kind, described: Scenario):
    for most in (0, 1):
        compare_bounded(described.world, kind, most, 400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["preemptions", "delays"])
@given(tiny_scenario)
@settings(often, max_examples=300)
def test_within_a_bound_every_end_is_found_at_large(kind, described: Scenario):
    for most in (0, 1, 2):
        compare_bounded(described.world, kind, most, 4_000)


def test_a_bound_that_left_something_out_is_named():
    found = explore_traces(readers(3), TraceBounds(preemptions=0))

    assert found.cut is None  # each reader is one step: no run needs a preemption
    assert explore_traces(last_zero(3), TraceBounds(preemptions=0)).cut == "preemptions"
    assert explore_traces(readers(3), TraceBounds(delays=1)).cut == "delays"
    assert explore_traces(readers(3), TraceBounds(runs=3)).cut == "runs"
    assert explore_traces(readers(3), TraceBounds(steps=3)).cut == "steps"


def compare_bounded(world: World, kind: str, most: int, states: int) -> None:
    """The ends of all schedules within a bound, and of the traces that are followed within it."""
    expected = ends_within(world, kind, most, states)
    preemptions, delays = (most, None) if kind == "preemptions" else (None, most)
    found = explore_traces(world, TraceBounds(runs=600, preemptions=preemptions, delays=delays))
    if expected is not None and found.cut != "runs":
        assert set(found.ends) == expected


def ends_within(world: World, kind: str, most: int, states: int) -> set[State] | None:
    """By trying everything: None if there is too much."""
    left: list[tuple[State, Actor | None, int]] = [(initial(world), None, 0)]
    seen: set[tuple[State, Actor | None, int]] = set()
    ends: set[State] = set()
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        if len(seen) > states:
            return None
        state, last, spent = here
        actions = enabled(state)
        if not actions:
            ends.add(state)
        able = {action.actor for action in actions}
        start = 0 if last is None else world.actors.index(last)
        turn = [a for a in (*world.actors[start:], *world.actors[:start]) if a in able]
        for action in actions:
            preempts = int(last in able and action.actor != last)
            price = preempts if kind == "preemptions" else turn.index(action.actor)
            if spent + price <= most:
                left.append((step(state, action), action.actor, spent + price))
    return ends
