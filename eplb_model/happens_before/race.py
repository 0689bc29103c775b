"""Two accesses to one buffer, at least one a write, by different actors, and no order of them.

Rule: a race says what does order its accesses with the rest, and which edge is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from eplb_model.happens_before.access import Access, precedes
from eplb_model.happens_before.history import accesses
from eplb_model.ops.copies import Transfer
from eplb_model.ops.launch import DEVICE_COPY, MEMSET
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.ops.tensors import conflicts
from eplb_model.outcome import Actor
from eplb_model.trace import Trace, narrate

SMALL_KERNELS: Mapping[str, str] = {MEMSET: "the memset", DEVICE_COPY: "the d2d copy"}


@dataclass(frozen=True, slots=True)
class Seen:
    """The last step of another actor that happens before an access; no step if it has seen none."""

    by: Actor
    of: Actor
    step: int | None
    does: str = ""

    def __str__(self) -> str:
        if self.step is None:
            return f"{self.by} has seen no step of {self.of}"
        return f"{self.by} has seen {self.of} up to step {self.step}: {self.does}"


@dataclass(frozen=True, slots=True)
class Race:
    """Two accesses without an order; the first begins first in this run."""

    buffer: str
    first: Access
    second: Access
    seen: tuple[Seen, Seen]  # by the first of the second, by the second of the first
    missing: str

    @property
    def from_first(self) -> bool:
        """Whether the missing edge leads from the first to the second.

        What was submitted later can only wait for what was submitted before; the same holds for a
        host that has submitted the other access already.
        """
        return not _knows(self.first, self.second)

    def __str__(self) -> str:
        both = (f"{in_words(each)} on {each.actor}" for each in (self.first, self.second))
        remote = any(each.actor.rank != each.rank for each in (self.first, self.second))
        where = f" of rank {self.first.rank}" if remote else ""
        return f"{' and '.join(both)} both use {self.buffer}{where}; {self.missing}"


def races(trace: Trace) -> tuple[Race, ...]:
    """Every pair of accesses of a run that conflict and have no order.

    What has begun and not ended when the run is over counts; what has not begun does not.  Of a
    pair only the first can have ended before the other begins; accesses of one actor always do.
    """
    return tuple(
        Race(
            buffer,
            one,
            other,
            (_seen(trace, one, other.actor), _seen(trace, other, one.actor)),
            _missing(one, other),
        )
        for one, other in combinations(accesses(trace), 2)
        if one.rank == other.rank and one.actor != other.actor and not one.happens_before(other)
        for buffer in conflicts(one.uses, other.uses)
    )


def in_words(access: Access) -> str:
    """What an access is: a kernel, a copy, an access of the host."""
    op = access.op
    if not access.actor.is_stream:
        return "the host's access"
    if isinstance(op, Transfer):
        return f"the {op.direction} copy"
    if isinstance(op, RemoteRead):
        return f"the read of rank {op.peer}"
    kernel = getattr(op, "kernel", None)
    return SMALL_KERNELS.get(kernel or "", f"kernel {kernel}")


def _seen(trace: Trace, access: Access, of: Actor) -> Seen:
    steps = [number for number, action in enumerate(trace.schedule) if action.actor == of]
    count = access.begin[trace.last.world.actors.index(of)]
    if not count:
        return Seen(access.actor, of, None)
    number = steps[count - 1]
    does = narrate(trace.states[number], trace.schedule[number], trace.states[number + 1])
    return Seen(access.actor, of, number + 1, does.partition(";")[0])


def _missing(one: Access, other: Access) -> str:
    """The edge that would order two accesses as this run happened to have them.

    What was submitted later can only wait for what was submitted before; the same holds for a host
    that has submitted the other access already.
    """
    if not _knows(one, other):
        return _edge(one, other)
    return _edge(other, one)


def _knows(access: Access, work: Access) -> bool:
    """Whether an access, or the call that submits it, comes after the call that submitted work."""
    return work.actor.is_stream and precedes(work.submitted, access.submitted)


def _edge(one: Access, other: Access) -> str:
    first, second = in_words(one), in_words(other)
    lacking = f"nothing makes {other.actor} wait for {one.actor}: "
    if isinstance(one.op, RemoteRead):
        polled = f"{one.submitter} polling until {first} is done"
        told = "" if one.submitter == other.submitter else f", and telling {other.submitter},"
        return f"{lacking}{polled}{told} before {second} would"
    if isinstance(other.op, RemoteRead) and one.actor.is_stream:
        synchronised = f"a synchronise of {one.submitter} with {one.actor} after {first}"
        told = "" if one.submitter == other.submitter else f", and telling {other.submitter},"
        return f"{lacking}{synchronised}{told} before it posts {second} would"
    if one.actor.is_stream:
        waited = "waited for" if other.actor.is_stream else "synchronised with"
        event = f"an event recorded on {one.actor} after {first} and {waited} by {other.actor}"
        return f"{lacking}{event} before {second} would"
    told = f"a flag that {one.actor} sets after {first} and {other.submitter} waits for"
    if other.actor.is_stream:
        return f"{lacking}{told} before it submits {second} would"
    return f"{lacking}{told} before {second} would"
