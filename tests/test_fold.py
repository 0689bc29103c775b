"""Folding changes nothing that is said, and folds nothing that does not repeat itself."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, seed, settings

from eplb_model.check import Search, check
from eplb_model.cli import main
from eplb_model.explore.fast import asked, fold, repetition, roles, stubborn
from eplb_model.explore.fast.alone import NotCovered
from eplb_model.explore.fast.fold import folded
from eplb_model.explore.fast.repetition import Repetition, cut, repetition_of
from eplb_model.ops.expression import Condition, Value
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import AwaitComplete, AwaitResident, Launch
from eplb_model.ops.variables import Put
from eplb_model.scenario import If, Repeat, Scenario, Statement, Try
from eplb_model.vector import load
from tests.repeated import difference, drawn, everything, small_difference
from tests.small import kernel, meeting, rank, scenario

CAPPED = "coop_vs_nccl_capped"
LAYERED = [
    (CAPPED, {"layers": 6}),
    (CAPPED, {"layers": 6, "ranks": 3}),
    (CAPPED, {"layers": 4, "steps": 2, "order": "same"}),
    ("coop_vs_nccl_opposite_order", {"layers": 7, "ranks": 2}),
    ("grid_of_all_sms", {"layers": 6}),
    ("deepep_ll_async_eplb_ordered", {"layers": 7}),
    ("buffer_reuse_waits_consumed_event", {"layers": 6}),
]
YES = Condition(Value(1), "==", Value(1))
SHARES = 6  # of the generated programs, each with its own seed


# --- equality ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "setting"), LAYERED, ids=str)
def test_a_vector_says_the_same_folded_and_whole(name: str, setting: dict[str, int | str]):
    assert difference(load(name).scenario(setting).world) == (True, None)


def test_without_symmetry_too():
    world = load(CAPPED).scenario({"layers": 6}).world

    assert difference(world, symmetry=False) == (True, None)


@given(drawn)
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_programs_that_repeat_themselves_say_the_same(described: Scenario):
    _compare(described)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_hundreds_of_programs_that_repeat_themselves_say_the_same(share: int):
    times = 0

    @seed(share)
    @given(drawn)
    @settings(max_examples=80, suppress_health_check=list(HealthCheck))
    def compare(described: Scenario):
        nonlocal times
        times += _compare(described)

    compare()
    assert times >= 25


def _compare(described: Scenario) -> bool:
    """Whether a program is folded; if something is said of it, it has to be the same."""
    try:
        is_folded, differs = small_difference(described.world)
    except NotCovered:
        return False
    assert differs is None
    return is_folded


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coop_vs_nccl_opposite_order", CAPPED])
@pytest.mark.parametrize("nccl_ctas", [2, 4, 8])
def test_the_family_says_the_same_for_every_size(name: str, nccl_ctas: int):
    for ranks, order, layers in product((2, 3, 4), ("opposite", "same"), (5, 6, 8)):
        setting = {"ranks": ranks, "order": order, "layers": layers, "nccl_ctas": nccl_ctas}
        assert difference(load(name).scenario(setting).world) == (layers > 5, None)


# --- depth -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [6, 58, 200])
def test_places_grow_with_the_layers_and_tables_do_not(layers: int):
    found = everything(load(CAPPED).scenario({"layers": layers}).world, folding=True).found

    assert len(found.places) == 4 * layers + 2
    assert len(found.roles.roles[0].quotient.table.states) == 291


@pytest.mark.slow
def test_a_proof_as_deep_as_a_real_model():
    report = check(load(CAPPED).scenario({"ranks": 2, "steps": 58, "layers": 58}))

    assert (report.verdict, report.serialised) == ("ok", "sometimes")
    assert report.states == 4 * 58 * 58 + 2
    assert report.reduction == "persistent sets, symmetry, folding"


def test_a_counterexample_in_the_last_of_many_layers_is_followed():
    described = one_after_another(40, [Launch("lonely", "s"), AwaitComplete("lonely")])
    few, whole = check(described), check(described, Search(folding=False))

    assert few.reduction == "persistent sets, symmetry, folding"
    assert few.finding is not None
    assert few.finding == whole.finding
    assert len(few.finding.schedule) > 100


def test_folding_can_be_switched_off(capsys):
    assert main(["check", CAPPED, "--set", "layers=6", "--no-folding", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reduction"] == "persistent sets, symmetry"


# --- what repeats itself -----------------------------------------------------------------------


def one_after_another(times: int, after: list[Statement]) -> Scenario:
    """Two ranks whose only thread meets the other, many times; then rank 0 does something else."""
    body = Repeat(times, (Launch("k", "s"), AwaitComplete("k")))
    kernels = [
        kernel("k", meets=meeting("grid", "k")),
        kernel("lonely", meets=meeting("grid", "lonely")),
    ]
    return scenario(rank([body, *after]), rank([Set("begun"), body]), kernels=kernels)


def alone(*threads: list[Statement]) -> Scenario:
    """One rank with one kernel, which would meet its peers if it had any."""
    return scenario(rank(*threads), kernels=[kernel("k", meets=meeting("grid", "k", 1))])


def found_in(*threads: list[Statement]) -> Repetition | None:
    return repetition_of(alone(*threads).world, 0, 6)


def test_a_body_is_found_between_what_is_before_and_behind_it():
    body = Repeat(7, (Launch("k", "s"), AwaitComplete("k")))
    found = found_in([Set("f"), body, Set("g")])

    assert found is not None
    assert found.threads == (repetition.Bodies(1, 2, 7),)
    assert found.launches == {"k": 1}


def test_threads_with_finer_bodies_go_through_as_many():
    coarse = Repeat(7, (Launch("k", "s"), AwaitComplete("k"), Set("f")))
    found = found_in([coarse], [Repeat(14, (WaitFlag("f"),))])

    assert found is not None
    assert found.threads == (repetition.Bodies(0, 3, 7), repetition.Bodies(0, 2, 7))


def test_a_branch_of_each_body_lands_in_that_body():
    body = Repeat(8, (If(YES, (Set("f"),), (Set("g"),)), Launch("k", "s"), AwaitComplete("k")))
    described = scenario(
        rank([body, Set("h")]), kernels=[kernel("k", meets=meeting("grid", "k", 1))]
    )
    found = repetition_of(described.world, 0, 6)
    assert found is not None
    shorter = cut(described.world.ranks[0], found, 3)

    expected = scenario(rank([Repeat(5, body.body), Set("h")]), kernels=described.kernels.values())
    assert shorter == expected.world.ranks[0]


def test_a_text_that_counts_its_bodies_does_not_repeat_itself():
    counting: list[Statement] = []
    for n in range(9):
        counting += [Put("n", Value(n)), Launch("k", "s")]

    assert found_in(counting) is None


def test_waits_for_launches_that_fall_behind_do_not_repeat_themselves():
    twice = Repeat(7, (Launch("k", "s"), Launch("k", "s"), AwaitComplete("k")))

    assert found_in([twice]) is None


def test_a_body_that_handles_errors_is_left_whole():
    handled = Repeat(7, (Try((Launch("k", "s"),), (Set("f"),)), AwaitComplete("k")))

    assert found_in([handled]) is None


# --- what is not folded ------------------------------------------------------------------------


def test_known_gap_a_rank_whose_threads_run_ahead_of_each_other_is_tabulated_whole():
    waiting = Repeat(9, (Launch("k", "s"), AwaitComplete("k")))
    described = alone([waiting], [Repeat(9, (Set("f"),))])

    assert repetition_of(described.world, 0, 6) is not None
    assert folded(described.world, 0) is None


def test_known_gap_a_rank_whose_streams_fall_behind_is_tabulated_whole():
    described = alone([Repeat(9, (Launch("k", "s"),))])

    assert repetition_of(described.world, 0, 6) is not None
    assert folded(described.world, 0) is None


def test_a_channel_that_is_never_there_is_not_taken_for_one_that_is_over():
    narrow, wide = kernel("narrow", 1), kernel("wide", 2, meets=meeting("channel", "narrow"))
    wide = replace(wide, rounds=((1,), (1,)))
    asks = Repeat(8, (Launch("wide", "s"), AwaitComplete("wide")))
    there = Repeat(8, (Launch("narrow", "s"), AwaitComplete("narrow")))
    described = scenario(rank([asks]), rank([there]), kernels=[narrow, wide])

    assert difference(described.world)[1] is None
    assert check(described).verdict == "deadlock"


def test_ranks_that_launch_differently_often_in_a_body_are_tabulated_whole():
    kernels = [kernel("k", meets=meeting("grid", "k"))]
    once = Repeat(12, (Launch("k", "s"), AwaitComplete("k")))
    twice = Repeat(6, (Launch("k", "s"), AwaitComplete("k")) * 2 + (Set("f"),))
    described = scenario(rank([once]), rank([twice]), kernels=kernels)

    assert all(folded(described.world, each) is not None for each in (0, 1))
    assert not everything(described.world, folding=True).found.roles.folded
    assert difference(described.world) == (False, None)


# --- what goes wrong without a rule ------------------------------------------------------------


def pipelined(times: int = 6) -> Scenario:
    """Two ranks with two threads, each of which waits for both kernels; rank 0 begins with one."""
    both: tuple[Statement, ...] = (AwaitComplete("k"), AwaitComplete("l"))
    first: tuple[Statement, ...] = (AwaitResident("k"),)
    ks, ls = Repeat(times, (Launch("k", "s"), *both)), Repeat(times, (Launch("l", "t"), *both))
    waiting = Repeat(times, (*first, *ls.body))
    kernels = [kernel(name, meets=meeting("grid", name)) for name in ("k", "l")]
    streams = ("s", "t")
    plans = (rank([ks], [waiting], streams=streams), rank([ks], [ls], streams=streams))
    return scenario(*plans, kernels=kernels)


def test_launches_that_are_not_taken_down_come_back_nowhere(monkeypatch):
    monkeypatch.setattr(repetition, "_moved", lambda count, by: count)

    assert folded(pipelined().world, 0) is None


def _one_lap_too_few(self: roles.Roles, kind: int) -> roles.At:
    at = _at(self, kind)
    return at._replace(steps=at.role.steps[at.lap + 1 >= at.role.laps][at.here])


_at = roles.Roles.at


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (asked.Layout, "later", lambda self, bits, laps: bits),
        (asked.Undone, "seen", lambda self, here, ahead, rows: self.bits[here]),
        (fold._Folding, "_moved", lambda self, number, by: 0),
        (roles.Roles, "at", _one_lap_too_few),
        (stubborn, "later_asks", lambda asks, launches, laps: asks),
    ],
    ids=["needs", "undone", "back", "laps", "labels"],
)
def test_a_wrong_rule_is_seen(monkeypatch, owner: object, name: str, wrong: object):
    world = pipelined().world
    assert difference(world) == (True, None)
    monkeypatch.setattr(owner, name, wrong)

    with pytest.raises((AssertionError, KeyError)):
        assert difference(world) == (True, None)
