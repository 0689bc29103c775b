"""Settling keeps what the plain search finds, and is worth having."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.check import Search, check
from eplb_model.explore.outcomes import outcomes
from eplb_model.explore.search import Bounds, Exploration, explore
from eplb_model.explore.settle import Settling
from eplb_model.explore.stall import find_stall, given_up, has_fair_loop
from eplb_model.ops.flags import Clear, Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import StreamQuery, StreamSynchronize
from eplb_model.outcome import Action
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.step import enabled, step
from eplb_model.strategies import Sizes, scenarios
from tests.battery import CASES
from tests.generated import some_states
from tests.mutants_settle import MUTANTS
from tests.settle_changed import changed
from tests.settle_questions import DEEP, QUESTIONS
from tests.small import kernel, rank, scenario

BOUND = 1_000

# What the general strategy seldom puts together.
TALK = ("all_reduce", "barrier", "isend", "irecv", "wait_requests", "put", "assert", "test")
EVENTS = (
    *("cpu_gpu_event_record", "cpu_gpu_event_wait", "record_event", "stream_wait_event"),
    *("launch", "copy", "stream_synchronize", "put", "assert", "set", "wait_flag"),
)
MEMORY = (
    *("copy", "access", "read", "wait_reads", "alloc", "drop", "record_stream", "free"),
    *("launch", "record_event", "stream_wait_event", "event_query", "stream_synchronize"),
)
LARGER = Sizes(ranks=2, threads=2, streams=2, statements=7, kernels=2, ctas=2)


def _dead(found: Exploration) -> set[object]:
    return {_seen_in(found.states[n]) for n in found.final if found.states[n].unfinished()}


def _seen_in(state: State) -> object:
    """A state up to the marks of events, and waits in streams that are satisfied.

    A wait whose record was done at the call is never put on the stream; one whose record is done a
    moment later stays there until it is its turn, and keeps nothing back.
    """
    state = _without_seats(state)
    events = {slot for slots in state.world.event_slots for slot in slots}
    memory = tuple(None if n in events else value for n, value in enumerate(state.memory))
    threads = tuple((each.pc, each.status, each.failure) for each in state.threads)
    queued = tuple(
        (item.stream, item.work.kind, item.work.kernel)
        for device in state.devices
        for queue in device.queues
        for item in queue
        if item.work.kind != "await" or item.work.holds_queue
    )
    arrived = tuple(device.arrived for device in state.devices)
    return threads, memory, queued, arrived, state.counts, state.posts, state.mail, state.waited


def _without_seats(state: State) -> State:
    """Nor does it matter who has arrived first where everything fits."""
    devices = []
    for roomy, device in zip(state.world.roomy, state.devices, strict=True):
        arrived = [run._replace(seats=bytes(len(run.seats))) for run in device.arrived]
        order = sorted(arrived) if roomy else arrived
        devices.append(device._replace(arrived=tuple(order)))
    return state._replace(devices=tuple(devices))


@given(scenarios())
@settings(max_examples=80)
def test_settling_keeps_the_verdict_the_ends_and_every_deadlock(described: Scenario):
    world = described.world
    plain = explore(world, "bfs", Bounds(max_states=BOUND))
    if plain.cut:
        return
    settled = explore(world, "bfs", None, Settling(world))

    assert _dead(settled) == _dead(plain)
    assert len(settled.states) <= len(plain.states)
    full = check(described, Search(settle=False))
    reduced = check(described, Search(fast=False))
    assert (reduced.verdict, reduced.when, reduced.serialised) == (
        full.verdict,
        full.when,
        full.serialised,
    )
    assert set(reduced.ends) == set(full.ends)


@given(scenarios())
@settings(max_examples=50)
def test_a_deadlock_found_with_settling_is_reached_by_a_shortest_schedule(described: Scenario):
    full = check(described, Search(settle=False, max_states=BOUND))
    reduced = check(described, Search(fast=False, max_states=BOUND))
    if full.verdict != "deadlock" or full.bounds["cut"] or full.finding is None:
        return

    assert reduced.finding is not None
    assert len(reduced.finding.schedule) == len(full.finding.schedule)


def test_independent_ranks_that_fit_settle_to_one_run():
    lonely = rank([Launch("k", "s"), Launch("k", "s"), StreamSynchronize("s")])
    described = scenario(lonely, lonely, lonely, kernels=[kernel("k", 1)])
    full = check(described, Search(settle=False))
    reduced = check(described, Search(fast=False))

    assert full.states == 1_000
    assert reduced.states == reduced.depth + 1


def test_a_query_keeps_completions_from_being_settled():
    asking = rank([Launch("k", "s"), StreamQuery("s", "empty")])
    described = scenario(asking, kernels=[kernel("k", 1)])

    assert check(described, Search(fast=False)).ends == {"ok": 2}


def test_a_wait_for_a_flag_that_is_cleared_again_is_not_settled():
    described = scenario(rank([Set("f"), Clear("f")], [WaitFlag("f")]))

    assert check(described, Search(fast=False)).ends == {"deadlock": 1, "ok": 1}


@given(scenarios(forever=True))
@settings(max_examples=100)
def test_settling_keeps_the_answer_where_programs_loop_for_ever(described: Scenario):
    """Stalls too: the same verdict, on as many runs, and the same kinds of end."""
    full = check(described, Search(settle=False, max_states=BOUND))
    if full.bounds["cut"]:
        return
    reduced = check(described, Search(fast=False))

    assert (reduced.verdict, reduced.when, reduced.serialised) == (
        full.verdict,
        full.when,
        full.serialised,
    )
    assert set(reduced.ends) == set(full.ends)
    assert reduced.states <= full.states


@pytest.mark.parametrize("kinds", [TALK, EVENTS, MEMORY], ids=["talk", "events", "memory"])
@pytest.mark.parametrize("forever", [False, True])
@given(st.data())
@settings(max_examples=12)
def test_settling_keeps_the_answer_where_actors_meet_often(kinds, forever, data):
    described = data.draw(scenarios(LARGER, machine=DEEP, kinds=kinds, forever=forever))

    _compare(described)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [TALK, EVENTS, MEMORY], ids=["talk", "events", "memory"])
@given(st.data())
@settings(max_examples=300)
def test_settling_keeps_the_answer_to_many_programs_that_meet_often(kinds, data):
    described = data.draw(
        scenarios(LARGER, machine=DEEP, kinds=kinds, forever=data.draw(st.booleans()))
    )

    _compare(described)


def _compare(described: Scenario) -> None:
    """The whole answers of both searches, and every deadlock."""
    plain = explore(described.world, "bfs", Bounds(max_states=BOUND))
    if plain.cut:
        return
    settled = explore(described.world, reduction=Settling(described.world))

    assert _answer(settled) == _answer(plain)
    assert len(settled.states) <= len(plain.states)


def _answer(found: Exploration) -> object:
    """Kinds of end, loops, claims, final states; of a race only that there is one."""
    kinds = {str(broken.verdict) for broken in found.broken.values()}
    kinds |= {"deadlock" if found.states[n].unfinished() else "ok" for n in found.final}
    if "race" in kinds:  # `check` asks the plain search then
        return "race"
    stall = find_stall(found)
    left_out = None if stall is None else stall.left_out
    claims = outcomes(found, given_up(found))
    waited = {found.states[n].waited for n in found.final}
    final = {_seen_in(found.states[n]) for n in found.final}
    return kinds, has_fair_loop(found), left_out is None, claims, waited, final


@pytest.mark.parametrize("name", QUESTIONS)
def test_settling_keeps_the_answer_to_a_question_about_one_rule(name):
    _compare(QUESTIONS[name])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_settling_without_one_condition_answers_its_question_otherwise(mutant):
    world = QUESTIONS[mutant.caught_by].world
    settling, search = changed(mutant)

    assert _answer(search(world, reduction=settling(world))) != _answer(explore(world))


def test_every_question_is_asked_of_some_mutant():
    assert set(QUESTIONS) == {mutant.caught_by for mutant in MUTANTS}


def test_steps_that_do_not_disturb_each_other_commute():
    """Of all pairs in the first states of every case; what a step changes, it says that it does."""
    pairs = 0
    for described in (*(CASES[name].scenario for name in CASES), *QUESTIONS.values()):
        settling = Settling(described.world)
        for state in dict.fromkeys(some_states(described)):
            for one, other in _undisturbed(settling, state):
                pairs += 1
                first, second = step(state, one), step(state, other)
                assert other in enabled(first)
                assert one in enabled(second)
                assert _without_seats(step(first, other)) == _without_seats(step(second, one))

    assert pairs > 1_000


def _undisturbed(settling: Settling, state: State) -> Iterator[tuple[Action, Action]]:
    minds = settling.minded(state)
    does = {action: settling.does(state, action) for action in enabled(state)}
    for one, other in combinations(does, 2):
        if one.actor != other.actor and not does[one] & minds[other.actor]:
            yield one, other


@pytest.mark.parametrize("name", CASES)
def test_settling_keeps_the_answer_to_every_case_of_the_battery(name):
    described = CASES[name].scenario
    full = check(described, Search(settle=False))
    reduced = check(described, Search(fast=False))

    assert (reduced.verdict, reduced.when, reduced.serialised) == (
        full.verdict,
        full.when,
        full.serialised,
    )
    assert set(reduced.ends) == set(full.ends)
