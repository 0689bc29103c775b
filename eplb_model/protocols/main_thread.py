"""The main thread M: forward passes, and between them the rearrangement, the votes and the moves.

Rules (steps as in specs/protocols.md#main):
- R1 to R4: the load is copied, the cycle is on, the worker is woken.
- A step is a forward pass, whose result the host reads, and a vote whether every rank has
  published a layer.  Only a rank on which the cycle is on takes part in the vote.
- V2, V5: the buffer goes into the weights, the maps are committed.  V7, V8, V9: after the last
  layer the cycle is off; nothing is published; the buffer is free.  In this order.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.names import weights
from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.two_thread_event import CpuGpuEventRecord
from eplb_model.ops.variables import Put, Test
from eplb_model.protocols.settings import Settings, consumed
from eplb_model.scenario import Forever, If, Statement


def main_thread(
    settings: Settings, rank: int, at_the_end: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    """What the main thread of a rank does from one rearrangement until the cycle is off."""
    return (
        Copy("d2d", "compute", writes=("load",)),
        Put("rebalanced", Value(1)),
        CpuGpuEventRecord("rearrange", "compute"),
        Forever(tuple(_step(settings, rank)), Condition(Variable("rebalanced"), "==", Value(1))),
        *at_the_end,
    )


def _step(settings: Settings, rank: int) -> Iterator[Statement]:
    everything = tuple(weights(layer) for layer in range(settings.layers))
    yield Launch("moe", "compute", reads=everything)
    yield StreamSynchronize("compute")
    yield Test(Condition(Variable("pending"), "!=", Value(None)), "ready")
    yield AllReduce("ep_cpu", Variable("ready"), "votes")
    moves = tuple(
        If(Condition(Variable("pending"), "==", Value(layer)), tuple(_move(settings, rank, layer)))
        for layer in reversed(range(settings.layers))
    )
    yield If(Condition(Variable("votes"), "==", Value(settings.ranks)), moves)


def _move(settings: Settings, rank: int, layer: int) -> Iterator[Statement]:
    rows = settings.commit(rank, layer)
    yield Copy("d2d", "compute", reads=("buffer",), writes=(weights(layer),), moves=rows)
    yield Copy("h2d", "compute", "pageable", settings.commit_blocks, (), ("map",))
    if layer == settings.layers - 1:
        yield Put("rebalanced", Value(0))
    free = Put("pending", Value(None))
    tell = CpuGpuEventRecord(consumed(layer), "compute")
    yield from (tell, free) if settings.record_first else (free, tell)
