"""Ranks that share GPUs, and what NCCL is asked for in place of a kernel; tried without a GPU."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import pytest

from eplb_model.check import check
from eplb_model.formulas import nccl_p2p_ctas
from eplb_model.vector import load
from eplb_real import nccl, sharing
from eplb_real.drivers.nccl import WITH_NCCL
from eplb_real.gpu.hang import stories
from eplb_real.gpu.tables import VECTOR, settings
from eplb_real.sharing import MPS, cannot_share, environment


@pytest.fixture(autouse=True)
def without_mps(monkeypatch):
    monkeypatch.delenv(MPS, raising=False)


@pytest.mark.parametrize(
    ("ranks", "gpus", "reason"),
    [
        (2, 2, None),
        (4, 1, None),
        (5, 1, "5 ranks would share 1 GPU; at most 4 do"),
        (9, 2, "9 ranks would share 2 GPUs; at most 4 do"),
    ],
)
def test_so_many_ranks_share_a_gpu(ranks, gpus, reason):
    assert cannot_share(ranks, gpus) == reason


@pytest.mark.parametrize("named", [True, False])
def test_with_mps_nobody_shares(monkeypatch, tmp_path, named):
    if named:
        monkeypatch.setenv(MPS, str(tmp_path))
    else:
        monkeypatch.setattr(sharing, "DEFAULT_PIPES", tmp_path)
        (tmp_path / "control").touch()

    assert cannot_share(2, 2) is None
    assert cannot_share(2, 1) == (
        f"ranks would share a GPU, and with MPS ({tmp_path}) they would compete for SMs"
    )


def test_ranks_that_share_are_hosts_of_their_own_to_nccl():
    shared = [environment(rank, 4, 2) for rank in range(4)]

    assert len({each["NCCL_HOSTID"] for each in shared}) == 4
    assert "NCCL_HOSTID" not in environment(0, 2, 2)


@pytest.mark.parametrize("gpus", [1, 2])
def test_nobody_multicasts(gpus):
    assert environment(0, 2, gpus)["NCCL_NVLS_ENABLE"] == "0"


ASKED = {
    "coop_vs_nccl_opposite_order": {"exchange"},
    "channels_trickle": {"exchange"},
    "deepep_ll_async_eplb_ordered": {"exchange"},
    "profile_barrier_on_world": {"gather"},
    "two_communicators": {"exchange", "second"},
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", ASKED)
def test_nccl_is_asked_for_the_ctas_of_the_kernel(name, shared):
    world = load(name).scenario().world
    asked = partial(nccl_p2p_ctas, transport="network", channels_per_peer=32)
    orders = nccl.orders(world, shared)

    assert set(orders) == ASKED[name]
    count = asked if shared else nccl_p2p_ctas

    for kernel, order in orders.items():
        rounds = sorted({*order.sends, *order.receives})
        ctas = count(
            len(world.ranks), rounds, order.bytes_per_op, order.channels, order.channels,
            min_ctas=order.channels,
        )  # fmt: skip
        assert ctas == world.kernels[kernel].ctas
        assert order.cluster in (0, world.kernels[kernel].cluster)


def test_a_kernel_that_nccl_does_not_have_is_left_to_a_stand_in():
    flagship = load("coop_vs_nccl_opposite_order")
    odd = flagship.scenario({"nccl_ctas": 7}).world

    assert set(nccl.orders(flagship.scenario().world, True)) == {"exchange"}
    assert nccl.orders(odd, True) == {}
    assert nccl.orders(load("eager_send").scenario().world, True) == {}


@pytest.mark.parametrize("driver", WITH_NCCL, ids=lambda driver: driver.name)
def test_a_scenario_of_which_nothing_is_left_for_nccl_is_declined(driver):
    declined = driver.declines(load("event_order").scenario(), lambda: pytest.fail("not needed"))

    assert "it has no exchange of two ranks that NCCL does in just this way" in declined


@pytest.mark.parametrize(("ranks", "shared"), [(2, True), (2, False), (4, True)])
def test_the_model_says_of_each_act_of_the_hang_what_its_title_says(ranks, shared):
    for story in stories(ranks, shared):
        if story.cure == "gloo":
            continue
        point = replace(story.point, order="same") if story.cure == "edge" else story.point
        report = check(load(VECTOR).scenario(settings(asdict(point), story.environment)))

        assert (report.verdict == "ok") == story.title.startswith("cure: "), story.title
