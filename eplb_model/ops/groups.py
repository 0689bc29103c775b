"""NCCL groups: calls between a start and its end are kept, and submitted together.

Rules (specs/semantics.md#group-start; N41, N42):
- The group belongs to the host thread.  While its depth is above 0, what this thread launches that
  meets channel by channel, whatever the communicator, is kept; other threads are not concerned.
- Only the end that brings the depth to 0 submits, in the order of the calls.
- An exception in between leaves the group open, unless a handler closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.launch import launch_guard, launch_step
from eplb_model.ops.registry import HostStep, operation
from eplb_model.ops.thread_state import NcclGroup, group_of, with_group
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State
from eplb_model.world import Offer

SUBMITS: Offer = ("group_end", "")


@operation
@dataclass(frozen=True, slots=True)
class GroupStart(HostStep):
    """Host: open an NCCL group of this thread, or one more level of it.

    specs/semantics.md#group-start
    """

    kind: ClassVar[str] = "group_start"

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        group = group_of(state, me)
        return with_group(state, me, group._replace(depth=group.depth + 1)).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class GroupEnd(HostStep):
    """Host: close a level; the last one submits what was kept, launch by launch.

    specs/semantics.md#group-end

    With `drop` it closes all levels and throws away what was kept: an error path.
    """

    kind: ClassVar[str] = "group_end"
    drop: bool = False

    def offers(self) -> tuple[Offer, ...]:
        return () if self.drop else (SUBMITS,)

    def guard(self, state: State, me: Actor) -> Wait | None:
        group = group_of(state, me)
        if self.drop or group.depth != 1 or not group.kept:
            return None
        return launch_guard(state, me, group.kept[0])

    def effect(self, state: State, me: Actor) -> State:
        group = group_of(state, me)
        if group.depth == 0 and not self.drop:
            return state.fail(me, Failure("misuse", "a group ends that was never started"))
        if group.depth > 1 and not self.drop:
            return with_group(state, me, group._replace(depth=group.depth - 1)).advance(me)
        if self.drop or not group.kept:
            return with_group(state, me, NcclGroup()).advance(me)
        return _submit_first(state, me, group)


@operation
@dataclass(frozen=True, slots=True)
class GroupBoundary(HostStep):
    """Host: the boundary of a step or a layer; no group of this thread may be open here.

    specs/semantics.md#group-boundary
    """

    kind: ClassVar[str] = "group_boundary"

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        group = group_of(state, me)
        if not group.depth:
            return state.advance(me)
        kept = ", ".join(each.kernel for each in group.kept) or "nothing"
        text = f"an NCCL group is open at a boundary (depth {group.depth}, kept: {kept})"
        return state.fail(me, Failure("violation", text))


def _submit_first(state: State, me: Actor, group: NcclGroup) -> State:
    """One step of the first kept launch; an error in it closes the group."""
    before = state.thread(me)
    after, submitted = launch_step(state, me, group.kept[0])
    if submitted:
        left = group.kept[1:]
        after = with_group(after, me, group._replace(kept=left) if left else NcclGroup())
        return after.stay(me, None) if left else after.advance(me)
    still_there = after.thread(me).pc == before.pc and after.thread(me).status == "running"
    return after if still_there else with_group(after, me, NcclGroup())
