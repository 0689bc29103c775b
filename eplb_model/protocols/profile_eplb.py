"""The profile path: before serving, every rank gathers each weight tensor once, on its main thread.

Rules (specs/protocols.md#profile):
- Per weight tensor a barrier of the host on WORLD, then an all-gather on the device of the EP
  group, on that group's own stream.  No weights and no maps change.
- Only ranks whose stage has MoE layers take this path; the barrier is for all (`barrier`).
- A communicator that needs no reserved buffer leaves it out (`reserves`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eplb_model.communicators.names import weights
from eplb_model.ops.collectives import Barrier
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import DeviceSynchronize
from eplb_model.scenario import RankPlan, Statement, ThreadPlan
from eplb_model.world import Stream

STAGES = 2  # pipeline stages; rank r is in stage r % 2, so that the groups of a stage look alike


def profile_eplb(values: Mapping[str, Any]) -> tuple[RankPlan, ...]:
    """The plan of every rank, from the parameters of the vector.

    Raises ValueError for ranks that the stages don't divide.
    """
    ranks = values["ranks"]
    if ranks % STAGES:
        raise ValueError(f"ranks: got {ranks}; expected a multiple of {STAGES}, one per stage")
    streams = tuple(map(Stream, ("compute", "ep")))
    return tuple(
        RankPlan((ThreadPlan("main", tuple(_main(values, rank))),), streams)
        for rank in range(ranks)
    )


def _main(values: Mapping[str, Any], rank: int) -> Iterator[Statement]:
    if values["reserves"] and (rank % STAGES == 0 or values["every_stage_has_experts"]):
        for tensor in range(values["tensors"]):
            yield from _reserve(values, rank, tensor)
    yield DeviceSynchronize()  # the profile run measures the memory that is left


def _reserve(values: Mapping[str, Any], rank: int, tensor: int) -> Iterator[Statement]:
    yield Barrier("world" if values["barrier"] == "world" else f"ep_{rank % STAGES}")
    yield RecordEvent("before_gather", "compute")
    yield StreamWaitEvent("ep", "before_gather")
    yield Launch("gather", "ep", reads=(weights(tensor),), writes=("reserved",))
    yield RecordEvent("after_gather", "ep")
    yield StreamWaitEvent("compute", "after_gather")
