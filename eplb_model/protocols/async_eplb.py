"""Async EPLB: one rearrangement, a main thread and a worker per rank, as programs.

Rules:
- Version, communicator and faults are parameters of one text, split by thread, not by version.
- The plan is the real one, computed from the old and the new map; see `communicators/plan.py`.
- Ranks may be made to compute different plans, as they do when one reads a load that is not ready.
- Every rank asserts at the end that its rows are what the new map says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eplb_model.communicators.local_moves import committed
from eplb_model.communicators.names import held, tag
from eplb_model.communicators.plan import Plan, joined, plan, plans_of
from eplb_model.communicators.registry import lowered
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.moves import Move
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.variables import Assert
from eplb_model.protocols.main_thread import main_thread
from eplb_model.protocols.settings import Settings
from eplb_model.protocols.worker_thread import worker_thread
from eplb_model.scenario import RankPlan, ThreadPlan
from eplb_model.world import Stream

REFUSED = {"0.33": ("torch_nccl", "pynccl")}  # vllm#44978
ABSENT = {"0.20": ("nixl_zero_copy", "torch_xccl"), "0.33": ("nixl_staged",)}
ROWS = 2  # of a rank


def async_eplb(values: Mapping[str, Any]) -> tuple[RankPlan, ...]:
    """The plan of every rank, from the parameters of the vector.

    Raises
    ------
    ValueError
        For a communicator that the version refuses.
    """
    settings = _settings(values)
    old, new = maps(values["moved"], settings.ranks)
    streams = tuple(map(Stream, ("compute", "side", "internal", "unordered")))
    plans = []
    for rank in range(settings.ranks):
        rows = range(ROWS * rank, ROWS * rank + ROWS)
        places = [(layer, row) for layer in range(settings.layers) for row in range(ROWS)]
        before = {held(layer, row): tag(layer, old[rows[row]]) for layer, row in places}
        after = tuple(
            Assert(Condition(Variable(held(layer, row)), "==", Value(tag(layer, new[rows[row]]))))
            for layer, row in places
        )
        main = main_thread(settings, rank, (StreamSynchronize("compute"), *after))
        threads = (ThreadPlan("main", main), ThreadPlan("worker", worker_thread(settings, rank)))
        state = {"pending": None, "rebalanced": 0, **before}
        plans.append(RankPlan(threads, streams, state))
    return tuple(plans)


def maps(moved: str, ranks: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The old and the new map of a layer, for a rearrangement of some kind.

    >>> maps("swap", 2)
    ((0, 1, 2, 3), (0, 3, 2, 1))
    """
    old = tuple(range(ROWS * ranks))
    last = [ROWS * rank + ROWS - 1 for rank in range(ranks)]
    new = list(old)
    for rank, row in enumerate(last):
        match moved:
            case "swap":  # every rank gets the last expert of the next one
                new[row] = last[(rank + 1) % ranks]
            case "spread":  # expert 0 is popular and gets a copy everywhere
                new[row] = 0
            case "local":  # experts change places within their rank
                new[row - 1], new[row] = old[row], old[row - 1]
            case _:
                raise ValueError(f"moved: got {moved!r}; expected swap, spread or local")
    return old, tuple(new)


def _settings(values: Mapping[str, Any]) -> Settings:
    version, communicator = values["version"], values["communicator"]
    if communicator in REFUSED.get(version, ()) and not values["unchecked"]:
        raise ValueError(
            f"version {version} refuses async EPLB with communicator {communicator} "
            "(vllm#44978); set unchecked=true to see why"
        )
    if communicator in ABSENT[version] and not values["unchecked"]:
        raise ValueError(
            f"version {version} has no communicator {communicator}; "
            "set unchecked=true to have it all the same"
        )
    planned = _plan(values)
    old, _ = maps(values["moved"], values["ranks"])

    def commit(rank: int, layer: int) -> tuple[Move, ...]:
        return committed(planned.shares[rank], layer)

    return Settings(
        version=version,
        ranks=values["ranks"],
        layers=values["layers"],
        transfer=lowered(communicator, planned, old),
        commit=commit,
        commit_blocks=values["commit_blocks"],
        record_first=values["record_first"],
        synchronises=values["synchronises"],
        waits_consumed=values["waits_consumed"],
        dies=values["dies"],
        raises=values["raises"],
    )


def _plan(values: Mapping[str, Any]) -> Plan:
    """What every rank does; with `diverges` the last rank saw another load and moves nothing."""
    ranks: int = values["ranks"]
    old, new = maps(values["moved"], ranks)
    if not values["diverges"]:
        return plan(old, new, ranks)
    views = {rank: (old, old if rank == ranks - 1 else new) for rank in range(ranks)}
    return joined(plans_of(views))
