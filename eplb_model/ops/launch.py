"""Putting kernels on streams, and the host's view of whether they have started.

Rules (specs/semantics.md#launch; G1, G3, G4, G4a, G19, G39-G41, G44):
- A launch needs the driver's context lock for an instant, and room in its stream; while it waits
  for room nobody else of the process makes an event or memory (G4, G4a).
- The first launch from a module that is not loaded waits, with the context lock, until all that
  the device had at that moment is done (switch `first_use`).
- A grid that could never be resident at once fails at the call if it has to be.
- Inside an NCCL group of the thread, what meets channel by channel is kept and not submitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.machine import Machine
from eplb_model.ops.kernel import RunKernel, completed, fully_started, whereabouts
from eplb_model.ops.marks import capture, pending, submit
from eplb_model.ops.moves import Moves
from eplb_model.ops.registry import (
    Buffers,
    HostStep,
    KernelName,
    ModuleName,
    StreamName,
    operation,
)
from eplb_model.ops.tensors import has_no_block, in_blocks
from eplb_model.ops.thread_state import (
    Kept,
    current_of,
    group_of,
    stream_of,
    streams_here,
    with_group,
)
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import NOBODY, Count, Failure, Pending, State
from eplb_model.world import Kernel, Offer

# What a memset, and a copy within the device, are for the distributor: kernels of one small CTA.
MEMSET = "(memset)"
DEVICE_COPY = "(device copy)"


@operation
@dataclass(frozen=True, slots=True)
class Launch(HostStep):
    """Host: put a kernel on a stream.

    specs/semantics.md#launch
    """

    kind: ClassVar[str] = "launch"
    kernel: KernelName
    stream: StreamName
    reads: Buffers = ()
    writes: Buffers = ()
    gil: bool = False
    moves: Moves = ()

    def offers(self) -> tuple[Offer, ...]:
        return (("launch", self.kernel),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        if self._is_kept(state, me):
            return None
        return launch_guard(state, me, self._call(state, me))

    def effect(self, state: State, me: Actor) -> State:
        missing = has_no_block(state, me.rank, (*self.reads, *self.writes))
        if missing is not None:
            return release_making(state, me).fail(me, missing)
        call = self._call(state, me)
        if self._is_kept(state, me):
            group = group_of(state, me)
            return with_group(state, me, group._replace(kept=(*group.kept, call))).advance(me)
        state, submitted = launch_step(state, me, call)
        return state.advance(me) if submitted else state

    def _call(self, state: State, me: Actor) -> Kept:
        stream = stream_of(state, me, self.stream)
        reads = in_blocks(state, me.rank, self.reads)
        writes = in_blocks(state, me.rank, self.writes)
        return Kept(self.kernel, stream.slot, reads, writes, self.moves)

    def _is_kept(self, state: State, me: Actor) -> bool:
        kernel = state.world.kernels[self.kernel]
        return _is_of_nccl(kernel) and group_of(state, me).depth > 0


@operation
@dataclass(frozen=True, slots=True)
class Memset(HostStep):
    """Host: put a memset on a stream; to the distributor it is a small kernel (G13).

    specs/semantics.md#memset
    """

    kind: ClassVar[str] = "memset"
    stream: StreamName
    writes: Buffers = ()

    def offers(self) -> tuple[Offer, ...]:
        return (("launch", MEMSET),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return context_lock(state, me) or room(state, me, stream_of(state, me, self.stream))

    def effect(self, state: State, me: Actor) -> State:
        stream = stream_of(state, me, self.stream)
        if is_full(state, stream):
            return hold_making(state, me)
        missing = has_no_block(state, me.rank, self.writes)
        if missing is not None:
            return release_making(state, me).fail(me, missing)
        work = RunKernel(MEMSET, 0, (), in_blocks(state, me.rank, self.writes))
        return release_making(submit(state, me, stream, work), me).advance(me)


class _AwaitsLaunch(HostStep):
    """Wait for something that the n-th launch of a kernel on this rank counts up."""

    __slots__ = ()
    numbered: ClassVar[bool] = True
    until: ClassVar[str]
    kernel: str
    number: int

    def offers(self) -> tuple[Offer, ...]:
        return (("await", self.kernel),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        if self.has_come(state, me.rank):
            return None

        def explain() -> tuple[str, Clauses]:
            helpers = whereabouts(state, me.rank, self.kernel, self.number)
            return f"waits until {self.kernel} {self.until}", (helpers,)

        return Wait(explain)

    def has_come(self, state: State, rank: int) -> bool:
        raise NotImplementedError

    def effect(self, state: State, me: Actor) -> State:
        return state.advance(me)


@operation
@dataclass(frozen=True, slots=True)
class AwaitResident(_AwaitsLaunch):
    """Host: wait until a launch on this rank has started all its CTAs (its started-counter).

    specs/semantics.md#await-resident

    `number` says which launch of the kernel; `scenario.assemble` counts them.
    """

    kind: ClassVar[str] = "await_resident"
    until: ClassVar[str] = "is resident"
    kernel: KernelName
    number: int = 0

    def has_come(self, state: State, rank: int) -> bool:
        return fully_started(state, rank, self.kernel, self.number)


@operation
@dataclass(frozen=True, slots=True)
class AwaitComplete(_AwaitsLaunch):
    """Host: wait until a launch on this rank has ended all its CTAs (its ended-counter).

    specs/semantics.md#await-complete

    `number` says which launch of the kernel; `scenario.assemble` counts them.
    """

    kind: ClassVar[str] = "await_complete"
    until: ClassVar[str] = "has ended"
    kernel: KernelName
    number: int = 0

    def has_come(self, state: State, rank: int) -> bool:
        return completed(state, rank, self.kernel, self.number)


@operation
@dataclass(frozen=True, slots=True)
class Load(HostStep):
    """Host: load a module now instead of at first use (warm-up).

    specs/semantics.md#load
    """

    kind: ClassVar[str] = "load"
    module: ModuleName

    def guard(self, state: State, me: Actor) -> Wait | None:
        return context_lock(state, me) or pending(state, me, f"loads module {self.module}")

    def effect(self, state: State, me: Actor) -> State:
        if state.read(me.rank, loaded(self.module)):
            return state.advance(me)
        if _returns_at_once(state.world.machine):
            return state.write(me.rank, loaded(self.module), True).advance(me)
        return _load(state, me, self.module)


def launch_guard(state: State, me: Actor, call: Kept) -> Wait | None:
    """What a launch waits for: the context lock, its module, room in its stream."""
    return (
        context_lock(state, me)
        or pending(state, me, "loads the module of its first launch")
        or (
            None
            if _must_load(state, me, call.kernel)
            else room(state, me, state.world.streams[call.stream])
        )
    )


def launch_step(state: State, me: Actor, call: Kept) -> tuple[State, bool]:
    """One step of a launch, and whether it was the one that submits; the thread stays there."""
    kernel = state.world.kernels[call.kernel]
    if _must_load(state, me, call.kernel):
        return _load(state, me, kernel.module or ""), False
    stream = state.world.streams[call.stream]
    if is_full(state, stream):
        return hold_making(state, me), False
    problem = _refused(state, me, kernel, stream)
    if problem is not None:
        return release_making(state, me).fail(me, Failure("misuse", problem)), False
    state, number = _numbered(state, me.rank, call.kernel)
    work = RunKernel(call.kernel, number, call.reads, call.writes, call.moves)
    return release_making(submit(state, me, stream, work), me), True


def loaded(module: str) -> str:
    """Where memory says whether a module is loaded."""
    return f"(module {module})"


def context_lock(state: State, me: Actor) -> Wait | None:
    """Wait while another thread of the process holds the driver's context lock (G44)."""
    holder = state.devices[me.rank].context
    if holder in (NOBODY, me.slot):
        return None
    return Wait(lambda: ("needs the driver's context lock", ((state.world.threads[holder],),)))


