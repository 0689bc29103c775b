"""What is wrong with a state, apart from nobody being able to move.  specs/properties.md

Rule: a property looks at one state; what it has to remember is in the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from eplb_model.distributor import is_ready
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.outcome import Actor, Verdict
from eplb_model.state import State
from eplb_model.step import options


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that a state breaks."""

    verdict: Verdict
    message: str


class InProgress(NamedTuple):
    """An access to a buffer that has begun, or may begin at once, and has not ended."""

    actor: Actor
    what: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def violation(state: State) -> Violation | None:
    """The first property that a state breaks, if any."""
    return no_error_ends_a_thread(state) or no_race(state)


def no_error_ends_a_thread(state: State) -> Violation | None:
    """No assertion fails and no contract's error is raised, unless a handler takes it."""
    for actor, thread in zip(state.world.threads, state.threads, strict=True):
        if thread.failure is not None and thread.failure.family != "fault":
            return Violation(thread.failure.family, f"{actor}: {thread.failure.text}")
    return None


def no_race(state: State) -> Violation | None:
    """No two accesses to one buffer, one of them a write, are in progress at the same time."""
    if not state.world.names_buffers:
        return None
    for rank in range(len(state.world.ranks)):
        going_on = list(in_progress(state, rank))
        for number, one in enumerate(going_on):
            for other in going_on[number + 1 :]:
                shared = _conflict(one, other)
                if one.actor != other.actor and shared is not None:
                    return Violation(
                        "race",
                        f"{one.what} on {one.actor} and {other.what} on {other.actor} "
                        f"both use {shared}, and nothing orders them",
                    )
    return None


def in_progress(state: State, rank: int) -> Iterator[InProgress]:
    """Accesses of a rank: work at the ready head of a stream, host accesses that may be taken."""
    world = state.world
    for (actor, _), wait in options(state):
        if actor.rank != rank or actor.is_stream or wait is not None:
            continue
        op = world.programs[actor.slot].code[state.threads[actor.slot].pc]
        if op.kind == "access":
            yield InProgress(actor, "the host's access", *_accesses(op))
    for actor in world.streams_of(rank):
        head = state.head(actor)
        if head is not None and (state.run_of(actor) is not None or is_ready(state, actor)):
            reads, writes = _accesses(head.work)
            if reads or writes:
                yield InProgress(actor, head.work.kernel or head.work.kind, reads, writes)
    yield from _reads_from_afar(state, rank)


def _reads_from_afar(state: State, rank: int) -> Iterator[InProgress]:
    """The reads of a rank's memory that engines are at, those of other ranks or its own."""
    for engine in state.world.engines:
        head = state.head(engine)
        if head is not None and isinstance(head.work, RemoteRead) and head.work.peer == rank:
            yield InProgress(engine, head.work.kind, (head.work.source,), ())


def _accesses(op: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return getattr(op, "reads", ()), getattr(op, "writes", ())


def _conflict(one: InProgress, other: InProgress) -> str | None:
    """The buffer that both use and at least one writes."""
    shared = (set(one.writes) & {*other.reads, *other.writes}) | (
        set(other.writes) & set(one.reads)
    )
    return min(shared) if shared else None
