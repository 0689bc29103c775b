"""The async worker W: woken, it fills the buffer layer by layer, publishes, waits to be consumed.

Rules (steps as in specs/protocols.md#worker):
- W0, W3, W4: take the wake-up; for each model read map and load on its own stream.
- W6 (from 0.33): before a layer all workers agree whether to go on; who does not, stops the cycle.
- W7, W8: transfer, then wait on the host until the buffer is filled.
- W10 to W12: publish, wait until the layer is consumed, and find nothing published.
- An exception ends the thread, and nobody is told unless it `reports_death`.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Value, Variable
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.threads import Die, Raise
from eplb_model.ops.two_thread_event import CpuGpuEventWait
from eplb_model.ops.variables import Assert, Put
from eplb_model.protocols.settings import (
    Publication,
    Settings,
    consumed,
    holds,
    number,
    of_model,
)
from eplb_model.scenario import If, Statement, Try


def worker_thread(settings: Settings, rank: int) -> tuple[Statement, ...]:
    """What the worker of a rank does in its cycles."""
    body = tuple(
        statement for cycle in range(settings.cycles) for statement in _cycle(settings, rank, cycle)
    )
    if not settings.reports_death:
        return body
    return (Try(body, (Put("dead", Value(1)),)), Put("left", Value(1)))


def _cycle(settings: Settings, rank: int, cycle: int) -> Iterator[Statement]:
    yield CpuGpuEventWait("rearrange", "side")
    for model in range(settings.models):
        yield Copy("d2h", "side", "pinned", True, ("load", "map"), ())  # W3, W4
        yield from _layers(settings, rank, Publication(model, cycle, 0))


def _layers(settings: Settings, rank: int, first: Publication) -> tuple[Statement, ...]:
    """The layers from one on; a stop leaves out all that are left."""
    if first.layer == settings.layers:
        return ()
    following = first._replace(layer=first.layer + 1)
    rest = (*one_layer(settings, rank, first), *_layers(settings, rank, following))
    rebalanced = of_model("rebalanced", first.model)
    if settings.version == "0.20":
        return (If(holds(rebalanced, 1), rest),)
    return (
        AllReduce("eplb_cpu", Variable(rebalanced), "willing"),
        If(holds("willing", settings.ranks), rest, (Put(rebalanced, Value(0)),)),
    )


def one_layer(settings: Settings, rank: int, publication: Publication) -> Iterator[Statement]:
    """W7 to W12 of one layer."""
    yield from transferred(settings, rank, publication)
    if settings.synchronises:
        yield StreamSynchronize("side")
    pending = of_model("pending", publication.model)
    yield Put(pending, Value(number(settings, publication)))
    waiting = "side" if settings.waits_consumed else "unordered"
    yield CpuGpuEventWait(consumed(settings, publication), waiting)
    yield Assert(holds(pending, None))


def transferred(settings: Settings, rank: int, publication: Publication) -> Iterator[Statement]:
    """W7 with the fault that is asked for, which hits the last rank in the first cycle."""
    faulty = rank == settings.ranks - 1 and (publication.model, publication.cycle) == (0, 0)
    raising = Raise("the transfer failed")
    raises = faulty and settings.raises == publication.layer
    if faulty and settings.dies == publication.layer:
        yield Die()
    if raises and not settings.raises_after:
        yield raising
    yield from settings.transfer(rank, publication)
    if raises and settings.raises_after:
        yield raising
