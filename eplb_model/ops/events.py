"""CUDA events: capture at the call, unrecorded waits are no waits, re-records leave waits alone.

Rules (specs/semantics.md#record-event; G33-G36, G4, G44a): an event is made by its first record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.launch import context_lock, may_make
from eplb_model.ops.marks import UNRECORDED, Await, Event, pending, submit
from eplb_model.ops.registry import (
    EventName,
    HostStep,
    NewEvent,
    NewVariable,
    StreamName,
    StreamStep,
    operation,
    stream_operation,
)
from eplb_model.ops.thread_state import stream_of
from eplb_model.outcome import Actor, Wait
from eplb_model.state import DONE, Failure, Mark, Pending, State


@stream_operation
@dataclass(frozen=True, slots=True)
class Record(StreamStep):
    """Stream: the event fires.

    specs/semantics.md#record
    """

    kind: ClassVar[str] = "record"
    event: str

    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor, choice: int | None) -> State:
        return state.pop(me)


@operation
@dataclass(frozen=True, slots=True)
class RecordEvent(HostStep):
    """Host: capture the stream's contents in an event.

    specs/semantics.md#record-event
    """

    kind: ClassVar[str] = "record_event"
    event: NewEvent
    stream: StreamName

    def guard(self, state: State, me: Actor) -> Wait | None:
        made = state.read(me.rank, self.event).mark is not None
        return context_lock(state, me) if made else may_make(state, me)

    def effect(self, state: State, me: Actor) -> State:
        state, mark = put_record(state, me, self.stream, self.event)
        return state.write(me.rank, self.event, Event(mark)).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class StreamWaitEvent(HostStep):
    """Host: the stream waits for the record that the event holds now.

    specs/semantics.md#stream-wait-event
    """

    kind: ClassVar[str] = "stream_wait_event"
    stream: StreamName
    event: EventName

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        mark = state.read(me.rank, self.event).mark
        if is_forbidden(state, mark):
            return state.fail(me, unrecorded(self.event))
        return put_await(state, me, self.stream, self.event, mark).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class EventSynchronize(HostStep):
    """Host: wait for the record that the event holds at the call.

    specs/semantics.md#event-synchronize
    """

    kind: ClassVar[str] = "event_synchronize"
    event: EventName
    gil: bool = False

    def guard(self, state: State, me: Actor) -> Wait | None:
        return pending(state, me, f"synchronises with event {self.event}")

    def effect(self, state: State, me: Actor) -> State:
        if isinstance(state.thread(me).local, Pending):
            return state.advance(me)
        mark = state.read(me.rank, self.event).mark
        if is_forbidden(state, mark):
            return state.fail(me, unrecorded(self.event))
        return state.stay(me, Pending(frozenset() if mark in (None, DONE) else frozenset({mark})))


@operation
@dataclass(frozen=True, slots=True)
class EventQuery(HostStep):
    """Host: put into a variable whether the latest record is done; true if there is none.

    specs/semantics.md#event-query
    """

    kind: ClassVar[str] = "event_query"
    event: EventName
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        mark = state.read(me.rank, self.event).mark
        return state.write(me.rank, self.into, mark in (None, DONE)).advance(me)


def put_record(state: State, me: Actor, stream: str, event: str) -> tuple[State, Mark]:
    """Put a record on a stream and return its mark."""
    target = stream_of(state, me, stream)
    state = submit(state, me, target, Record(event))
    return state, state.mark(target)


def is_forbidden(state: State, mark: Mark | None) -> bool:
    """Whether a wait for this mark is one for no record at all, where a scenario forbids these."""
    return mark is None and UNRECORDED in state.world.forbids


def unrecorded(event: str) -> Failure:
    """The error of a wait that the scenario forbids."""
    return Failure("violation", f"waits on event {event}, which was never recorded")


def put_await(state: State, me: Actor, stream: str, event: str, mark: Mark | None) -> State:
    """Put a wait for a mark on a stream; without a record it is no wait at all (G35)."""
    if mark in (None, DONE):
        return state
    assert mark is not None
    return submit(state, me, stream_of(state, me, stream), Await(mark, event))
