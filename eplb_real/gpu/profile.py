"""What a probe saw, as a machine profile and as a measured table that the model is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eplb_model.machine import MACHINES
from eplb_model.vector import load
from eplb_real.gpu.tables import written
from eplb_real.sharing import MOST_CHANNELS

Seen = Mapping[str, Any]

MACHINE = "h200"  # whose rows these are
SMS = MACHINES[MACHINE].sms
# What the probe calls things, as parameters of vectors.
WAITERS: Mapping[str, Mapping[str, Any]] = {
    "gang": {"waiter_launch": "cooperative"},
    "gang of pairs": {"waiter_launch": "cooperative", "waiter_cluster": 2},
    "regular": {},
    "clusters of 4": {"waiter_cluster": 4, "waiter_footprint": "spinner"},
}
LATER: Mapping[str, Mapping[str, Any]] = {
    "small kernel": {},
    "small cluster": {"later_ctas": 2, "later_cluster": 2},
    "small gang": {"later_launch": "cooperative"},
    "urgent small kernel": {"later_priority": -1},
    "urgent small gang": {"later_launch": "cooperative", "later_priority": -1},
}
CALLS = {
    "malloc": "malloc", "host_alloc": "host_alloc", "free": "free", "host_free": "host_free",
    "empty_cache": "empty_cache", "device_synchronize": "device_synchronize",
    "stream_synchronize": "other_stream_synchronize", "event_create_record": "event_record",
    "record": "event_rerecord", "wait": "event_wait", "event_synchronize": "event_synchronize",
    "h2d_pinned": "h2d_pinned", "h2d_pageable": "h2d_pageable", "d2h_pinned": "d2h_pinned",
    "d2h_pageable": "d2h_pageable", "item": "d2h_pageable", "d2d": "d2d",
    "peer_free_launch": "launch",
}  # fmt: skip
WORKS = {
    "record": "record", "memset": "memset", "d2d": "d2d", "h2d_pinned": "h2d",
    "d2h_pinned": "d2h", "graph_of_a_kernel": "kernel", "graph_of_a_copy": "d2h",
}  # fmt: skip
SECOND_CALLS = {
    "peer_free_launch": "launch", "event_create_record": "record", "record": "rerecord",
    "malloc": "malloc",
}  # fmt: skip


def groups(seen: Sequence[Seen]) -> list[list[int]]:
    """The SMs that were seen in one cluster, joined where they overlap; largest index last.

    The order is that of the first SM, single TPCs at the end, as `eplb-machine/1` has it.
    """
    found: list[set[int]] = []
    for each in seen:
        for cluster in each.get("seen", ()) if each["what"] == "clusters" else ():
            joined = set(cluster).union(*(group for group in found if group & set(cluster)))
            found = [group for group in found if not group & joined] + [joined]
    return sorted(map(sorted, found), key=lambda group: (len(group) <= 2, group[0]))


def profile(seen: Sequence[Seen], name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The machine that a probe saw (`eplb-machine/1`)."""
    depth = next(each["accepted"] for each in seen if each["what"] == "queue depth")
    return {
        "schema": "eplb-machine/1",
        "name": name,
        "about": "What a probe saw of one GPU.",
        "groups": [len(group) for group in groups(seen)],
        "placement": "measured",
        "queue_depth": depth,
        "provenance": dict(provenance),
    }


def rows(seen: Sequence[Seen]) -> Iterator[dict[str, Any]]:
    """Rows of a measured table: what the vectors of the catalogue ask, with what was seen."""
    layout = groups(seen)
    for each in seen:
        if each["what"] in PLACED:
            yield from PLACED[each["what"]](each, layout)
        elif each["what"] in ROWS:
            yield from ROWS[each["what"]](each)


