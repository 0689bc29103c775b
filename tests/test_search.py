"""The searches: exhaustive, reduced, sampled; bounds; what a report says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eplb_model.check import Search, check
from eplb_model.explore.search import Bounds, explore
from eplb_model.findings import finding_at
from eplb_model.machine import MACHINES
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.locks import Acquire, Release
from eplb_model.ops.variables import Assert, Put
from eplb_model.outcome import EXIT_CODES
from eplb_model.properties import violation
from eplb_model.render.text import report_text
from eplb_model.trace import parse_schedule, replay, schedule_text
from eplb_model.vector import load
from tests.small import gang, kernel, meeting, plain, rank, scenario

CROSSED_LOCKS = scenario(
    rank(
        [Acquire("x"), Acquire("y"), Release("y"), Release("x")],
        [Acquire("y"), Acquire("x"), Release("x"), Release("y")],
    )
)
ORDERED_LOCKS = scenario(
    rank(
        [Acquire("x"), Acquire("y"), Release("y"), Release("x")],
        [Acquire("x"), Acquire("y"), Release("y"), Release("x")],
    )
)


def test_crossed_locks_deadlock_on_some_runs_by_a_shortest_schedule_of_two_steps():
    report = plain(CROSSED_LOCKS)

    assert (report.verdict, report.when) == ("deadlock", "some")
    assert report.finding is not None
    assert schedule_text(report.finding.schedule) == "0.a 0.b"


def test_ordered_locks_hold():
    report = plain(ORDERED_LOCKS)

    assert (report.verdict, report.when, report.ends) == ("ok", None, {"ok": 1})


@pytest.mark.parametrize("strategy", ["bfs", "dfs"])
def test_breadth_first_and_depth_first_visit_the_same_states(strategy):
    report = plain(CROSSED_LOCKS, strategy=strategy)

    assert (report.states, report.ends) == (19, {"deadlock": 1, "ok": 1})


@pytest.mark.parametrize("strategy", ["uniform", "pct"])
def test_sampling_finds_the_deadlock_and_the_same_one_for_the_same_seed(strategy):
    first = plain(CROSSED_LOCKS, strategy=strategy, seed=7)
    again = plain(CROSSED_LOCKS, strategy=strategy, seed=7)

    assert first == again
    assert first.verdict == "deadlock"


@pytest.mark.parametrize("strategy", ["uniform", "pct"])
def test_sampling_never_says_ok(strategy):
    report = plain(ORDERED_LOCKS, strategy=strategy, runs=20)

    assert (report.verdict, report.bounds["cut"]) == ("unknown", "runs")


@pytest.mark.parametrize("bound", [{"max_states": 5}, {"max_depth": 3}])
def test_a_bound_that_cuts_the_search_makes_it_unknown(bound):
    report = plain(ORDERED_LOCKS, **bound)

    assert (report.verdict, report.bounds["cut"]) == ("unknown", *bound)
    assert EXIT_CODES[report.verdict] == 3


def test_a_deadlock_found_before_the_bound_is_still_a_deadlock_but_only_on_some_runs():
    report = plain(CROSSED_LOCKS, max_depth=2)

    assert (report.verdict, report.when) == ("deadlock", "some")


def test_the_caller_can_end_the_search_and_the_report_names_its_reason():
    asked = iter([None] * 3 + ["time_limit"] * 100)
    report = check(ORDERED_LOCKS, Search(settle=False, enough=lambda: next(asked)))

    assert (report.verdict, report.bounds["cut"]) == ("unknown", "time_limit")


def test_a_bound_that_is_never_reached_cuts_nothing():
    found = explore(ORDERED_LOCKS.world, "bfs", Bounds(max_states=10_000, max_depth=1_000))

    assert found.cut is None


def test_a_failing_assertion_is_a_violation_and_ends_its_run():
    wrong = Assert(Condition(Variable("n"), "==", Value(2)))
    report = plain(scenario(rank([Put("n", Value(1)), wrong, Set("never")], [WaitFlag("never")])))

    assert (report.verdict, report.when) == ("violation", "every")
    assert report.finding is not None
    assert "assertion failed: n == 2" in report.finding.message


def test_every_finding_replays_to_the_state_it_describes():
    report = plain(CROSSED_LOCKS)
    assert report.finding is not None
    text = schedule_text(report.finding.schedule)
    trace = replay(CROSSED_LOCKS.world, parse_schedule(CROSSED_LOCKS.world, text))

    assert finding_at(trace.last, trace.schedule) == report.finding


def test_two_settings_of_a_switch_that_disagree_make_may_and_name_the_switch():
    """Eight CTAs left on a board with unknown placement hold a cluster of four, or don't."""
    inverted = scenario(
        rank([Launch("exchange", "side"), Launch("moe", "compute")], streams=("compute", "side")),
        rank([Launch("moe", "compute"), Launch("exchange", "side")], streams=("compute", "side")),
        kernels=[
            gang("moe", 70, meets=meeting("first", "moe")),
            kernel("exchange", 12, 4, meets=meeting("channel", "exchange")),
        ],
        machine=MACHINES["h20"],
    )
    report = check(inverted)

    assert (report.verdict, report.when) == ("may", None)
    assert report.switches["packing=best"] != report.switches["packing=worst"]


def test_settings_that_agree_give_a_definite_verdict():
    report = check(replace(CROSSED_LOCKS, machine=MACHINES["h20"]))

    assert report.verdict == "deadlock"


# --- behind a race -----------------------------------------------------------------------------

RACE = "sync_eplb_sticky_stream"  # settled 90 states; plain 5,310, the first race as number 1,222


@pytest.mark.parametrize(("most", "states", "how"), [(1_500, 1_501, None), (500, 90, "settling")])
def test_behind_a_race_the_plain_search_has_a_bound_of_its_own(most, states, how, monkeypatch):
    """What it comes upon is told; if it comes upon none, the race that was found before."""
    described = load(RACE).scenario()
    monkeypatch.setattr("eplb_model.check.BEHIND_A_RACE", most)
    report = check(described)

    assert (report.verdict, report.when, report.bounds["cut"]) == ("race", "some", "race")
    assert (report.states, report.reduction) == (states, how)
    assert report.finding is not None
    assert violation(replay(described.world, report.finding.schedule).last) is not None
    assert "cut behind the race" in report_text(report)


def test_a_race_that_was_found_is_told_whatever_bound_cut_the_rest():
    report = check(load(RACE).scenario(), Search(max_states=100))

    assert (report.verdict, report.bounds["cut"]) == ("race", "max_states")
    assert report.finding is not None


def test_without_reductions_all_is_looked_at():
    report = check(load("buffer_reused_before_copy_out").scenario(), Search(settle=False))

    assert (report.verdict, report.states, report.bounds["cut"]) == ("race", 66, None)
