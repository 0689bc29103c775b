"""Async EPLB: what its parameters ask, and what the model answers."""

from __future__ import annotations

import pytest

from eplb_model.check import Search, check
from eplb_model.format.document import VectorError
from eplb_model.protocols.rearrangement import maps
from eplb_model.vector import load

ASYNC = load("async_eplb")


def _check(**settings):
    return check(ASYNC.scenario({"layers": 1, **settings}), Search())


@pytest.mark.parametrize("version", ["0.20", "0.33"])
def test_a_worker_that_dies_stalls_the_other_one_while_the_main_threads_go_on(version):
    report = _check(version=version, dies=0)

    assert (report.verdict, report.when) == ("stall", "every")
    assert report.finding is not None
    assert "0.worker" in {str(each.actor) for each in report.finding.waiting}
    assert "1.worker, which could have, has ended (dies here)" in report.finding.waiting[0].why
    assert {"0.main", "1.main"} <= {str(action.actor) for action in report.finding.loop}


def test_a_record_before_the_publication_is_taken_back_fails_the_workers_assertion():
    report = _check(record_first=True)

    assert report.verdict == "violation"
    assert report.finding is not None
    assert "assertion failed: pending == null" in report.finding.message


def test_ranks_with_different_plans_stop_their_workers():
    report = _check(diverges=True)

    assert report.verdict == "stall"
    assert report.finding is not None
    assert "a send to rank 1" in report.finding.waiting[0].why


def test_rows_that_are_not_committed_are_noticed_at_the_end(monkeypatch):
    monkeypatch.setattr("eplb_model.protocols.async_eplb.committed", lambda share, layer: ())
    report = _check()

    assert report.verdict == "violation"
    assert report.finding is not None
    assert "assertion failed: held_0_1 == expert 3 of layer 0" in report.finding.message


def test_version_0_33_refuses_nccl_and_says_how_to_ask_all_the_same():
    with pytest.raises(VectorError, match=r"vllm#44978.*unchecked=true"):
        ASYNC.scenario({"version": "0.33", "communicator": "torch_nccl"})
    scenario = ASYNC.scenario({"version": "0.33", "communicator": "torch_nccl", "unchecked": True})

    assert scenario.parameters["communicator"] == "torch_nccl"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.20", "0.33"])
@pytest.mark.parametrize("moved", ["swap", "spread", "local"])
def test_the_exchange_through_host_memory_holds(version, moved):
    report = _check(version=version, moved=moved, layers=2)

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


def test_a_version_without_a_communicator_says_so():
    with pytest.raises(VectorError, match=r"version 0\.33 has no communicator nixl_staged"):
        ASYNC.scenario({"version": "0.33", "communicator": "nixl_staged"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "communicator"), [("0.20", "nixl_staged"), ("0.33", "nixl_zero_copy")]
)
@pytest.mark.parametrize("moved", ["swap", "spread", "local"])
def test_the_exchange_by_one_sided_reads_holds(version, communicator, moved):
    report = _check(version=version, communicator=communicator, moved=moved, layers=2)

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


@pytest.mark.slow
def test_the_blocking_commit_is_all_that_keeps_reads_out_of_the_buffer():
    """W11 orders the worker's stream, and a read is on none."""
    report = _check(version="0.33", communicator="nixl_zero_copy", commit_blocks=False, layers=2)

    assert report.verdict == "race"
    assert report.finding is not None
    assert "the read of rank 1" in report.finding.details[-1]


@pytest.mark.slow
@pytest.mark.parametrize("communicator", ["torch_nccl", "pynccl"])
def test_nccl_beside_low_latency_kernels_hangs_in_the_known_circle(communicator):
    report = _check(communicator=communicator)

    assert report.verdict == "deadlock"
    assert report.finding is not None
    assert {"0.compute", "1.compute"} <= set(map(str, report.finding.circle))


@pytest.mark.slow
def test_without_the_workers_synchronise_the_buffer_is_read_while_it_is_filled():
    report = _check(synchronises=False)

    assert report.verdict == "race"
    assert report.finding is not None
    assert "both use buffer" in report.finding.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commit_blocks", "waits_consumed", "verdict"),
    [(True, False, "ok"), (False, True, "ok"), (False, False, "race")],
)
def test_the_consumed_event_and_the_blocking_commit_hide_each_other(
    commit_blocks, waits_consumed, verdict
):
    """Either is enough to keep the next layer out of the buffer; one of them has to be there."""
    report = _check(commit_blocks=commit_blocks, waits_consumed=waits_consumed, layers=2)

    assert report.verdict == verdict


def test_a_map_of_each_kind_keeps_every_expert_that_it_should():
    assert maps("swap", 3) == ((0, 1, 2, 3, 4, 5), (0, 3, 2, 5, 4, 1))
    assert maps("spread", 2) == ((0, 1, 2, 3), (0, 0, 2, 0))
    assert maps("local", 2) == ((0, 1, 2, 3), (1, 0, 3, 2))
    with pytest.raises(ValueError, match="expected swap, spread or local"):
        maps("none", 2)


def test_a_worker_that_dies_leaves_its_cycle_on():
    small = load("async_eplb_small")
    asked = {"ranks": 1, "moved": "local", "layers": 2}
    found = [check(small.scenario({**asked, **more})) for more in ({}, {"dies": 1})]

    claimed = [{each.sentence: each.outcome for each in report.claims} for report in found]
    assert [report.verdict for report in found] == ["ok", "stall"]
    assert claimed[0] == {
        "every published result is consumed": "holds",
        "a result is published": "reached",
        "every cycle ends": "holds",
        "a cycle is on": "reached",
    }
    assert claimed[1]["every cycle ends"] == "fails"
