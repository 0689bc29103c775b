"""What a sweep saw, as a measured table that the model is held to.

`python -m eplb_real.gpu.tables frontier RAW... --out FILE --name NAME --machine TEXT ...`

Rules:
- A row is one set of parameters of the vector; points that were run several times are one row,
  with their number, if all ended alike.  If they did not, each ending is a row of its own.
- From three ranks on, and in one order, the channels that can end do so together in the model.
- Points that were not reached are left out and counted in the provenance: they say nothing.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eplb_model.vector import load
from eplb_real.sharing import MOST_CHANNELS

VECTOR = "coop_vs_nccl_frontier"
OUTCOMES = {"OK": "completes", "SERIAL": "completes", "HANG": "hang"}
TAKEN = (
    "ranks", "order", "coop_ctas", "coop_cluster", "coop_launch", "coop_footprint", "grain",
    "exchange", "peers",
)  # fmt: skip


def settings(point: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of the vector that a point is, those at their default left out."""
    found: dict[str, Any] = {name: point[name] for name in TAKEN}
    if point["order"] == "opposite":
        found["inverted"] = "".join(map(str, point["inverted"]))
    if point["exchange"] == "channels":
        found |= {name: point[name] for name in ("nccl_ctas", "nccl_cluster")}
    else:
        cap = environment.get("NCCL_MAX_CTAS")
        found["bytes_per_op"] = point["bytes_per_op"]
        found["nccl_max_ctas"] = None if cap is None else int(cap)
        found["nccl_min_ctas"] = int(environment.get("NCCL_MIN_CTAS", 1))
        found["nccl_cluster"] = int(environment.get("NCCL_CGA_CLUSTER_SIZE", 4))
        if point.get("transport") == "network":
            found |= {"transport": "network", "channels_per_peer": MOST_CHANNELS}
    if point["ranks"] > 2 or point["order"] == "same":
        found["ends"] = "together"
    defaults = {name: each.default for name, each in load(VECTOR).parameters.items()}
    return {name: value for name, value in found.items() if value != defaults[name]}


def rows(seen: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The rows of a table, and how many points were of each class."""
    classes: Counter[str] = Counter()
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    held: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for each in seen:
        if "failed" in each:
            classes["given up"] += 1
        if "point" not in each:
            continue
        classes[each["outcome"]] += 1
        if each["outcome"] not in OUTCOMES:
            continue
        key = json.dumps(settings(each["point"], each["environment"])), OUTCOMES[each["outcome"]]
        found[key][each["outcome"]] += 1
        held[key] |= set(each["held"].values())
    table = [
        {
            "rule": "R9",
            "set": json.loads(text),
            "conditions": {"classes": dict(sorted(counted.items())), "held": sorted(held[key])},
            "outcome": outcome,
        }
        for key, counted in sorted(found.items())
        for text, outcome in (key,)
    ]
    return table, classes


def written(document: Mapping[str, Any]) -> str:
    """A table as text: the head in full, one line for each row."""
    head = {name: value for name, value in document.items() if name != "rows"}
    text = json.dumps(head, indent=2)[:-2]
    lines = ",\n".join("    " + json.dumps(row) for row in document["rows"])
    return f'{text},\n  "rows": [\n{lines}\n  ]\n}}\n'


def main() -> None:
    """Make a table of raw observations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--command", required=True)
    options = parser.parse_args()
    seen = [json.loads(line) for path in options.raw for line in path.read_text().splitlines()]
    about = next(each["about"] for each in seen if "about" in each)
    table, classes = rows(seen)
    options.out.write_text(written({
        "schema": "eplb-measured/1",
        "name": options.name,
        "about": "Which orders of an exchange and an all-to-all kernel hang, over grids, clusters, "
                 "launch kinds, footprints, ranks, caps and sizes.",
        "provenance": {
            "machine": options.machine,
            "driver": options.driver,
            "cuda": about["cuda"],
            "torch": about["torch"],
            "nccl": about["nccl"],
            "date": options.date,
            "command": options.command,
            "points": dict(sorted(classes.items())),
            "how": "The order is forced by counters. A hang is 0.35 s without a change, and all "
                   "ends after the abort word alone. OK: gangs of ranks that exchange first "
                   "started beside their exchange; SERIAL: only after it.",
            "source": "5.4, R4, R9",
        },
        "vector": VECTOR,
        "rows": table,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
