"""Accesses to buffers that are in progress at the same time.  specs/properties.md#race"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from eplb_model.distributor import is_ready
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.ops.tensors import Uses, conflicts, in_blocks
from eplb_model.outcome import Actor
from eplb_model.state import State
from eplb_model.step import options_of


class InProgress(NamedTuple):
    """An access to a buffer that has begun, or may begin at once, and has not ended."""

    actor: Actor
    what: str
    uses: Uses


def race_in(state: State) -> str | None:
    """The first two accesses of a state that conflict."""
    for rank in range(len(state.world.ranks)):
        going_on = list(in_progress(state, rank))
        for number, one in enumerate(going_on):
            for other in going_on[number + 1 :]:
                shared = conflicts(one.uses, other.uses)
                if one.actor != other.actor and shared:
                    return (
                        f"{one.what} on {one.actor} and {other.what} on {other.actor} "
                        f"both use {shared[0]}, and nothing orders them"
                    )
    return None


def in_progress(state: State, rank: int) -> Iterator[InProgress]:
    """Accesses of a rank: work at the ready head of a stream, host accesses that may be taken."""
    world = state.world
    for actor in world.threads_of(rank):
        thread = state.threads[actor.slot]
        if thread.status != "running":
            continue
        op = world.programs[actor.slot].code[thread.pc]
        if op.kind == "access" and all(wait is None for _, wait in options_of(state, actor)):
            reads, writes = (in_blocks(state, rank, names) for names in _accesses(op))
            yield InProgress(actor, "the host's access", Uses(reads, writes))
    for actor in world.streams_of(rank):
        head = state.head(actor)
        if head is not None and (state.run_of(actor) is not None or is_ready(state, actor)):
            uses = Uses(*_accesses(head.work))
            if uses.reads or uses.writes:
                yield InProgress(actor, head.work.kernel or head.work.kind, uses)
    yield from _reads_from_afar(state, rank)


def _reads_from_afar(state: State, rank: int) -> Iterator[InProgress]:
    """The reads of a rank's memory that engines are at, those of other ranks or its own."""
    for engine in state.world.engines:
        head = state.head(engine)
        if head is not None and isinstance(head.work, RemoteRead) and head.work.peer == rank:
            yield InProgress(engine, head.work.kind, Uses(reads=(head.work.source,)))


def _accesses(op: object) -> tuple[Any, Any]:
    return getattr(op, "reads", ()), getattr(op, "writes", ())
