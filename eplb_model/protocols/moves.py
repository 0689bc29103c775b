"""MOVE: the main thread takes a layer out of the buffer into the live weights, and hands it back.

Rules (steps as in specs/protocols.md#main):
- V1 to V5: take the publication, copy the rows, commit the maps.
- V7, V8, V9: after the last layer the cycle is off; nothing is published; the buffer is free.
  In this order.
- The ancestors hold the lock of the buffer meanwhile, and V8 and V9 are flags and a bare event.
  0.18 lets the stream wait for the worker's, and commits maps that are on the device already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eplb_model.communicators.names import weights
from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.locks import Acquire, Release, TryAcquire
from eplb_model.ops.threads import Raise
from eplb_model.ops.two_thread_event import CpuGpuEventRecord
from eplb_model.ops.variables import Put, Test
from eplb_model.protocols.settings import (
    Publication,
    Settings,
    by_value,
    consumed,
    holds,
    number,
    of_model,
    place,
)
from eplb_model.scenario import Forever, If, Repeat, Statement

TRIES = 2  # of the lock before the step raises: six of 10 s there, and no clock here


def move(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    """V1 to V9 of the layer that the worker has published."""
    yield from _published(settings, model, lambda each: _move(settings, rank, each))


def _move(settings: Settings, rank: int, publication: Publication) -> Iterator[Statement]:
    yield from _copied(settings, rank, publication)
    yield Copy("h2d", "compute", "pageable", settings.commit_blocks, (), ("map",))
    if settings.is_last(publication.layer):
        yield Put(of_model("rebalanced", publication.model), Value(0))
    yield from _free(settings, publication)


def _copied(settings: Settings, rank: int, publication: Publication) -> Iterator[Statement]:
    """V2, with what it does to the tags of the rows."""
    live = weights(place(settings, publication.model, publication.layer))
    buffer = of_model("buffer", publication.model)
    rows = settings.commit(rank, publication)
    yield Copy("d2d", "compute", reads=(buffer,), writes=(live,), moves=rows)


def _free(settings: Settings, publication: Publication) -> Iterator[Statement]:
    """V8 and V9."""
    free = Put(of_model("pending", publication.model), Value(None))
    tell = CpuGpuEventRecord(consumed(settings, publication), "compute")
    yield from (tell, free) if settings.record_first else (free, tell)


def _published(
    settings: Settings, model: int, body: Callable[[Publication], Iterator[Statement]]
) -> tuple[Statement, ...]:
    """V1: take the publication, and do what is to be done with it."""
    mine = (each for each in settings.publications if each.model == model)
    cases = {number(settings, each): tuple(body(each)) for each in mine}
    return (Put("taken", Variable(of_model("pending", model))), *by_value("taken", cases))


# --- without a move ----------------------------------------------------------------------------


def drained(settings: Settings) -> Iterator[Statement]:
    """`drain_async`: the votes go on until every cycle is off; layers are dropped, not moved.

    The last layer switches the cycle off.  Where the vote fails the host sleeps 1 ms: a loop.
    """

    def drop(publication: Publication) -> Iterator[Statement]:
        if settings.is_last(publication.layer):
            yield Put(of_model("rebalanced", publication.model), Value(0))
        yield from _free(settings, publication)

    for model in range(settings.models):
        body = (
            Test(Condition(Variable(of_model("pending", model)), "!=", Value(None)), "published"),
            AllReduce("ep_cpu", Variable("published"), "votes"),
            If(holds("votes", settings.ranks), _published(settings, model, drop)),
        )
        yield Forever(body, holds(of_model("rebalanced", model), 1))


def handed_back(settings: Settings, model: int) -> tuple[Statement, ...]:
    """Whatever this rank's own worker has published, dropped; the other ranks are not asked."""
    return _published(settings, model, lambda each: _free(settings, each))


# --- the ancestors -----------------------------------------------------------------------------


def locked_move(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    """The move of 0.18 and 0.19, under the lock of the buffer."""
    lock = of_model("buffer_lock", model)
    moved = (*_locked_move(settings, rank, model), *_released(settings, lock, model))
    got = holds("got", True)
    match settings.acquire:
        case "waits":
            yield Acquire(lock)
            yield from moved
        case "skips":  # before vllm#32418: the peers move, this rank does not
            yield TryAcquire(lock, "got")
            yield If(got, moved)
        case "raises":
            yield TryAcquire(lock, "got")
            missed = holds("got", False)
            yield Repeat(TRIES - 1, (TryAcquire(lock, "got"),), missed)
            yield If(got, moved, (Raise("the lock of the buffer was not free"),))


def _locked_move(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    if settings.version == "0.18":
        yield StreamWaitEvent("compute", of_model("buffer_ready", model))
    layer = of_model("layer", model)
    by_cycle = {
        each: by_value(
            "cycle",
            {
                cycle + 1: tuple(_copied(settings, rank, Publication(model, cycle, each)))
                for cycle in range(settings.cycles)
            },
        )
        for each in range(settings.layers)
    }
    yield Put("taken", Variable(layer))
    yield from by_value("taken", by_cycle)
    if settings.records_late != "consumed":
        yield RecordEvent(of_model("buffer_consumed", model), "compute")
    if settings.version == "0.18":
        yield Copy("d2d", "compute", writes=("map",))
    else:
        yield Copy("h2d", "compute", "pageable", settings.commit_blocks, (), ("map",))
    yield Put(layer, Variable(layer, 1))
    yield Put(of_model("ready", model), Value(0))
    off = Put(of_model("rebalanced", model), Value(0))
    first = (Put(layer, Value(0)),) if settings.resets == "at_end" else ()
    yield If(holds("taken", settings.layers - 1), (off, *first))


def _released(settings: Settings, lock: str, model: int) -> Iterator[Statement]:
    yield Release(lock)
    if settings.records_late == "consumed":
        yield RecordEvent(of_model("buffer_consumed", model), "compute")
