"""A scenario with one more edge: something on the GPU waits for something else, on every rank.

Rule: an edge is what a programmer would write.  After the first call an event is recorded on its
stream and a flag is set; before the second call its thread waits for the flag, and its stream (or
the host, for an access of the host) for the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from eplb_model.ops.copies import Copy
from eplb_model.ops.events import EventSynchronize, RecordEvent, StreamWaitEvent
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.scenario import (
    Forever,
    If,
    RankPlan,
    Repeat,
    Scenario,
    Statement,
    ThreadPlan,
    Try,
    operations_in,
)
from eplb_model.trace import phrase
from eplb_model.world import HostOperation

EVENT, READY = "edge_event", "edge_recorded"  # what the edge adds to the memory of a rank


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a thread, as `phrase` writes it; `stream` is None for an access of the host."""

    thread: str
    words: str
    stream: str | None

    def __str__(self) -> str:
        return f"{self.thread}: {self.words}"


def with_edge(scenario: Scenario, first: Call, second: Call) -> Scenario | None:
    """The scenario in which `second` waits for `first` on each rank that has both, if any has."""
    ranks = tuple(_rank_with(plan, first, second) for plan in scenario.ranks)
    if ranks == scenario.ranks:
        return None
    return replace(scenario, ranks=ranks, expect=None)


def launches_of(scenario: Scenario, kernel: str) -> tuple[Call, ...]:
    """The calls that launch a kernel, each once."""
    return _calls(scenario, lambda op: ("launch", kernel) in op.offers())


def copies_of(scenario: Scenario, direction: str) -> tuple[Call, ...]:
    """The copies in one direction, each once."""
    return _calls(scenario, lambda op: isinstance(op, Copy) and op.direction == direction)


def _calls(scenario: Scenario, wanted: Callable[[HostOperation], bool]) -> tuple[Call, ...]:
    found = {
        Call(thread.name, phrase(op), str(getattr(op, "stream", "")))
        for plan in scenario.ranks
        for thread in plan.threads
        for op in operations_in(thread.body)
        if wanted(op)
    }
    return tuple(sorted(found, key=str))


def _rank_with(plan: RankPlan, first: Call, second: Call) -> RankPlan:
    said = {(each.name, phrase(op)) for each in plan.threads for op in operations_in(each.body)}
    if not {(first.thread, first.words), (second.thread, second.words)} <= said:
        return plan
    record: tuple[Statement, ...] = (Set(READY),)
    if first.stream is not None:
        record = (RecordEvent(EVENT, first.stream), *record)
    wait: tuple[Statement, ...] = (WaitFlag(READY),)
    if first.stream is not None and second.stream is not None:
        wait = (*wait, StreamWaitEvent(second.stream, EVENT))
    elif first.stream is not None:
        wait = (*wait, EventSynchronize(EVENT))

    def around(thread: str, op: HostOperation) -> tuple[Statement, ...]:
        before = wait if (thread, phrase(op)) == (second.thread, second.words) else ()
        after = record if (thread, phrase(op)) == (first.thread, first.words) else ()
        return (*before, op, *after)

    threads = tuple(_thread_with(each, around) for each in plan.threads)
    return replace(plan, threads=threads)


Around = Callable[[str, HostOperation], tuple[Statement, ...]]


def _thread_with(thread: ThreadPlan, around: Around) -> ThreadPlan:
    return replace(thread, body=tuple(_body_with(thread.name, thread.body, around)))


def _body_with(thread: str, body: Sequence[Statement], around: Around) -> Iterator[Statement]:
    for statement in body:
        match statement:
            case If(condition, then, otherwise):
                ways = (tuple(_body_with(thread, part, around)) for part in (then, otherwise))
                yield If(condition, *ways)
            case Repeat() | Forever():
                yield replace(statement, body=tuple(_body_with(thread, statement.body, around)))
            case Try(inner, handler):
                parts = (tuple(_body_with(thread, part, around)) for part in (inner, handler))
                yield Try(*parts)
            case _:
                yield from around(thread, statement)
