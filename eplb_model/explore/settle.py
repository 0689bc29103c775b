"""Settling: a step that nothing else can disturb is taken at once, alone.

A step may be taken alone if no sequence of other steps can disable it, or lead to a step that does
not commute with it (a persistent set of one; Godefroid 1996).  Every run to a deadlock contains
such a step, so deadlocks and their shortest schedules are kept; the steps chosen here also neither
break a property nor hide one.  specs/semantics.md#settling

Rules, each checked against the text of the programs once per search:
- A host step that reads and writes only what its own thread uses, or ends a wait for something
  that never becomes untrue again.
- A completion (a CTA, a copy, an event) that ends no access to a buffer, on a rank where nobody
  asks whether work is done and kernels can't compete for SMs: either everything fits at once
  wherever it is placed, or nothing more can arrive and at most one kernel waits.
- A launch or a copy into a stream that only this thread feeds, on a rank where everything fits; not
  one that uses tensors.  An access to a block counts as one that others may conflict with.
- Never a step that may change a variable of some claim: every order of these is looked at, so no
  state in which a claim could be seen to hold or to fail is left out.
An access may thus begin earlier, never end earlier: races are neither hidden nor made up, but a
run that would have gone past one may not be seen any more, so `when` of a race is looked up in the
plain search.

Where programs loop for ever, a jump back is never taken alone.  Every cycle of states contains one,
so on every cycle some state is followed in full, and nothing is put off for ever.  Fair cycles are
kept: what a settled step makes possible stays possible, so it is not what frees a stalled actor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from eplb_model.distributor import kernel_of
from eplb_model.explore.tags import Tags
from eplb_model.ops.allocator import RecordStream
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import EventQuery, EventSynchronize
from eplb_model.ops.flags import Clear, WaitFlag
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.launch import AwaitComplete, AwaitResident, Launch, Load, Memset
from eplb_model.ops.memory import EmptyCache, Free, HostFree
from eplb_model.ops.one_sided import Read, RemoteRead, WaitReads
from eplb_model.ops.point_to_point import Irecv, WaitRequests
from eplb_model.ops.synchronize import DeviceSynchronize, StreamQuery, StreamSynchronize
from eplb_model.ops.tensors import BlockOf, Tensor
from eplb_model.ops.threads import Branch, Join
from eplb_model.ops.variables import Put, Test
from eplb_model.outcome import Action, Actor
from eplb_model.scenario import names_in
from eplb_model.state import NOBODY, Pending, State
from eplb_model.world import CURRENT, HostOperation, StreamOperation, World


class Settling:
    """The reduction for one world: call it with a state and its enabled actions."""

    def __init__(self, world: World) -> None:
        self._world = world
        tags = Tags(world)
        self._ranks = [_RankText(world, rank, tags) for rank in range(len(world.ranks))]

    def __call__(self, state: State, actions: Sequence[Action]) -> Action | None:
        """The first action that may be taken alone."""
        for action in actions:
            text = self._ranks[action.actor.rank]
            alone = text.stream_step if action.actor.is_stream else text.host_step
            if alone(state, action.actor):
                return action
        return None


class _RankText:
    """What the programs of one rank may do, and what follows from it."""

    def __init__(self, world: World, rank: int, tags: Tags) -> None:
        self._world = world
        self._tags = tags
        self._rank = rank
        self._programs = [
            (thread, world.programs[thread.slot]) for thread in world.threads_of(rank)
        ]
        self._ops = [op for _, program in self._programs for op in program.code]

    # --- host steps --------------------------------------------------------------------------

    def host_step(self, state: State, me: Actor) -> bool:
        thread = state.threads[me.slot]
        op = self._world.programs[me.slot].code[thread.pc]
        if self._keeps_gil or self._shows(op) or getattr(op, "stream", None) == CURRENT:
            return False
        match op:
            case AwaitResident() | AwaitComplete() | WaitRequests(timeout=False):
                return True
            case Join(name):
                target = self._world.thread(self._rank, name)
                return state.threads[target.slot].status == "ended"
            case StreamSynchronize() | DeviceSynchronize() | EventSynchronize():
                return isinstance(thread.local, Pending) or self._captures_its_own(me, op)
            case WaitFlag(flag):
                return flag not in self._cleared
            case Branch(_, target) if target <= thread.pc:
                return False  # see the last rule of the module
            case Put() | Test() | Branch():
                return self._uses_only_its_own(me, op)
            case Launch(kernel, stream):
                return self._uses_no_tensor(op) and self._launches_alone(me, kernel, stream)
            case Copy(_, stream):
                return isinstance(thread.local, Pending) or (
                    self._uses_no_tensor(op) and self._submits_alone(me, stream)
                )
            case _:
                return isinstance(op, WaitReads) and self._posters[op.engine] <= {me.slot}

    def _shows(self, op: HostOperation | StreamOperation) -> bool:
        """Whether a step may change what some claim looks at."""
        claimed = self._world.claimed[self._rank]
        return bool(claimed) and not claimed.isdisjoint(op.written_variables())

    def _uses_only_its_own(self, me: Actor, op: HostOperation) -> bool:
        names = {name for _, _, name in names_in(op)}
        return all(
            self._users[name] == {me.slot} and not self._tags.of_streams(self._rank, name)
            for name in names
        )

    def _uses_no_tensor(self, op: Launch | Copy) -> bool:
        """Whether the call takes no look at what `alloc` and `drop` change."""
        return self._tensors.isdisjoint((*op.reads, *op.writes))

    def _captures_its_own(self, me: Actor, op: HostOperation) -> bool:
        """Whether a call captures only what this thread itself puts on streams."""
        return isinstance(op, StreamSynchronize) and self._feeds_alone(me, op.stream)

    def _feeds_alone(self, me: Actor, stream: str) -> bool:
        connection = self._world.connections[self._world.stream(self._rank, stream).slot]
        return self._feeders.get(connection, set()) <= {me.slot}

    def _launches_alone(self, me: Actor, kernel: str, stream: str) -> bool:
        return (
            self._launchers[kernel] == {me.slot}
            and self._world.kernels[kernel].module is None
            and self._submits_alone(me, stream)
        )

    def _submits_alone(self, me: Actor, stream: str) -> bool:
        return (
            self._feeds_alone(me, stream)
            and not self._may_block_launches
            and not self._asked
            and self._world.roomy[self._rank]
        )

    # --- steps of streams --------------------------------------------------------------------

    def stream_step(self, state: State, me: Actor) -> bool:
        head = state.head(me)
        if head is None or self._shows(head.work):
            return False
        if self._asked or self._ends_an_access(me.name, head.work):
            return False
        if isinstance(head.work, RemoteRead) or not self._tags.private(me, head.work):
            return False
        if isinstance(head.work, RunKernel) and self._may_spin_again(head.work.runs):
            return False
        return self._world.roomy[self._rank] or self._quiet(state)

    def _ends_an_access(self, stream: str, work: StreamOperation) -> bool:
        """Whether work of a stream uses a buffer that another actor may use in conflict."""
        reads, writes = getattr(work, "reads", ()), getattr(work, "writes", ())
        if any(isinstance(each, BlockOf) for each in (*reads, *writes)):
            return True  # the text does not say who else may get the block
        return any(self._writers[name] - {stream} for name in (*reads, *writes)) or any(
            self._readers[name] - {stream} for name in writes
        )

    def _may_spin_again(self, kernel: str) -> bool:
        flag = self._world.kernels[kernel].until
        return flag is not None and flag in self._cleared

    def _quiet(self, state: State) -> bool:
        """Whether no kernel can arrive any more and at most one waits for SMs."""
        device = state.devices[self._rank]
        for queue in device.queues:
            for item in queue:
                stream = self._world.streams[item.stream]
                arrived = state.run_of(stream) is not None and state.head(stream) is item
                if item.work.kernel is not None and not arrived:
                    return False
        waiting = sum(1 for run in device.arrived if len(run.seats) < kernel_of(state, run).ctas)
        return waiting <= 1 and not self._may_launch(state)

    def _may_launch(self, state: State) -> bool:
        offers = self._world.reachable_offers
        return any(
            what in ("launch", "group_end")
            for thread, _ in self._programs
            if state.threads[thread.slot].status != "ended"
            for what, _ in offers[thread.slot][state.threads[thread.slot].pc]
        )

    # --- what the text says ------------------------------------------------------------------

    @cached_property
    def _launchers(self) -> dict[str, set[int]]:
        """For every kernel, the threads that launch it."""
        launchers: dict[str, set[int]] = {}
        for thread, program in self._programs:
            for op in program.code:
                if isinstance(op, Launch):
                    launchers.setdefault(op.kernel, set()).add(thread.slot)
        return launchers

    @cached_property
    def _users(self) -> dict[str, set[int]]:
        """For every name, the threads that use it."""
        users: dict[str, set[int]] = {}
        for thread, program in self._programs:
            for op in program.code:
                for _, _, name in names_in(op):
                    users.setdefault(name, set()).add(thread.slot)
                if isinstance(op, Irecv):
                    users.setdefault(op.into, set()).add(NOBODY)  # a peer writes it
        return users

    @cached_property
    def _feeders(self) -> dict[int, set[int]]:
        """For every hardware queue, the threads that may submit to it."""
        feeders: dict[int, set[int]] = {}
        for thread, program in self._programs:
            for op in program.code:
                for role, _, name in names_in(op):
                    if role.name == "stream" and not isinstance(op, StreamSynchronize):
                        for stream in self._world.streams_named(self._rank, name):
                            connection = self._world.connections[stream.slot]
                            feeders.setdefault(connection, set()).add(thread.slot)
        return feeders

    @cached_property
    def _posters(self) -> Mapping[str, set[int]]:
        """For every engine, the threads that post reads to it."""
        posters: defaultdict[str, set[int]] = defaultdict(set)
        for thread, program in self._programs:
            for op in program.code:
                if isinstance(op, Read):
                    posters[op.engine].add(thread.slot)
        return posters

    @cached_property
    def _writers(self) -> Mapping[str, set[str]]:
        """For every buffer, the streams and threads that write it."""
        return self._buffer_users("writes")

    @cached_property
    def _readers(self) -> Mapping[str, set[str]]:
        """For every buffer, the streams and threads that read it."""
        return self._buffer_users("reads")

    def _buffer_users(self, how: str) -> Mapping[str, set[str]]:
        users: defaultdict[str, set[str]] = defaultdict(set)
        for thread, program in self._programs:
            for op in program.code:
                for buffer in getattr(op, how, ()):
                    users[buffer] |= self._actors_of(op, thread)
        for program in self._world.programs if how == "reads" else ():
            for op in program.code:
                if isinstance(op, Read) and op.peer == self._rank:
                    users[op.source].add("(an engine of some rank)")
        return users

    def _actors_of(self, op: HostOperation, thread: Actor) -> set[str]:
        """Who may carry out the accesses of an operation: its stream, or the thread itself."""
        name: str | None = getattr(op, "stream", None)
        if name is None:
            return {thread.name}
        return {stream.name for stream in self._world.streams_named(self._rank, name)}

    @cached_property
    def _tensors(self) -> set[str]:
        """The names that are tensors."""
        memory = self._world.ranks[self._rank].memory
        return {name for name, value in memory.items() if isinstance(value, Tensor)}

    @cached_property
    def _cleared(self) -> set[str]:
        """The flags that some thread clears."""
        return {op.flag for op in self._ops if isinstance(op, Clear)}

    @cached_property
    def _keeps_gil(self) -> bool:
        return any(getattr(op, "gil", False) for op in self._ops)

    @cached_property
    def _may_block_launches(self) -> bool:
        """Whether a launch could find the context lock taken, its stream full or edges to add."""
        streams = self._world.cuda_streams_of(self._rank)
        kinds = {self._world.stream_specs[stream.slot].kind for stream in streams}
        launches = sum(isinstance(op, (Launch, Memset, Copy)) for op in self._ops)
        locks = any(
            isinstance(op, (Free, HostFree, EmptyCache, Load))
            or (isinstance(op, Launch) and self._world.kernels[op.kernel].module is not None)
            for op in self._ops
        )
        return locks or launches >= self._world.machine.queue_depth or kinds != {"nonblocking"}

    @cached_property
    def _asked(self) -> bool:
        """Whether the programs can see the moment at which work ends."""
        asking = (EventQuery, StreamQuery, RecordStream)  # `alloc` asks for what was recorded
        return any(isinstance(op, asking) for op in self._ops)