def _seats(each: Seen, layout: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Where a kernel went, on an empty device or beside a holder."""
    if not each["seats"]:
        return
    held = each.get("held_seats", [])
    free = _free(layout, [*each["seats"], *held])
    holder = {"holder": {"ctas": each["held"], "cluster": each["held_cluster"]}} if held else {}
    single = "G31d" if held else "G31c"
    yield {
        "rule": single if each["cluster"] == 1 else "G31",
        "observe": "seats",
        "machine": MACHINE,
        "launch": "cooperative" if each["what"] == "gang" else "regular",
        "ctas": each["ctas"],
        "cluster": each["cluster"],
        **holder,
        "outcome": {"free_per_group": free},
    }


def _second(each: Seen, layout: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Where a kernel went beside a holder, or a gang beside two."""
    holders, taken = [each["holder0"]], [*each["seats0"], *each["seats1"]]
    kernel = {"launch": "regular", **each["holder1"], "footprint": "spinner"}
    if "gang" in each:
        holders.append(each["holder1"])
        kernel = {"launch": "cooperative", "ctas": each["gang"], "cluster": 1}
        taken += each["gang_seats"]
    yield {
        "rule": "G31d" if kernel["cluster"] == 1 else "G31e",
        "observe": "seats",
        "machine": MACHINE,
        **kernel,
        "holders": holders,
        "outcome": {"free_per_group": _free(layout, taken)},
    }


def _spread(each: Seen, layout: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    yield {
        "rule": "G31e",
        "observe": "seats",
        "machine": MACHINE,
        "launch": "regular",
        "ctas": each["ctas"],
        "cluster": each["cluster"],
        "footprint": "spinner",
        "conditions": {"policy": "spread"},
        "outcome": {"free_per_group": _free(layout, each["seats"])},
    }


def _free(layout: Sequence[Sequence[int]], taken: Sequence[int]) -> list[int]:
    return [len(group) - len({*group} & {*taken}) for group in layout]


def _waiter(each: Seen) -> Iterator[dict[str, Any]]:
    chosen = {
        "first_cluster": each["cluster"],
        "later_footprint": each["later"],
        "released": each["released"],
    }
    for stream, kernel in (("waiting", "first"), ("behind", "second")):
        yield {
            "rule": "G17c",
            "vector": "later_kernel_beside_waiter",
            "set": chosen,
            "observe": f"started 0.{stream}",
            "outcome": each[kernel],
        }


def _largest(each: Seen) -> Iterator[dict[str, Any]]:
    step = each["gang_cluster"]
    for ctas, started in ((each["largest"], each["largest"]), (each["largest"] + step, 0)):
        if ctas <= SMS - each["held"]:
            yield {
                "rule": "G31b",
                "vector": "gang_beside_holder",
                "set": {"holder_ctas": each["held"], "holder_cluster": each["held_cluster"],
                        "gang_ctas": ctas, "gang_cluster": step},
                "observe": "started 0.gang",
                "outcome": started,
            }  # fmt: skip


def _head_of_line(each: Seen) -> Iterator[dict[str, Any]]:
    yield {
        "rule": "G17b" if each["waits"] == "regular" else "G12, G17",
        "vector": "head_of_line",
        "set": {**WAITERS[each["waits"]], **LATER[each["later"]]},
        "observe": "run",
        "outcome": "completes" if each["passes"] else "hang",
    }


def _split(each: Seen) -> Iterator[dict[str, Any]]:
    fits = each["started"] == SMS
    yield {
        "rule": "G25",
        "vector": "split_of_an_sm",
        "set": {"holder_shared_bytes": each["resident_kib"] * 1024},
        "observe": "run" if fits else "started 0.large",
        "outcome": "completes" if fits else each["started"],
    }


def _blocked_streams(each: Seen) -> Iterator[dict[str, Any]]:
    blocked, stopped = len(each["blocked"]), each["stopped"]
    yield {
        "rule": "G5a",
        "vector": "blocked_streams",
        "set": {"blocked": blocked, "other": "next" if stopped else "eighth"},
        "conditions": {"blocked": each["blocked"], "stopped": len(stopped)},
        "observe": "thread 0.caller",
        "outcome": "blocks" if stopped else "returns",
    }


def _depth(each: Seen) -> Iterator[dict[str, Any]]:
    for behind, outcome in ((each["accepted"], "returns"), (each["accepted"] + 1, "blocks")):
        yield {
            "rule": "G3",
            "vector": "launch_queue_depth",
            "set": {"machine": MACHINE, "behind": behind},
            "observe": "thread 0.caller",
            "outcome": outcome,
        }


def _call(each: Seen) -> Iterator[dict[str, Any]]:
    if each["call"] not in CALLS:
        return
    under = {} if each["under"] == "spinner" else {"under": each["under"]}
    yield {
        "rule": "2.7" if each["under"] == "spinner" else "G42a",
        "vector": "call_under_spinner",
        "set": {"call": CALLS[each["call"]], **under},
        "conditions": {"call": each["call"]},
        "observe": "thread 0.caller",
        "outcome": "returns" if each["returns"] else "blocks",
    }


def _two_threads(each: Seen) -> Iterator[dict[str, Any]]:
    yield {
        "rule": "G4a" if each["blocked"] == "full launch" else "G44a",
        "vector": "blocked_call_and_other_thread",
        "set": {
            "blocked": each["blocked"].replace(" ", "_"),
            "other": SECOND_CALLS[each["other"]],
        },
        "conditions": {
            "blocked": each["blocked"],
            "other": each["other"],
            "asked": "of a launch queue of four, as nothing here depends on its depth",
        },
        "observe": "verdict",
        "outcome": "ok" if each["returns"] else "deadlock",
    }


def _behind(each: Seen) -> Iterator[dict[str, Any]]:
    if each["work"] not in WORKS:
        return  # the vocabulary has no word for it
    yield {
        "rule": "G13" if each["work"] in ("memset", "d2d", "h2d_pinned", "d2h_pinned") else "G13a",
        "vector": "gang_bars_later_kernels",
        "set": {"holder_ctas": 8, "victim": WORKS[each["work"]]},
        "conditions": {"work": each["work"]},
        "observe": "run",
        "outcome": "completes" if each["passes"] else "hang",
    }


def _priorities(each: Seen) -> Iterator[dict[str, Any]]:
    known = load("blocked_streams").parameters["blocked"].choices
    if each["ordinary"] + each["urgent"] not in known:
        return
    stopped = {name: each[f"{name}_stopped"] for name in ("ordinary", "urgent")}
    yield {
        "rule": "G5b",
        "vector": "blocked_streams",
        "set": {"blocked": each["ordinary"] + each["urgent"]},
        "conditions": {"urgent": each["urgent"], "stopped": stopped,
                       "asked": "of streams of one priority"},
        "observe": "thread 0.caller",
        "outcome": "blocks" if any(stopped.values()) else "returns",
    }  # fmt: skip


def _beside_a_full_stream(each: Seen) -> Iterator[dict[str, Any]]:
    yield {
        "rule": "G3a",
        "vector": "blocked_call_and_other_thread",
        "set": {"blocked": "full_launch", "other": "launch"},
        "conditions": {"streams": each["streams"], "returned": each["returned"]},
        "observe": "verdict",
        "outcome": "ok" if each["returned"] == each["streams"] else "deadlock",
    }


def _channels(each: Seen) -> Iterator[dict[str, Any]]:
    over_a_network = {"transport": "network", "channels_per_peer": MOST_CHANNELS,
                      "min_ctas": each["cap"]}  # fmt: skip
    yield {
        "rule": "N8a" if each["shared"] else "N8",
        "conditions": {"shared": each["shared"]},
        "observe": "formula",
        "fn": "nccl_p2p_ctas",
        "args": {
            "ranks": each["ranks"],
            "peers": each["peers"],
            "bytes_per_op": each["bytes_per_op"],
            "max_ctas": each["cap"],
            **(over_a_network if each["shared"] else {}),
        },
        "outcome": each["held"],
    }


PLACED: Mapping[str, Callable[[Seen, Sequence[Sequence[int]]], Iterator[dict[str, Any]]]] = {
    "gang": _seats, "regular": _seats, "held": _seats, "second holder": _second,
    "spread": _spread,
}  # fmt: skip
ROWS: Mapping[str, Callable[[Seen], Iterator[dict[str, Any]]]] = {
    "largest gang": _largest, "waiter": _waiter, "head of line": _head_of_line,
    "carve-out": _split, "blocked streams": _blocked_streams, "queue depth": _depth,
    "call": _call, "two threads": _two_threads, "behind": _behind, "priorities": _priorities,
    "beside a full stream": _beside_a_full_stream, "nccl": _channels,
}  # fmt: skip


def unasked(seen: Sequence[Seen]) -> list[Seen]:
    """What was seen and no vector can ask: kept beside the rows, which the model predicts."""
    kinds = ("behind", "priorities", "stream takes")
    known = {"behind": _behind, "priorities": _priorities}
    return [
        each
        for each in seen
        if each["what"] in kinds and not list(known.get(each["what"], _nothing)(each))
    ]


def _nothing(each: Seen) -> Iterator[dict[str, Any]]:
    return iter(())


def table(seen: Sequence[Seen], name: str, provenance: Mapping[str, Any]) -> str:
    """The measured table of a probe, as it is written."""
    return written({
        "schema": "eplb-measured/1",
        "name": name,
        "about": "Where kernels go, who waits for whom, and which host calls return.",
        "provenance": {**provenance, "unasked": unasked(seen)},
        "rows": list(rows(seen)),
    })  # fmt: skip
