"""Settling keeps what the plain search finds, and is worth having."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from eplb_model.check import Search, check
from eplb_model.explore.search import Bounds, explore
from eplb_model.explore.settle import Settling
from eplb_model.ops.flags import Clear, Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import StreamQuery, StreamSynchronize
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.strategies import scenarios
from tests.battery import CASES
from tests.small import kernel, rank, scenario

BOUND = 1_000


def _dead(found) -> set[State]:
    """The deadlocks, whichever SMs are held in them."""
    return {_without_seats(found.states[n]) for n in found.final if found.states[n].unfinished()}


def _without_seats(state: State) -> State:
    devices = tuple(
        device._replace(
            arrived=tuple(run._replace(seats=bytes(len(run.seats))) for run in device.arrived)
        )
        for device in state.devices
    )
    return state._replace(devices=devices)


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