def making_lock(state: State, me: Actor) -> Wait | None:
    """Wait while another thread sits in a launch into a full stream (G4)."""
    holder = state.devices[me.rank].making
    if holder in (NOBODY, me.slot):
        return None
    thread = state.world.threads[holder]
    return Wait(lambda: ("nothing is made during a launch into a full stream", ((thread,),)))


def may_make(state: State, me: Actor) -> Wait | None:
    """What making an event, or memory, waits for: both locks, for an instant (G4, G44a)."""
    return context_lock(state, me) or making_lock(state, me)


def take_context(state: State, me: Actor, holder: int) -> State:
    """Let a thread, or `NOBODY`, hold the context lock of this process."""
    device = state.devices[me.rank]
    return state.with_device(me.rank, device._replace(context=holder))


def room(state: State, me: Actor, stream: Actor) -> Wait | None:
    """Wait for room in a stream; the first step of that wait, taking the lock, needs none."""
    if not is_full(state, stream):
        return None
    if state.devices[me.rank].making == me.slot:
        depth = state.world.machine.queue_depth
        return Wait(lambda: (f"{stream} is full ({depth} launches)", ((stream,),)))
    return making_lock(state, me)


def is_full(state: State, stream: Actor) -> bool:
    """Whether a stream holds as much as its launch queue takes (G3)."""
    depth = state.world.machine.queue_depth
    queue = state.devices[stream.rank].queues[state.world.connections[stream.slot]]
    return len(queue) >= depth and len(state.items(stream)) >= depth


