"""EPLB of 0.18 and 0.19: what its lock, flags and bare events do where they are not enough."""

from __future__ import annotations

import pytest

from eplb_model.check import Search, check
from eplb_model.explore.search import explore
from eplb_model.format.document import VectorError
from eplb_model.vector import load

SMALL = load("async_eplb_small")
ONE_RANK = {"ranks": 1, "moved": "local", "unchecked": True}


def _check(version, **settings):
    return check(SMALL.scenario({**ONE_RANK, "version": version, **settings}), Search())


@pytest.mark.parametrize("version", ["0.18", "0.19"])
def test_one_cycle_holds(version):
    assert _check(version).verdict == "ok"


@pytest.mark.slow
@pytest.mark.parametrize(("clears", "verdict"), [("at_end", "stall"), ("at_wake", "ok")])
def test_a_rearm_in_the_step_of_the_last_layer_needs_the_flag_cleared_at_the_wake_up(
    clears, verdict
):
    assert _check("0.19", cycles=2, clears=clears).verdict == verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "late", "verdict"),
    [("0.19", "window", "race"), ("0.18", "consumed", "race"), ("0.19", "consumed", "ok")],
)
def test_an_event_that_is_recorded_too_late_is_hidden_only_by_the_blocking_commit(
    version, late, verdict
):
    assert _check(version, layers=2, records_late=late).verdict == verdict


def test_a_worker_may_begin_a_cycle_that_is_over_if_the_layer_is_reset_with_the_last_one():
    assert _fills_while_off("at_end")
    assert not _fills_while_off("at_rearrange")


def _fills_while_off(resets: str) -> bool:
    """Whether a worker reads the map, at layer 0, while no cycle is on."""
    scenario = SMALL.scenario({**ONE_RANK, "version": "0.19", "resets": resets})
    world = scenario.world
    (worker,) = (each for each in world.threads if each.name == "worker")
    code = world.programs[worker.slot].code
    reads = next(pc for pc, op in enumerate(code) if op.kind == "copy")
    return any(
        state.threads[worker.slot].pc == reads and state.read(0, "rebalanced") == 0
        for state in explore(world).states
    )


@pytest.mark.slow
def test_a_rank_that_only_tries_the_lock_leaves_out_the_move_of_its_peers():
    settings = {"version": "0.19", "unchecked": True, "map_stream": "side", "acquire": "skips"}
    report = check(SMALL.scenario(settings), Search(max_states=200_000))

    assert (report.verdict, report.bounds["cut"]) == ("stall", None)


@pytest.mark.slow
def test_two_ranks_with_the_communicator_of_their_time_hold():
    settings = {"version": "0.19", "communicator": "torch_nccl", "map_stream": "side"}
    report = check(SMALL.scenario(settings), Search(max_states=200_000))

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


def test_the_ancestors_have_one_communicator():
    with pytest.raises(VectorError, match=r"0\.19 has no communicator torch_gloo, only torch_nccl"):
        SMALL.scenario({"version": "0.19"})
