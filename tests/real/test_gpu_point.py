"""How a point of a sweep is forced and classified, tried without a GPU."""

from __future__ import annotations

from typing import cast

import pytest

from eplb_model.check import check
from eplb_model.vector import load
from eplb_real.gpu.page import new_page
from eplb_real.gpu.point import Point, Run, Seen
from eplb_real.gpu.pool import Pool
from tests.real.gpu_fake import FakePool, told

QUIET = 0.01


def ran(point: Point, forgets: str = "") -> tuple[FakePool, Seen]:
    with new_page() as page:
        pool = FakePool(point.ranks, page, forgets)
        return pool, Run(cast(Pool, pool), point, quiet=QUIET).go()


@pytest.mark.parametrize(("coop_ctas", "nccl_ctas"), [(132, 1), (128, 4), (128, 8), (116, 16)])
def test_the_class_is_what_the_model_says_where_one_cta_takes_one_sm(coop_ctas, nccl_ctas):
    _, seen = ran(Point(coop_ctas=coop_ctas, nccl_ctas=nccl_ctas, nccl_cluster=1))
    asked = {"coop_ctas": coop_ctas, "nccl_ctas": nccl_ctas, "nccl_cluster": 1}
    report = check(load("coop_vs_nccl_frontier").scenario(asked))

    assert {"HANG": "deadlock", "OK": "ok", "SERIAL": "ok"}[seen.outcome] == report.verdict


def test_a_hang_says_what_each_rank_held_and_lacked():
    _, seen = ran(Point(coop_ctas=132, nccl_ctas=16, nccl_cluster=1))

    assert seen.outcome == "HANG"
    assert {rank: len(sms) for rank, sms in seen.held.items()} == {0: 16}
    assert seen.started == {0: 0, 1: 132}
    assert seen.done == {0: False, 1: False}


def test_the_ranks_that_are_inverted_launch_the_gang_first():
    pool, _ = ran(Point(ranks=3, inverted=(0, 2), nccl_ctas=8))

    assert told(pool) == [["gang", "channels"], ["channels", "gang"], ["gang", "channels"]]


def test_channels_that_find_room_one_after_the_other_are_serial():
    _, seen = ran(Point(coop_ctas=128, nccl_ctas=8))

    assert seen.outcome == "SERIAL"
    assert seen.started == {0: 0, 1: 128}


def test_in_one_order_every_rank_exchanges_first():
    pool, seen = ran(Point(order="same", coop_ctas=132, nccl_ctas=16))

    assert told(pool) == [["channels", "gang"]] * 2
    assert seen.outcome == "OK"


def test_an_order_that_was_not_reached_says_nothing():
    _, seen = ran(Point(coop_ctas=132, nccl_ctas=0))

    assert seen.outcome == "not reached"
    assert "holds no SM" in seen.note


def test_what_the_abort_word_does_not_end_is_odd():
    _, seen = ran(Point(coop_ctas=132, nccl_ctas=16), forgets="gang")

    assert seen.outcome == "ODD"
    assert "not everything ended" in seen.note
