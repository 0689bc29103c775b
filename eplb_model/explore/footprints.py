"""What a step reads and writes, coarsely: which steps may not commute.

Rules:
- Steps of different ranks commute, but for point-to-point, one-sided reads, values taken from peers
  and time limits: these touch everything.
- Of one rank, steps that only use variables, flags and locks touch these names; any other step
  touches the whole rank.
- A meeting is no conflict.  That peers are there only becomes true: it orders, but never races.
  The same holds for host collectives whose calls can't differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

from eplb_model.ops.collectives import AllReduce, Barrier
from eplb_model.ops.expression import NOTHING, Condition, Value, Variable
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.moves import peers_read
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.ops.registry import roles_of
from eplb_model.outcome import Action
from eplb_model.state import State
from eplb_model.world import HostOperation, World

EVERYWHERE = -1

BY_NAME = (  # what only uses names of its rank's memory
    *("put", "take", "test", "assert", "branch", "set", "clear", "is_set", "wait_flag"),
    *("acquire", "try_acquire", "release"),
)
EVERYTHING = ("isend", "irecv", "wait_requests", "read", "wait_reads")


class Footprint(NamedTuple):
    """A rank, or everywhere, and names there; no names stand for the whole rank."""

    rank: int
    reads: frozenset[str] | None = None
    writes: frozenset[str] = frozenset()

    def conflicts(self, other: Footprint) -> bool:
        """Whether two steps may fail to commute, or one may disable the other."""
        if EVERYWHERE in (self.rank, other.rank):
            return True
        if self.rank != other.rank:
            return False
        if self.reads is None or other.reads is None:
            return True
        mine, theirs = self.reads | self.writes, other.reads | other.writes
        return not (self.writes.isdisjoint(theirs) and other.writes.isdisjoint(mine))


@dataclass(frozen=True)
class Footprints:
    """The footprints of the steps of one world."""

    world: World

    def of(self, state: State, action: Action) -> Footprint:
        """What an action may touch, whether it is enabled or not."""
        actor = action.actor
        if not actor.is_stream:
            op = self.world.programs[actor.slot].code[state.threads[actor.slot].pc]
            return self._of_host(op, actor.rank)
        head = state.head(actor)
        assert head is not None, f"[model bug] {action} from an empty stream"
        takes = any(peers_read(getattr(head.work, "moves", ())))
        if isinstance(head.work, RunKernel):
            takes = takes or bool(self.world.takers_from(head.work.runs))
        everywhere = takes or isinstance(head.work, RemoteRead)
        return Footprint(EVERYWHERE if everywhere else actor.rank)

    def _of_host(self, op: HostOperation, rank: int) -> Footprint:
        if op.kind in EVERYTHING or getattr(op, "timeout", False):
            return Footprint(EVERYWHERE)
        if isinstance(op, (AllReduce, Barrier)) and op.group in self._differing:
            return Footprint(EVERYWHERE)
        if op.kind in BY_NAME and not self._keeps_gil:
            reads, writes = (frozenset(names) for names in _names(op))
            return Footprint(rank, reads, writes)
        return Footprint(rank)

    @cached_property
    def _differing(self) -> frozenset[str]:
        """Host groups on which calls may pair that say different things, or give up."""
        said: dict[str, set[object]] = {}
        for op in self._code():
            if isinstance(op, (AllReduce, Barrier)):
                what = {(op.kind, getattr(op, "reduction", None))}
                loose = op.timeout or op.agree != NOTHING
                said.setdefault(op.group, set()).update(what, {"loose"} if loose else set())
        return frozenset(group for group, each in said.items() if len(each) > 1)

    @cached_property
    def _keeps_gil(self) -> bool:
        return any(getattr(op, "gil", False) for op in self._code())

    def _code(self) -> Iterator[HostOperation]:
        for program in self.world.programs:
            yield from program.code


def _names(op: HostOperation) -> tuple[set[str], set[str]]:
    """The names that an operation reads, and those that it may write as well."""
    reads: set[str] = set()
    writes: set[str] = set()
    for each in fields(op):  # type: ignore[arg-type]  # every operation is a dataclass
        value = getattr(op, each.name)
        if isinstance(value, (Condition, Variable, Value)):
            reads.update(value.variables)
            continue
        for role in roles_of(type(op)).get(each.name, ()):
            only_looks = role.name == "flag" and op.kind in ("wait_flag", "is_set")
            (reads if only_looks else writes).add(value)
    return reads, writes
