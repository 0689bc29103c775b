"""What a probe saw, as a machine profile and as a measured table that the model is held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eplb_real.gpu.tables import written

Seen = Mapping[str, Any]


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
    """Rows of a measured table: seats on an empty device, the largest gangs beside holders."""
    layout = groups(seen)
    group_of = {sm: index for index, group in enumerate(layout) for sm in group}
    for each in seen:
        match each["what"]:
            case "gang" | "regular" | "held" if "held_cluster" not in each and each["seats"]:
                taken = Counter(group_of[sm] for sm in each["seats"])
                free = [len(group) - taken[index] for index, group in enumerate(layout)]
                yield {
                    "rule": "G31c" if each["cluster"] == 1 else "G31",
                    "observe": "seats",
                    "machine": "h200",
                    "launch": "cooperative" if each["what"] == "gang" else "regular",
                    "ctas": each["ctas"],
                    "cluster": each["cluster"],
                    "outcome": {"free_per_group": free},
                }
            case "largest gang":
                yield from _largest(each)
            case "waiter":
                yield from _waiter(each)
            case _:
                pass


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
        if ctas <= 132 - each["held"]:
            yield {
                "rule": "G31b",
                "vector": "gang_beside_holder",
                "set": {"holder_ctas": each["held"], "holder_cluster": each["held_cluster"],
                        "gang_ctas": ctas, "gang_cluster": step},
                "observe": "started 0.gang",
                "outcome": started,
            }  # fmt: skip


def table(seen: Sequence[Seen], name: str, provenance: Mapping[str, Any]) -> str:
    """The measured table of a probe, as it is written."""
    return written({
        "schema": "eplb-measured/1",
        "name": name,
        "about": "Where kernels go on an empty GPU, and the largest gangs beside others.",
        "provenance": provenance,
        "rows": list(rows(seen)),
    })  # fmt: skip
