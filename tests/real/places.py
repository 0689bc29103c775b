"""Whether processes are there, and small scenarios for the harness itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from eplb_model.ops.collectives import Barrier
from eplb_model.ops.expression import Value
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.variables import Put
from eplb_model.scenario import RankPlan, Scenario, ThreadPlan
from eplb_model.world import HostOperation
from tests.small import TINY

GONE_WITHIN = 5.0


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in ("Z", "X")


def left_of(pids: Iterable[int], seconds: float = GONE_WITHIN) -> list[int]:
    """The processes that are still there when all should have gone."""
    until = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < until:
        time.sleep(0.01)  # the kernel tells nobody but a parent
    return left


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def scenario(*ranks: dict[str, list[HostOperation]]) -> Scenario:
    """Programs by thread for every rank, on the smallest machine."""
    plans = tuple(
        RankPlan(tuple(ThreadPlan(name, tuple(body)) for name, body in threads.items()), ())
        for threads in ranks
    )
    return Scenario("test", TINY, {}, plans)


def hanging(ranks: int = 2) -> Scenario:
    """Everybody but rank 0 waits for it in a barrier; it waits for a flag that nobody sets."""
    waits: list[HostOperation] = [WaitFlag("never"), Barrier("world")]
    comes: list[HostOperation] = [Barrier("world")]
    return scenario({"main": waits}, *[{"main": comes}] * (ranks - 1))


def handing_over() -> Scenario:
    """One thread sets a flag that another one waits for."""
    return scenario(
        {
            "giver": [Put("x", Value(1)), Set("given")],
            "taker": [WaitFlag("given"), Put("y", Value(2))],
        }
    )
