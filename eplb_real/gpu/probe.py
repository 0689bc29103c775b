"""Measure one GPU: layout, placement, gangs, head of line, carve-out, queues, calls that block.

What was seen is written one observation per line; `profile.py` makes a machine profile and a
measured table of it, on any machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from eplb_real.gpu.pool import pool
from eplb_real.gpu.probe_nccl import counts
from eplb_real.gpu.probe_passing import Passing
from eplb_real.gpu.probe_seats import Seats


class Probe(Seats, Passing):
    """The questions to one GPU, each an iterator of observations."""


PARTS: Sequence[str] = (  # `queues` has to come before others that make streams
    "layout", "seats", "beside", "largest_gangs", "head_of_line", "behind", "carve_out", "queues",
    "depths", "priorities", "calls", "threads", "waiters",
)  # fmt: skip


def observations(
    out: IO[str],
    parts: Sequence[str],
    host: Mapping[str, str],
    gpus: int,
    say: Callable[[str], None],
) -> None:
    """Ask the first visible GPU everything, and write one observation per line.

    Parameters
    ----------
    out
        Where to write; the first line says what the GPU is, with what is known of the host.
    parts
        Which questions, of `PARTS`.
    host
        What is known of it.
    gpus
        How many GPUs the ranks of NCCL may have; 0 leaves NCCL out.
    say
        Is told of progress.
    """
    with pool(1, 0, nccl=False) as ranks:
        out.write(json.dumps({"what": "about", **ranks.about[0], **host}) + "\n")
        probe = Probe(ranks)
        for name in parts:
            part: Callable[[], Iterator[dict[str, Any]]] = getattr(probe, name)
            begun = time.monotonic()
            for found in part():
                out.write(json.dumps(found) + "\n")
                out.flush()
            say(f"{name}: {time.monotonic() - begun:.1f} s")
        after = ranks.all("about")[0]
        out.write(json.dumps({"what": "memory", "before": ranks.about[0]["used_bytes"],
                              "after": after["used_bytes"]}) + "\n")  # fmt: skip
    begun = time.monotonic()
    for found in counts(gpus):
        out.write(json.dumps(found) + "\n")
        out.flush()
    say(f"channels of NCCL: {time.monotonic() - begun:.1f} s")