def hold_making(state: State, me: Actor) -> State:
    """Keep others of this process from making events and memory while waiting for room (G4)."""
    device = state.devices[me.rank]
    return state.with_device(me.rank, device._replace(making=me.slot))


def release_making(state: State, me: Actor) -> State:
    """Let events and memory be made again, if this thread kept others from it."""
    device = state.devices[me.rank]
    if device.making != me.slot:
        return state
    return state.with_device(me.rank, device._replace(making=NOBODY))


def _must_load(state: State, me: Actor, kernel: str) -> bool:
    module = state.world.kernels[kernel].module
    return (
        module is not None
        and not _returns_at_once(state.world.machine)
        and not state.read(me.rank, loaded(module))
    )


def _returns_at_once(machine: Machine) -> bool:
    return machine.switches.first_use == "returns"


def _load(state: State, me: Actor, module: str) -> State:
    """First step: take the lock and capture the device.  Second, once that is done: loaded."""
    if not isinstance(state.thread(me).local, Pending):
        return capture(take_context(state, me, me.slot), me, streams_here(state, me))
    state = state.write(me.rank, loaded(module), True)
    return take_context(state, me, NOBODY).stay(me, None)


def _refused(state: State, me: Actor, kernel: Kernel, stream: Actor) -> str | None:
    """The error that the call raises.  NCCL selects the device of its communicator itself (N43)."""
    device, mine = state.world.stream_specs[stream.slot].device, current_of(state, me).device
    if device != mine and not _is_of_nccl(kernel):
        return f"{kernel.name}: {stream} is on device {device}, the thread on device {mine}"
    if kernel.name not in state.world.launchable:
        return f"{kernel.name}: a grid of {kernel.ctas} can't be resident"
    return None


def _is_of_nccl(kernel: Kernel) -> bool:
    return kernel.meets is not None and kernel.meets.grain == "channel"


def _numbered(state: State, rank: int, kernel: str) -> tuple[State, int]:
    if kernel not in state.world.counted:
        return state, 0
    count = state.count_of(rank, kernel)
    later = Count(count.launched + 1, count.completed)
    return state.with_count(rank, kernel, later), count.launched
