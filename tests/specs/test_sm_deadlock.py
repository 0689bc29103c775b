"""Channels against a gang: Spin's verdict on every grid is that of the model, and of the law."""

from __future__ import annotations

from collections import defaultdict

import pytest

from eplb_model.check import check
from eplb_model.distributor import kernel_of
from eplb_model.explore.search import explore
from eplb_model.machine import Machine
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.vector import load
from tests.specs.by_hand import Model, needs_spin, verify

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


def one_group(sms: int) -> Machine:
    return Machine("one_group", (sms,), "measured", "a GPU of one group")


def described(point: Point, order: str, ranks: int, launch: str) -> Scenario:
    sms, gang, ctas, cluster = point
    settings = {
        "ranks": ranks,
        "order": order,
        "coop_ctas": gang,
        "coop_launch": launch,
        "nccl_ctas": ctas,
        "nccl_cluster": cluster,
    }
    return VECTOR.scenario(settings).on(one_group(sms))


def ours(point: Point, order: str, ranks: int = 2, launch: str = "cooperative") -> set[str]:
    """How the runs end in the model, on a GPU with one group of SMs."""
    report = check(described(point, order, ranks, launch))
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


Gpus = tuple[int, ...]  # for each rank: started and ended, of the exchange and of the gang


def of_gpus(state: State) -> Gpus:
    """What the specification looks at of a state of ours."""
    found: list[int] = []
    for number, device in enumerate(state.devices):
        running = {kernel_of(state, run).name: run for run in device.arrived}
        for name in ("exchange", "moe"):
            run, count = running.get(name), state.count_of(number, name)
            over = state.world.kernels[name].ctas * count.completed.bit_count()
            found += [len(run.seats), sum(run.ended)] if run else [over, over]
    return tuple(found)


def told(folder, point: Point, order: str, **more: int) -> set[Gpus]:
    """Every state of the GPUs that Spin comes to."""
    sms, gang, ctas, cluster = point
    sizes = {"SMS": sms, "GANG": gang, "CTAS": ctas, "CLUSTER": cluster}
    row = {**SAFETY, "defines": {"TELL": 1, "ORDER": order.upper(), **sizes, **more}, "pan": ["-E"]}
    found = verify(Model("sm_deadlock", row), folder, more=["-DPRINTF"])
    return {(0,) * 8} | {tuple(map(int, line.split())) for line in found.told}


def reached(point: Point, order: str, launch: str = "cooperative") -> set[Gpus]:
    """Every state of the GPUs that the plain search comes to."""
    return {of_gpus(state) for state in explore(described(point, order, 2, launch).world).states}


SLOW = pytest.mark.slow
ELSEWHERE = [
    pytest.param((4, 3, 2, 2), "free", marks=SLOW),
    *(
        pytest.param(point, order, marks=SLOW)
        for point in ((4, 3, 2, 1), (4, 2, 4, 2), (4, 1, 3, 1))
        for order in ("opposite", "same", "free")
    ),
]


@needs_spin
@pytest.mark.parametrize(
    ("point", "order"), [((4, 3, 2, 2), "opposite"), ((4, 3, 2, 2), "same"), *ELSEWHERE]
)
def test_the_gpus_go_through_the_same_states_as_in_spin(tmp_path, point, order):
    assert reached(point, order) == told(tmp_path, point, order)


@needs_spin
def test_the_broken_sibling_is_the_regular_launch_of_the_model(tmp_path):
    """Where the law says stuck, a kernel that starts CTA by CTA ends, here as there."""
    point = (4, 3, 2, 2)
    states = told(tmp_path, point, "opposite", PIECEMEAL=1)

    assert law(point)
    assert ours(point, "opposite", launch="regular") == {"ok"}
    assert states == reached(point, "opposite", launch="regular")
    assert states != reached(point, "opposite")
