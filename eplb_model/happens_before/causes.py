"""What a step reads, changes, submits and waits for, told from its operation and two states.

Rule: nothing here knows clocks; a name is what one step may write and another read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.flags import IsSet, WaitFlag
from eplb_model.ops.launch import Launch, loaded
from eplb_model.ops.moves import Move, PeerVariable, peers_read
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.ops.registry import Role
from eplb_model.ops.two_thread_event import (
    CpuGpuEventRecord,
    CpuGpuEventWait,
    Holding,
    TwoThreadEvent,
)
from eplb_model.outcome import Actor
from eplb_model.scenario import names_in
from eplb_model.state import Answer, Request, State
from eplb_model.world import HostOperation, Kernel, StreamOperation, World

Name: TypeAlias = tuple[int, str, str]  # a rank, something in its memory, and which part of that

# What the steps of a two-thread event read of it; a1 goes by the name of b1.  b3 is not there: what
# it records is the same whatever object holds it.
PART_READ = {"b1": "flag", "a2": "current"}


def operation_of(state: State, me: Actor) -> HostOperation:
    """The operation that a thread is at."""
    return state.world.programs[me.slot].code[state.threads[me.slot].pc]


def names_read(before: State, me: Actor) -> Iterator[Name]:
    """What a host step reads: memory, and whether a module is loaded.

    Locks of the process (context, records, interpreter) are not among them: nothing follows from
    taking one that does not follow from what its holder does before it gives it back.
    """
    op, local = operation_of(before, me), before.thread(me).local
    if isinstance(op, Launch) and (module := before.world.kernels[op.kernel].module) is not None:
        yield me.rank, loaded(module), ""
    if isinstance(local, Answer):  # it has read its value when it brought it
        return
    for role, field, name in names_in(op):
        if field == "moves":  # read when the work ends, and then only as data
            continue
        if role.name == "module":
            yield me.rank, loaded(name), ""
        elif role.name == "cpu_gpu_event":
            step = local.step if isinstance(local, Holding) else "b1"
            yield me.rank, name, PART_READ.get(step, "(nothing)")
        elif _is_read(op, role):
            yield me.rank, name, ""


def _is_read(op: HostOperation, role: Role) -> bool:
    """Whether an operation reads what it names in this role, rather than only writing it."""
    match role.name:
        case "lock":
            return True
        case "variable":
            return not role.declares
        case "flag":
            return isinstance(op, (WaitFlag, IsSet))
        case _:
            return False


def names_changed(before: State, after: State) -> Iterator[Name]:
    """What a step changed.  Writing what is there already is no change, and no cause."""
    for (owner, name), slot in before.world.slots.items():  # a send reaches another rank's memory
        old, new = before.memory[slot], after.memory[slot]
        if isinstance(old, TwoThreadEvent):
            for part in ("flag", "current"):
                if getattr(old, part) != getattr(new, part):
                    yield owner, name, part
        elif old is not new:
            yield owner, name, ""


def tags_read(before: State, me: Actor) -> Iterator[Name]:
    """The variables that the end of a stream's work reads: its own moves, and those it hands over.

    A tag is like any variable here: who reads it comes after the work that moved it.
    """
    head = before.head(me)
    work = None if head is None else head.work
    mine: tuple[Move, ...] = getattr(work, "moves", ())
    for each in mine:
        if isinstance(each.source, PeerVariable):
            yield each.source.rank, each.source.name, ""
        else:
            yield from ((me.rank, name, "") for name in each.source.variables)
    if work is None or work.kernel is None or not before.world.takers_from(work.kernel):
        return
    for peer in before.world.streams:
        theirs = before.head(peer)
        for source in peers_read(getattr(theirs.work, "moves", ()) if theirs else ()):
            if source.rank == me.rank:
                yield source.rank, source.name, ""


def target_of(op: HostOperation, world: World, me: Actor) -> Actor | None:
    """The stream that an operation names."""
    name: str | None = getattr(op, "stream", None)
    return None if name is None else world.stream(me.rank, name)


def submitted(before: State, stream: Actor, after: State) -> list[StreamOperation]:
    """What a host step put on a stream; no host step takes anything off."""
    return [item.work for item in after.items(stream)[len(before.items(stream)) :]]


def buffers_used(
    me: Actor, op: HostOperation | StreamOperation
) -> Iterator[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    """By rank, the buffers that an operation reads and writes, where there are any."""
    reads: tuple[str, ...] = getattr(op, "reads", ())
    writes: tuple[str, ...] = getattr(op, "writes", ())
    if reads or writes:
        yield me.rank, reads, writes
    if isinstance(op, RemoteRead):
        yield op.peer, (op.source,), ()


def works_left(state: State, stream: Actor) -> int:
    """How much a stream holds that only a step of its own ends."""
    return sum(not item.work.automatic for item in state.items(stream))


def implied(world: World, stream: Actor) -> Iterator[Actor]:
    """The streams that each submission to this one waits for (G9)."""
    other_kind = {"legacy": "blocking", "blocking": "legacy"}.get(
        world.stream_specs[stream.slot].kind
    )
    for other in world.streams_of(stream.rank):
        if world.stream_specs[other.slot].kind == other_kind:
            yield other


def event_awaited(before: State, me: Actor) -> Name | None:
    """The event, or the event object, that this step lets a stream wait for."""
    op, local = operation_of(before, me), before.thread(me).local
    if isinstance(op, StreamWaitEvent):
        return me.rank, op.event, ""
    if not isinstance(op, CpuGpuEventWait) or op.raises:
        return None
    if not isinstance(local, Holding) or local.step != "a3":
        return None
    value: TwoThreadEvent = before.read(me.rank, op.event)
    unrecorded = value.mark(local.number) is None
    return None if unrecorded else (me.rank, op.event, str(local.number))


def event_recorded(before: State, me: Actor) -> Name:
    """The event, or the event object, that a step records."""
    op = operation_of(before, me)
    assert isinstance(op, (RecordEvent, CpuGpuEventRecord)), f"[model bug] {op} records"
    if isinstance(op, RecordEvent):
        return me.rank, op.event, ""
    value: TwoThreadEvent = before.read(me.rank, op.event)
    return me.rank, op.event, str(value.current)


def threads_started(before: State, me: Actor, after: State) -> Iterator[Actor]:
    """The threads that this step has started."""
    for thread in before.world.threads_of(me.rank):
        if before.thread(thread).status == "new" != after.thread(thread).status:
            yield thread


def collective_completed(before: State, me: Actor, after: State) -> set[Actor]:
    """The threads of the host collective that this step completes; empty if it completes none."""
    for posts, later in zip(before.posts, after.posts, strict=True):
        if posts is not later and sum(map(len, later)) <= sum(map(len, posts)):
            return {me, *(before.world.threads[mine[0].thread] for mine in posts if mine)}
    return set()


def posted(before: State, after: State) -> tuple[Request | None, Request | None]:
    """The request that this step leaves open, or the open one that it meets."""
    added = Counter(after.mail) - Counter(before.mail)
    removed = Counter(before.mail) - Counter(after.mail)
    return next(iter(added), None), next(iter(removed), None)


def peers(kernel: Kernel, rank: int, ranks: int) -> list[int]:
    """The ranks that a kernel has to meet, one of its CTAs or another."""
    meets = kernel.meets
    if meets is None:
        return []
    served = {r for rounds in kernel.rounds for r in rounds} if kernel.rounds else None
    sends, receives = (
        {r for r in offsets if meets.grain != "channel" or served is None or r in served}
        for offsets in (() if meets.eager else meets.sends, meets.receives)
    )
    return sorted({(rank + r) % ranks for r in sends} | {(rank - r) % ranks for r in receives})
