"""Channels against a gang: Spin's verdict on every grid is that of the model, and of the law."""

from __future__ import annotations

from collections import defaultdict

import pytest

from eplb_model.check import check
from eplb_model.machine import Machine
from eplb_model.vector import load
from tests.specs.spin import Model, needs_spin, verify

VECTOR = load("coop_vs_nccl_opposite_order")
SAFETY = {
    "file": "sm_deadlock.pml",
    "property": "safety",
    "fairness": False,
    "search_depth": 10_000,
    "cc": ["-DNOREDUCE", "-DSAFETY", "-DNOCLAIM"],
    "pan": [],
}
Point = tuple[int, int, int, int]  # SMs, CTAs of the gang, CTAs of the exchange, its clusters


def judged(folder, **defines) -> dict[Point, set[str]]:
    """How the runs of each grid end, as Spin's own run over all of them tells it."""
    row = {**SAFETY, "defines": {"GRID": 1, **defines}}
    found = verify(Model("sm_deadlock", row), folder, more=["-DPRINTF"])
    assert found.verdict == "holds"
    ends: dict[Point, set[str]] = defaultdict(set)
    for line in found.told:
        sms, gang, ctas, cluster, how = line.split()
        ends[int(sms), int(gang), int(ctas), int(cluster)].add(how)
    return ends


def ours(point: Point, order: str, ranks: int = 2, launch: str = "cooperative") -> set[str]:
    """How the runs end in the model, on a GPU with one group of SMs."""
    sms, gang, ctas, cluster = point
    settings = {
        "ranks": ranks,
        "order": order,
        "coop_ctas": gang,
        "coop_launch": launch,
        "nccl_ctas": ctas,
        "nccl_cluster": cluster,
    }
    machine = Machine("one_group", (sms,), "measured", "a GPU of one group")
    report = check(VECTOR.scenario(settings).on(machine))
    if report.verdict == "ok":
        return {"ok"}
    assert report.verdict == "deadlock"
    return {"stuck"} if report.when == "every" else {"ok", "stuck"}


def law(point: Point) -> bool:
    """H4: the gang doesn't fit beside the exchange, nor a cluster of the exchange beside it."""
    sms, gang, ctas, cluster = point
    return gang > sms - ctas and cluster > sms - gang


@needs_spin
@pytest.mark.parametrize("order", ["opposite", "same"])
def test_every_grid_ends_in_the_model_as_spin_says(tmp_path, order):
    ends = judged(tmp_path, SMS=4, ORDER=order.upper())

    assert len(ends) == 42
    assert {point: ours(point, order) for point in ends} == ends
    assert [point for point, how in ends.items() if "stuck" in how] == [
        point for point in ends if order == "opposite" and law(point)
    ]


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "sms", "cluster", "ranks"),
    [("free", 4, 2, 2), ("opposite", 6, 3, 2), ("opposite", 4, 2, 3)],
)
def test_larger_grids_and_racing_threads_end_as_spin_says(tmp_path, order, sms, cluster, ranks):
    ends = judged(tmp_path, SMS=sms, CLUSTER=cluster, RANKS=ranks, ORDER=order.upper())

    assert {point: ours(point, order, ranks) for point in ends} == ends


@needs_spin
def test_the_broken_sibling_is_the_regular_launch_of_the_model(tmp_path):
    """Where the law says stuck, a kernel that starts CTA by CTA ends, here as there."""
    row = {**SAFETY, "file": "sm_deadlock.pml", "defines": {"PIECEMEAL": 1}}

    assert verify(Model("sm_deadlock", row), tmp_path).verdict == "holds"
    assert law((4, 3, 2, 2))
    assert ours((4, 3, 2, 2), "opposite", launch="regular") == {"ok"}
