"""What a step reads, changes, submits and waits for, told from its operation and two states.

Rule: nothing here knows clocks; a name is what one step may write and another read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from eplb_model.ops.allocator import BLOCKS, Alloc, Drop, RecordStream, blocks_of
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.flags import IsSet, WaitFlag
from eplb_model.ops.groups import GroupEnd
from eplb_model.ops.launch import Launch, loaded
from eplb_model.ops.moves import Move, PeerVariable, peers_read
from eplb_model.ops.one_sided import Read, RemoteRead
from eplb_model.ops.registry import Role
from eplb_model.ops.tensors import Uses, tensors_in
from eplb_model.ops.thread_state import group_of, stream_of
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
    if isinstance(op, (Alloc, Drop, RecordStream)):
        yield me.rank, BLOCKS, ""
    for kernel in _launched(before, me, op):
        if (module := before.world.kernels[kernel].module) is not None:
            yield me.rank, loaded(module), ""
    if isinstance(local, Answer):  # it has read its value when it brought it
        return
    for role, field, name in names_in(op):
        if _is_for_the_work(op, field):
            continue
        if role.name == "module":
            yield me.rank, loaded(name), ""
        elif role.name == "cpu_gpu_event":
            step = local.step if isinstance(local, Holding) else "b1"
            yield me.rank, name, PART_READ.get(step, "(nothing)")
        elif _is_read(op, role) or (role.name == "buffers" and tensors_in(before, me.rank, [name])):
            yield me.rank, name, ""


def _is_for_the_work(op: HostOperation, field: str) -> bool:
    """Whether the call does not look at what a field names: tags, and the memory of a peer."""
    return field == "moves" or (isinstance(op, Read) and field == "source")


def _launched(before: State, me: Actor, op: HostOperation) -> Iterator[str]:
    """The kernels that a host step may submit."""
    if isinstance(op, Launch):
        yield op.kernel
    if isinstance(op, GroupEnd):
        yield from (each.kernel for each in group_of(before, me).kept)


def _is_read(op: HostOperation, role: Role) -> bool:
    """Whether an operation reads what it names in this role, rather than only writing it."""
    match role.name:
        case "lock" | "tensor":
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


def targets_of(before: State, me: Actor) -> tuple[Actor, ...]:
    """The streams that a host step may put something on: the one it names, or those of a group."""
    op = operation_of(before, me)
    if isinstance(op, GroupEnd):
        return tuple(before.world.streams[each.stream] for each in group_of(before, me).kept[:1])
    name: str | None = getattr(op, "stream", None)
    return () if name is None else (stream_of(before, me, name),)


def submitted(before: State, stream: Actor, after: State) -> list[StreamOperation]:
    """What a host step put on a stream; no host step takes anything off."""
    return [item.work for item in after.items(stream)[len(before.items(stream)) :]]


def used_by(me: Actor, work: StreamOperation) -> Iterator[tuple[int, Uses]]:
    """What work uses, by the rank whose memory it is; a read uses that of its peer too."""
    yield me.rank, Uses(getattr(work, "reads", ()), getattr(work, "writes", ()))
    if isinstance(work, RemoteRead):
        yield work.peer, Uses(reads=(work.source,))


def works_left(state: State, stream: Actor) -> int:
    """How much a stream holds that only a step of its own ends."""
    return sum(not item.work.automatic for item in state.items(stream))


def implied(world: World, stream: Actor) -> Iterator[Actor]:
    """The streams that each submission to this one waits for (G9)."""
    other_kind = {"legacy": "blocking", "blocking": "legacy"}.get(
        world.stream_specs[stream.slot].kind
    )
    for other in world.streams_on(stream.rank, world.stream_specs[stream.slot].device):
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


def blocks_looked_at(before: State, me: Actor, after: State) -> Iterator[tuple[int, bool]]:
    """The blocks that an `alloc` found in its pool, up to the free one that it took, if it did."""
    op, (blocks,) = operation_of(before, me), blocks_of(before, me.rank)
    assert isinstance(op, Alloc), f"[model bug] {op} allocates"
    pool = stream_of(before, me, op.stream).slot
    if blocks_of(after, me.rank) == (blocks,):  # an error
        return
    for number, block in enumerate(blocks):
        if block.pool == pool and not block.held:
            yield number, block.is_free
            if block.is_free:
                return


def block_dropped(before: State, me: Actor) -> tuple[int | None, list[Actor]]:
    """The block that a step gives back, and the streams that it waits for."""
    op = operation_of(before, me)
    if not isinstance(op, Drop):
        return None, []
    number: int | None = before.read(me.rank, op.tensor).block
    if number is None:
        return None, []
    recorded = blocks_of(before, me.rank).blocks[number].recorded
    return number, [before.world.streams[slot] for slot in sorted(recorded)]


def threads_started(before: State, me: Actor, after: State) -> Iterator[Actor]:
    """The threads that this step has started."""
    for thread in before.world.threads_of(me.rank):
        if before.thread(thread).status == "new" != after.thread(thread).status:
            yield thread


def collective_completed(before: State, me: Actor, after: State) -> set[Actor]:
    """The threads of the host collective that this step completes; empty if it completes none."""
    if before.thread(me).local == "posted":  # its time limit expires
        return set()
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
