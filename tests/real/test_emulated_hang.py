"""The hang on real threads: who holds what, and that its cures end."""

import threading

import pytest

from eplb_model.vector import load
from tests.real.free_run import run

TINY_FORM = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2}


def test_the_opposite_order_stops_and_says_who_holds_what():
    before = set(threading.enumerate())

    outcome = run(load("coop_vs_nccl_opposite_order").scenario(TINY_FORM))

    gang_waits = "has 0 of its 3 CTAs resident; needs 3 slots at once, 2 are free; exchange holds 2"
    cluster_waits = (
        "has 0 of its 2 CTAs resident; needs 2 free SMs of one GPC at once, "
        "the most in one is 1; moe holds 3"
    )
    assert not outcome.completed
    assert [str(each) for each in outcome.standing] == [
        "0.eplb (await_complete moe): waits until moe has ended",
        "0.main (await_complete moe): waits until moe has ended",
        f"0.compute (moe): {gang_waits}",
        "0.side (exchange, holds 2 SM slots): waits for channel 0 of exchange on rank 1",
        "1.eplb (await_complete moe): waits until moe has ended",
        "1.main (await_complete moe): waits until moe has ended",
        "1.compute (moe, holds 3 SM slots): waits for CTA 0 of moe on rank 0",
        f"1.side (exchange): {cluster_waits}",
    ]
    assert set(threading.enumerate()) == before


def test_it_stops_on_all_132_sms_too():
    outcome = run(load("coop_vs_nccl_opposite_order").scenario({}))

    held = {each.actor: len(each.holds) for each in outcome.standing if each.holds}
    assert held == {"0.side": 16, "1.compute": 132}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "cure",
    [
        {"coop_ctas": 128, "nccl_ctas": 4},
        {"coop_ctas": 131, "nccl_ctas": 2, "nccl_cluster": 1},
        {"order": "same"},
        {"coop_launch": "regular"},
        {"coop_footprint": "small"},
    ],
    ids=["fewer CTAs", "channels trickle", "one order", "no gang", "CTAs share an SM"],
)
def test_its_cures_end(cure, seed):
    outcome = run(load("coop_vs_nccl_opposite_order").scenario(cure), seed)

    assert outcome.completed
    assert sorted(outcome.told.items) == [
        ("0.compute", "moe"),
        ("0.side", "exchange"),
        ("1.compute", "moe"),
        ("1.side", "exchange"),
    ]


def test_the_capped_twin_ends():
    assert run(load("coop_vs_nccl_capped").scenario({})).completed
