"""The other ways through EPLB: forward passes, several models and cycles, sync and profile path."""

from __future__ import annotations

import pytest

from eplb_model.check import Search, check
from eplb_model.format.document import VectorError
from eplb_model.ops.two_thread_event import CpuGpuEventWait
from eplb_model.protocols.forward import kernels
from eplb_model.protocols.rearrangement import maps, renamed
from eplb_model.scenario import Forever
from eplb_model.trace import phrase
from eplb_model.vector import load
from eplb_model.without import compare

SMALL = load("async_eplb_small")
SYNC = load("sync_eplb")
ONE_RANK = {"ranks": 1, "moved": "local"}


def _phrases(thread, **settings):
    world = SMALL.scenario(settings).world
    program = next(each for each in world.programs if each.name == thread)
    return [phrase(op) for op in program.code]


@pytest.mark.parametrize("version", ["0.20", "0.33"])
def test_several_cycles_of_two_models_hold(version):
    report = check(SMALL.scenario({**ONE_RANK, "version": version, "models": 2, "cycles": 2}))

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


def test_every_layer_of_every_cycle_has_an_event_of_its_own():
    waits = [each for each in _phrases("worker", layers=2, cycles=2) if "consumed" in each]

    assert waits == [f"cpu_gpu_event_wait consumed_{number} side" for number in range(4)]


def test_a_hook_is_of_the_low_latency_kernels_only():
    assert kernels("deepep_low_latency", hook=True) == ("moe_send", "moe_receive")
    with pytest.raises(ValueError, match="hook: deepep_high_throughput has none"):
        kernels("deepep_high_throughput", hook=True)
    with pytest.raises(ValueError, match="all2all: got 'none'"):
        kernels("none", hook=False)


@pytest.mark.slow
def test_the_halves_of_a_hook_keep_their_numbers_in_an_endless_loop():
    """The receiving half of a later pass waits for the sending half of that pass."""
    report = check(load("async_eplb").scenario({"layers": 1, "hook": True}), Search())

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 3}, "expected at least 1 and steps=3"),
        ({"version": "0.19", "unchecked": True, "reports_death": True}, "version 0.19 has none"),
        ({"drain": 0, "steps": 1}, "drain: expected a version with two-thread events"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(VectorError, match=message):
        SMALL.scenario(settings)


def test_every_cycle_starts_from_the_map_of_the_one_before():
    assert maps("swap", 3, 2) == ((0, 1, 2, 3, 4, 5), (0, 3, 2, 5, 4, 1), (0, 5, 2, 1, 4, 3))
    assert maps("local", 1, 2) == ((0, 1), (1, 0), (0, 1))


def test_names_are_exchanged_inside_blocks_too():
    wait = CpuGpuEventWait("rearrange", "side")

    (found,) = renamed(iter([Forever((wait,))]), {"side": "compute"})

    assert found == Forever((CpuGpuEventWait("rearrange", "compute"),))


def test_the_synchronise_of_0_20_is_not_needed_on_one_stream():
    for asked in ("never", "once", "each_layer"):
        assert check(SYNC.scenario({"layers": 1, "synchronize": asked})).verdict == "ok"


SYNCHRONISE = "main: device_synchronize"
BATCHED = {"communicator": "torch_nccl", "moved": "spread"}


def _without_synchronise(**settings):
    """The question where it can matter: before the transfers of every layer."""
    scenario = SYNC.scenario({**settings, "layers": 2, "synchronize": "before_each_layer"})
    return compare(scenario, SYNCHRONISE)


@pytest.mark.parametrize(
    "settings",
    [
        {"communicator": "pynccl"},
        {"communicator": "torch_gloo"},
        pytest.param({"communicator": "torch_nccl"}, marks=pytest.mark.slow),
        pytest.param(BATCHED, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_synchronise_is_redundant_with_streams_and_an_allocator_that_records(settings):
    found = _without_synchronise(**settings, allocator="recording")

    assert (found.present.verdict, found.absent.verdict) == ("ok", "ok")


@pytest.mark.slow
def test_the_synchronise_is_needed_by_batched_sends_whose_stream_is_not_recorded():
    found = _without_synchronise(**BATCHED, allocator="plain")

    assert found.needed
    assert found.absent.finding is not None
    assert "both use block 1 (packed)" in found.absent.finding.message


@pytest.mark.parametrize("allocator", ["shared", "recording", "plain"])
def test_the_synchronise_is_needed_by_reads_into_the_buffer(allocator):
    found = _without_synchronise(communicator="nixl_zero_copy", allocator=allocator)

    assert found.needed
    assert found.absent.finding is not None
    assert "remote_read" in found.absent.finding.message


def test_packing_the_next_layer_overtakes_a_read_of_the_peer_in_the_sync_path():
    asked = {"version": "0.20", "communicator": "nixl_staged", "synchronize": "before_each_layer"}
    report = check(SYNC.scenario(asked))

    assert report.verdict == "violation"
    assert report.finding is not None
    assert "assertion failed: held_" in report.finding.message


def test_the_sync_path_has_the_communicators_of_its_version():
    with pytest.raises(VectorError, match=r"version 0\.33 has no communicator nixl_staged"):
        SYNC.scenario({"communicator": "nixl_staged"})


def test_the_profile_path_hangs_where_a_stage_has_no_experts():
    report = check(load("profile_barrier_on_world").scenario())

    assert (report.verdict, report.when) == ("deadlock", "every")
    assert report.finding is not None
    assert "barrier on group world: waits for rank 1, rank 3" in report.finding.waiting[0].why
