"""What a probe and a sweep saw, as machine profile and measured tables, tried without a GPU."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest

from eplb_model.conform import predict
from eplb_model.machine import FOOTPRINTS, MACHINES
from eplb_model.placement import seats
from eplb_model.tables import read_table
from eplb_real.gpu import profile, tables

CLUSTERS = [
    {"what": "clusters", "size": 2, "held": 0, "seen": [[0, 1], [2, 3], [6, 7]]},
    {"what": "clusters", "size": 4, "held": 1, "seen": [[0, 1, 4, 5]]},
    {"what": "clusters", "size": 16, "error": "too large"},
]
SEEN = [
    *({"what": "clusters", "size": 2, "held": 0, "seen": [[0, 1]]},),
    {"what": "queue depth", "accepted": 1021},
    {"what": "blocked streams", "blocked": [7], "returned": True, "stopped": []},
    {"what": "blocked streams", "blocked": [0, 1, 2, 3, 4, 5, 6, 7], "returned": True,
     "stopped": [8, 9]},
    {"what": "head of line", "waits": "regular", "resident": 124, "later": "small gang",
     "passes": True},
    {"what": "head of line", "waits": "gang", "resident": 0, "later": "small gang",
     "passes": False},
    {"what": "carve-out", "resident_kib": 12, "started": 132},
    {"what": "carve-out", "resident_kib": 8, "started": 124},
    {"what": "call", "under": "gang", "call": "free", "returns": False},
    {"what": "call", "under": "spinner", "call": "item", "returns": True},
    {"what": "two threads", "blocked": "free", "other": "record", "returns": False},
    {"what": "two threads", "blocked": "full launch", "other": "record", "returns": True},
    {"what": "largest gang", "held": 4, "held_cluster": 4, "gang_cluster": 1, "largest": 128},
    {"what": "behind", "work": "graph_of_a_kernel", "passes": False},
    {"what": "behind", "work": "record", "passes": True},
    {"what": "behind", "work": "host_function", "passes": True},
    {"what": "priorities", "ordinary": 4, "urgent": 4, "ordinary_stopped": 16,
     "urgent_stopped": 16},
    {"what": "priorities", "ordinary": 7, "urgent": 7, "ordinary_stopped": 13,
     "urgent_stopped": 13},
    {"what": "beside a full stream", "streams": 40, "returned": 40},
    {"what": "nccl", "ranks": 4, "cap": 2, "peers": "next", "bytes_per_op": 1024, "shared": True,
     "held": 2},
    {"what": "nccl", "ranks": 2, "cap": 8, "peers": "all", "bytes_per_op": 67108864,
     "shared": False, "held": 4},
    {"what": "waiter", "cluster": 1, "later": "exclusive", "released": 8, "first": 128,
     "second": 4, "held": []},
]  # fmt: skip
POINT = {
    "ranks": 2, "order": "opposite", "inverted": [1], "coop_ctas": 128, "coop_cluster": 1,
    "coop_launch": "cooperative", "coop_footprint": "exclusive", "grain": "first",
    "exchange": "channels", "nccl_ctas": 8, "nccl_cluster": 4, "bytes_per_op": None, "peers": "all",
}  # fmt: skip


def ended(outcome: str, **changes: object) -> dict[str, object]:
    return {
        "point": POINT | changes, "environment": {}, "outcome": outcome, "held": {"0": 8},
    }  # fmt: skip


def test_sms_that_were_seen_in_one_cluster_are_a_group_and_single_pairs_come_last():
    assert profile.groups(CLUSTERS) == [[0, 1, 4, 5], [2, 3], [6, 7]]


def test_a_profile_is_a_machine_that_the_model_loads():
    made = profile.profile(SEEN, "mine", {"machine": "a GPU"})

    assert (made["schema"], made["name"], made["queue_depth"]) == ("eplb-machine/1", "mine", 1021)


def test_the_model_predicts_every_row_that_a_probe_makes(tmp_path):
    path = tmp_path / "seen.json"
    path.write_text(profile.table(SEEN, "seen", {"machine": "a GPU"}))
    table = read_table(path)

    assert len(table.rows) == 21  # no words for a host function, no vector of 14 blocked streams
    assert [row for row in table.rows if predict(table, row) != row["outcome"]] == []


def test_what_no_vector_can_ask_is_kept_beside_the_rows():
    seen = [*SEEN, {"what": "stream takes", "work": "record", "asked": 9, "accepted": 9}]

    assert [(each["what"], each.get("work")) for each in profile.unasked(seen)] == [
        ("behind", "host_function"),
        ("priorities", None),
        ("stream takes", "record"),
    ]


def placed() -> list[dict[str, object]]:
    """Observations in which everybody sits where the model has them, on an H200."""
    h200 = MACHINES["h200"]
    starts = list(accumulate(h200.groups, initial=0))
    groups = [list(range(a, b)) for a, b in pairwise(starts)]
    spinner, exclusive = FOOTPRINTS["spinner"], FOOTPRINTS["exclusive"]
    first = seats(h200, (), spinner, 4, 8, False)
    second = seats(h200, ((spinner, first),), spinner, 2, 4, False)
    gang = seats(h200, ((spinner, first), (spinner, second)), exclusive, 1, 100, True)
    holders = {
        "holder0": {"ctas": 8, "cluster": 4}, "seats0": [*first],
        "holder1": {"ctas": 4, "cluster": 2}, "seats1": [*second],
    }  # fmt: skip
    return [
        {"what": "clusters", "size": 16, "held": 0, "seen": groups},
        {"what": "second holder", **holders},
        {"what": "second holder", **holders, "gang": 100, "gang_seats": [*gang]},
        {"what": "spread", "ctas": 8, "cluster": 4, "seats": [*first]},
    ]


def test_the_model_predicts_where_it_has_put_them_itself(tmp_path):
    path = tmp_path / "seen.json"
    path.write_text(profile.table(placed(), "seen", {"machine": "a GPU"}))
    table = read_table(path)
    moved = [dict(row, holders=[{"ctas": 4, "cluster": 4}]) for row in table.rows[:2]]

    assert [predict(table, row) == row["outcome"] for row in table.rows] == [True] * 3
    assert [predict(table, row) == row["outcome"] for row in moved] == [False] * 2


def test_points_that_ended_alike_are_one_row():
    table, classes = tables.rows([ended("HANG"), ended("HANG"), ended("OK", nccl_ctas=4)])

    assert classes == {"HANG": 2, "OK": 1}
    assert [(row["set"], row["outcome"], row["conditions"]["classes"]) for row in table] == [
        ({"nccl_ctas": 4}, "completes", {"OK": 1}),
        ({"nccl_ctas": 8}, "hang", {"HANG": 2}),
    ]


def test_points_that_did_not_end_alike_are_rows_that_contradict_each_other():
    table, _ = tables.rows([ended("HANG"), ended("SERIAL")])

    assert sorted(row["outcome"] for row in table) == ["completes", "hang"]


@pytest.mark.parametrize("outcome", ["not reached", "ODD"])
def test_what_says_nothing_is_counted_and_left_out(outcome):
    assert tables.rows([ended(outcome), {"failed": "late"}]) == (
        [],
        {outcome: 1, "given up": 1},
    )
