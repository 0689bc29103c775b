"""The async worker W: woken, it fills the buffer layer by layer, publishes, waits to be consumed.

Rules (steps as in specs/protocols.md#worker):
- W0, W3, W4: take the wake-up, read map and load on its own stream.
- W6 (from 0.33): before a layer all workers agree whether to go on; who does not, stops the cycle.
- W7, W8: transfer, then wait on the host until the buffer is filled.
- W10 to W12: publish, wait until the layer is consumed, and find nothing published.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.threads import Die, Raise
from eplb_model.ops.two_thread_event import CpuGpuEventWait
from eplb_model.ops.variables import Assert, Put
from eplb_model.protocols.settings import Settings, consumed
from eplb_model.scenario import If, Statement


def worker_thread(settings: Settings, rank: int) -> tuple[Statement, ...]:
    """What the worker of a rank does in one cycle."""
    return (
        CpuGpuEventWait("rearrange", "side"),
        Copy("d2h", "side", "pinned", True, ("load",), ()),  # W3, W4
        *_layers(settings, rank, 0),
    )


def _layers(settings: Settings, rank: int, layer: int) -> tuple[Statement, ...]:
    """The layers from one on; a stop leaves out all that are left."""
    if layer == settings.layers:
        return ()
    rest = (*_one_layer(settings, rank, layer), *_layers(settings, rank, layer + 1))
    if settings.version == "0.20":
        return (If(Condition(Variable("rebalanced"), "==", Value(1)), rest),)
    everybody = Condition(Variable("willing"), "==", Value(settings.ranks))
    return (
        AllReduce("eplb_cpu", Variable("rebalanced"), "willing"),
        If(everybody, rest, (Put("rebalanced", Value(0)),)),
    )


def _one_layer(settings: Settings, rank: int, layer: int) -> Iterator[Statement]:
    if settings.dies == layer and rank == settings.ranks - 1:
        yield Die()
    if settings.raises == layer and rank == settings.ranks - 1:
        yield Raise("the transfer failed")
    yield from settings.transfer(rank, layer)
    if settings.synchronises:
        yield StreamSynchronize("side")
    yield Put("pending", Value(layer))
    yield CpuGpuEventWait(consumed(layer), "side" if settings.waits_consumed else "unordered")
    yield Assert(Condition(Variable("pending"), "==", Value(None)))
