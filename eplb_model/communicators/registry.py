"""The communicators by name, and a plan lowered for one of them.

Rule: an error of one rank is said once, as the layer and the operation in which it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from eplb_model.communicators import (
    nixl_staged,
    nixl_zero_copy,
    pynccl,
    torch_gloo,
    torch_nccl,
    torch_xccl,
)
from eplb_model.communicators.meeting import Fence
from eplb_model.communicators.plan import Ids, Plan
from eplb_model.communicators.wire import Queued, arrivals, fetched, operations
from eplb_model.ops.moves import Move
from eplb_model.scenario import Statement

OfRankAndLayer: TypeAlias = Callable[[int, int], Iterator[Statement]]

COMMUNICATORS: Mapping[str, Callable[..., Iterator[Statement]]] = {
    "torch_gloo": torch_gloo.transfer,
    "torch_nccl": torch_nccl.transfer,
    "torch_xccl": torch_xccl.transfer,
    "pynccl": pynccl.transfer,
    "nixl_staged": nixl_staged.transfer,
    "nixl_zero_copy": nixl_zero_copy.transfer,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An operation of one rank that raises: see `fails_at` of each communicator."""

    rank: int
    layer: int
    at: int


def lowered(
    name: str,
    planned: Plan,
    old: Ids,
    *,
    fence: Fence | None = None,
    faults: Sequence[Fault] = (),
) -> OfRankAndLayer:
    """The transfers of every rank and layer through a communicator, all layers with one plan.

    Parameters: old is the map before, by which zero-copy reads find their rows; fence overrides
    where the ranks of a one-sided communicator meet; faults are the errors that happen.
    """

    def transfer(rank: int, layer: int) -> Iterator[Statement]:
        options: dict[str, object] = {"fails_at": _fails_at(faults, rank, layer)}
        if fence is not None and name in ("nixl_staged", "nixl_zero_copy"):
            options["fence"] = fence
        if name == "torch_nccl":
            options["queued"] = _queued(planned, faults, rank, layer)
        taken = _taken(name, planned, old, faults, rank, layer)
        return COMMUNICATORS[name](planned.shares[rank], layer, taken, **options)

    return transfer


def _taken(
    name: str, planned: Plan, old: Ids, faults: Sequence[Fault], rank: int, layer: int
) -> tuple[Move, ...]:
    share = planned.shares[rank]
    if name == "nixl_zero_copy":
        return fetched(share, layer, old, planned.rows)
    if name not in ("torch_nccl", "torch_xccl", "pynccl"):
        return ()
    lists = [
        (
            *(_queued(planned, faults, each.rank, layer) if name == "torch_nccl" else ()),
            *operations(each, layer),
        )
        for each in planned.shares
    ]
    return arrivals(lists, rank, peer_is_global=name == "torch_xccl")


def _queued(planned: Plan, faults: Sequence[Fault], rank: int, layer: int) -> tuple[Queued, ...]:
    """What is left in the list of a rank when it comes to a layer, all refusals before it added."""
    left: tuple[Queued, ...] = ()
    for earlier in range(layer):
        at = _fails_at(faults, rank, earlier)
        share = planned.shares[rank]
        left = () if at is None else (*left, *torch_nccl.left_queued(share, earlier, at))
    return left


def _fails_at(faults: Sequence[Fault], rank: int, layer: int) -> int | None:
    found = [each.at for each in faults if (each.rank, each.layer) == (rank, layer)]
    return found[0] if found else None
