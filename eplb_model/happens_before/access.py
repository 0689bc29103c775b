"""Accesses of a run, and the clocks that say which of them come before which."""

from __future__ import annotations

from dataclasses import dataclass
from operator import le
from typing import TypeAlias

from eplb_model.ops.tensors import Uses
from eplb_model.outcome import Actor
from eplb_model.world import HostOperation, StreamOperation

Clock: TypeAlias = tuple[int, ...]  # by actor, how many of its steps have happened before


@dataclass(frozen=True, slots=True)
class Access:
    """One use of buffers of a rank, between two points of the schedule."""

    actor: Actor
    rank: int  # whose memory: the actor's own, or that of the peer that a read reads
    op: HostOperation | StreamOperation
    uses: Uses  # none for an access of the host that never came: its tensor got another block
    begins: int  # after this many steps
    ends: int | None  # with this step, from 1; None if the run is over before
    submitter: Actor  # the thread itself, for an access of the host
    submitted: Clock  # the call; the begin, for an access of the host
    begin: Clock
    end: Clock | None

    def happens_before(self, other: Access) -> bool:
        """Whether this has ended before the other begins, and by a cause."""
        return self.end is not None and precedes(self.end, other.begin)


def precedes(one: Clock, other: Clock) -> bool:
    """Whether what has the one clock happens before, or is, what has the other."""
    return all(map(le, one, other))


def join(*clocks: Clock) -> Clock:
    """The clock of what comes after all of these."""
    return tuple(map(max, zip(*clocks, strict=True)))
