"""Host calls, step by step: what each needs, what it puts on streams, what it waits for.

Rules (specs/semantics.md#locks; G3, G4, G13, G19, G33-G36, G39-G45):
- Launches, copies and allocations need the driver's context lock for an instant; freeing and
  loading keep it until all that the device held at the call is done.
- A launch into a full stream holds back every event record of the process while it waits for room.
- What a synchronise, or an event, waits for is what was there at the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eplb_real.emulated.call import Steps, at_once
from eplb_real.emulated.callers import Kept, is_of_nccl
from eplb_real.emulated.errors import UNRECORDED, Fault, Misuse, Violation
from eplb_real.emulated.queues import Await, Item, Launched, Moves, Record, Transfer

if TYPE_CHECKING:
    from eplb_real.emulated.device import EmulatedDevice
    from eplb_real.emulated.events import EmulatedEvent, Pair

MEMSET = "(memset)"  # what the world calls the kernels that these are for the distributor
DEVICE_COPY = "(device copy)"

Buffers = Iterable[str]


# --- work for streams ------------------------------------------------------------------------


def launch(
    device: EmulatedDevice,
    by: str,
    kernel: str,
    stream: str,
    reads: Buffers,
    writes: Buffers,
    moves: Moves = (),
) -> Steps:
    """Put a kernel on a stream, or keep it for the end of the thread's NCCL group."""
    caller = device.callers.of(by)
    if caller.keeps(device.kernels[kernel]):
        yield at_once
        caller.kept.append(Kept(kernel, stream, tuple(reads), tuple(writes), moves))
    else:
        yield from _launch(device, by, Kept(kernel, stream, tuple(reads), tuple(writes), moves))


def memset(device: EmulatedDevice, by: str, stream: str, writes: Buffers) -> Steps:
    """Put a memset on a stream: a kernel of one tiny CTA (G13)."""
    yield from _small_kernel(device, by, MEMSET, stream, (), writes)


def copy(
    device: EmulatedDevice,
    by: str,
    direction: str,
    stream: str,
    memory: str,
    blocking: bool,
    reads: Buffers,
    writes: Buffers,
    moves: Moves = (),
) -> Steps:
    """Put a copy on a stream; within the device it is a kernel (G13)."""
    if direction == "d2d":
        yield from _small_kernel(device, by, DEVICE_COPY, stream, reads, writes, moves)
    else:
        yield lambda: device.locks.why_no_context(by)
        device.queues.submit(stream, by, Transfer(direction, tuple(reads), tuple(writes), moves))
    if blocking or (memory == "pageable" and direction == "d2h"):
        marks = device.queues.items(stream)[-1:]
        yield lambda: _why_pending(marks)


def record(device: EmulatedDevice, by: str, event: EmulatedEvent, stream: str) -> Steps:
    """Capture what a stream holds in an event."""
    yield lambda: _why_no_record(device, by, event)
    event.mark = device.queues.submit(stream, by, Record(event.name))


def stream_wait(device: EmulatedDevice, by: str, stream: str, event: EmulatedEvent) -> Steps:
    """Let a stream wait for the record that the event holds now; without one it is no wait."""
    yield at_once
    _await(device, by, stream, event)


def new_event(device: EmulatedDevice, by: str, name: str) -> Steps:
    """Name an event; its first record makes it."""
    yield at_once
    return device.unrecorded(name)


# --- calls that wait, or ask -----------------------------------------------------------------


def event_synchronize(device: EmulatedDevice, event: EmulatedEvent) -> Steps:
    """Wait for the record that the event holds at the call."""
    yield at_once
    _check_recorded(device, event)
    marks = () if event.mark is None else (event.mark,)
    yield lambda: _why_pending(marks)


def event_query(event: EmulatedEvent) -> Steps:
    """Whether the latest record is done; true if there is none."""
    yield at_once
    return event.mark is None or event.mark.done


def stream_synchronize(device: EmulatedDevice, stream: str) -> Steps:
    """Wait for all that the stream holds at the call."""
    yield at_once
    marks = device.queues.items(stream)[-1:]
    yield lambda: _why_pending(marks)


def pending(marks: tuple[Item, ...]) -> Steps:
    """Wait for what was captured before."""
    yield lambda: _why_pending(marks)


def outside() -> Steps:
    """A step of a thread that needs nothing of the device."""
    yield at_once


def stream_query(device: EmulatedDevice, stream: str) -> Steps:
    """Whether the stream is empty."""
    yield at_once
    return device.queues.head(stream) is None


def device_synchronize(device: EmulatedDevice, by: str) -> Steps:
    """Wait for all that every stream of the current device holds at the call."""
    yield at_once
    marks = device.queues.marks(device.callers.of(by).device)
    yield lambda: _why_pending(marks)


def await_started(device: EmulatedDevice, kernel: str, number: int) -> Steps:
    """Wait until all CTAs of a launch on this rank have started: its started-counter."""
    rank, meetings = device.rank, device.meetings
    yield (
        lambda: (
            None
            if meetings.has_fully_started(rank, kernel, number)
            else f"waits until {kernel} is resident"
        )
    )


def await_ended(device: EmulatedDevice, kernel: str, number: int) -> Steps:
    """Wait until all CTAs of a launch on this rank have ended: its ended-counter."""
    rank, meetings = device.rank, device.meetings
    yield (
        lambda: (
            None if meetings.has_ended(rank, kernel, number) else f"waits until {kernel} has ended"
        )
    )


# --- memory and modules ----------------------------------------------------------------------


def allocate(device: EmulatedDevice, by: str) -> Steps:
    """Returns under a kernel that spins (G42)."""
    yield lambda: device.locks.why_none_made(by)


def free(device: EmulatedDevice, by: str) -> Steps:
    """Keeps the context lock until all that the device held at the call is done (G42, G44)."""
    yield lambda: device.locks.why_no_context(by)
    device.locks.context = by
    marks = device.queues.marks(device.callers.of(by).device)
    yield lambda: _why_pending(marks)
    device.locks.context = None


def load(device: EmulatedDevice, by: str, module: str) -> Steps:
    """Load a module now instead of at first use."""
    yield lambda: device.locks.why_no_context(by)
    if device.must_load(module):
        yield from _load(device, by, module)
        yield lambda: device.locks.why_no_context(by)
    device.loaded.add(module)


def access(device: EmulatedDevice, by: str, reads: Buffers, writes: Buffers) -> Steps:
    """The host uses memory that copies use too; the access lasts from the call to its return."""
    key = device.begin_access(by, tuple(reads), tuple(writes))
    try:
        yield at_once
    finally:
        device.end_access(key)


# --- flags, and the event of two threads -----------------------------------------------------


def put_flag(device: EmulatedDevice, flag: str, up: bool) -> Steps:
    """Set or clear a flag."""
    yield at_once
    device.flags[flag] = up


def wait_flag(device: EmulatedDevice, flag: str) -> Steps:
    """Wait until a flag is set; it stays set."""
    yield lambda: None if device.flag_is_up(flag) else f"waits until {flag} is set"


def is_set(device: EmulatedDevice, flag: str) -> Steps:
    """Whether a flag is set."""
    yield at_once
    return device.flag_is_up(flag)


def pair_record(device: EmulatedDevice, by: str, pair: Pair, stream: str, raises: bool) -> Steps:
    """The producer's half of a `CpuGpuEvent`, steps b1 to b4."""
    yield at_once
    if pair.flag:
        raise Misuse(f"record of {pair.name} before its previous record was consumed")
    yield at_once
    pair.event = device.unrecorded(pair.name)
    yield lambda: device.locks.why_none_made(by)
    if raises:
        raise Fault(f"b3 of {pair.name} raises")
    pair.event.mark = device.queues.submit(stream, by, Record(pair.name))
    yield at_once
    pair.flag = True


def pair_wait(device: EmulatedDevice, by: str, pair: Pair, stream: str, raises: bool) -> Steps:
    """The consumer's half of a `CpuGpuEvent`, steps a1 to a4."""
    yield lambda: None if pair.flag else f"waits until {pair.name} is set"
    yield at_once
    event = pair.event
    yield at_once
    if raises:
        raise Fault(f"a3 of {pair.name} raises")
    _await(device, by, stream, event)
    yield at_once
    pair.flag = False


# --- NCCL groups, and what is current --------------------------------------------------------


def group_start(device: EmulatedDevice, by: str) -> Steps:
    """Open a group of the thread, or one more level of it."""
    yield at_once
    device.callers.of(by).depth += 1


def group_end(device: EmulatedDevice, by: str, drop: bool) -> Steps:
    """Close a level; the last one submits what was kept, and an error there loses the rest."""
    caller = device.callers.of(by)
    if drop or caller.depth != 1 or not caller.kept:
        yield at_once
        if caller.depth == 0 and not drop:
            raise Misuse("a group ends that was never started")
        caller.depth -= 1
        if drop or caller.depth == 0:
            caller.close()
        return
    try:
        while caller.kept:
            yield from _launch(device, by, caller.kept[0])
            caller.kept.pop(0)
    finally:
        caller.close()


def group_boundary(device: EmulatedDevice, by: str) -> Steps:
    """No group of the thread may be open here."""
    yield at_once
    caller = device.callers.of(by)
    if caller.depth:
        kept = ", ".join(each.kernel for each in caller.kept) or "nothing"
        opened = f"depth {caller.depth}, kept: {kept}"
        raise Violation(f"an NCCL group is open at a boundary ({opened})")


def set_device(device: EmulatedDevice, by: str, number: int) -> Steps:
    """Make a device the current one of the thread."""
    yield at_once
    if not device.callers.has_device(number):
        raise Misuse(f"rank {device.rank} has no device {number}")
    device.callers.of(by).device = number


def set_stream(device: EmulatedDevice, by: str, stream: str) -> Steps:
    """Make a stream the current one of the thread, and its device the current device."""
    yield at_once
    device.callers.set_stream(by, stream)


# --- what these share ------------------------------------------------------------------------


def _launch(device: EmulatedDevice, by: str, call: Kept) -> Steps:
    """Submit a kernel; the first launch from a module may have to load it."""
    kernel, stream = device.kernels[call.kernel], call.stream
    module = kernel.module
    while True:
        yield (
            lambda: (
                device.locks.why_no_context(by)
                or (None if device.must_load(module) else _why_no_room(device, by, stream))
            )
        )
        if module is not None and device.must_load(module):
            yield from _load(device, by, module)
        elif device.queues.is_full(stream):
            device.locks.hold_making(by)
        else:
            break
    device.locks.release_making(by)
    on, mine = device.callers.device_of[stream], device.callers.of(by).device
    if on != mine and not is_of_nccl(kernel):
        where = f"{device.rank}.{stream} is on device {on}, the thread on device {mine}"
        raise Misuse(f"{kernel.name}: {where}")
    if not device.distributor.can_ever_fit(kernel):
        raise Misuse(f"{kernel.name}: a grid of {kernel.ctas} can't be resident")
    _submit_kernel(device, by, call.kernel, stream, call.reads, call.writes, call.moves)


def _small_kernel(
    device: EmulatedDevice,
    by: str,
    kernel: str,
    stream: str,
    reads: Buffers,
    writes: Buffers,
    moves: Moves = (),
) -> Steps:
    while True:
        yield lambda: device.locks.why_no_context(by) or _why_no_room(device, by, stream)
        if not device.queues.is_full(stream):
            break
        device.locks.hold_making(by)
    device.locks.release_making(by)
    _submit_kernel(device, by, kernel, stream, reads, writes, moves)


def _submit_kernel(
    device: EmulatedDevice,
    by: str,
    kernel: str,
    stream: str,
    reads: Buffers,
    writes: Buffers,
    moves: Moves,
) -> None:
    number = device.meetings.next_launch(device.rank, kernel)
    work = Launched(device.kernels[kernel], number, tuple(reads), tuple(writes), moves)
    device.queues.submit(stream, by, work)


def _await(device: EmulatedDevice, by: str, stream: str, event: EmulatedEvent) -> None:
    _check_recorded(device, event)
    mark = event.mark
    if mark is not None and not mark.done:
        device.queues.submit(stream, by, Await(mark, event.name))


def _check_recorded(device: EmulatedDevice, event: EmulatedEvent) -> None:
    """The error of a wait that the scenario forbids."""
    if event.mark is None and UNRECORDED in device.forbids:
        raise Violation(f"waits on event {event.name}, which was never recorded")


def _why_no_record(device: EmulatedDevice, by: str, event: EmulatedEvent) -> str | None:
    """An event is made by its first record."""
    locks = device.locks
    return locks.why_none_made(by) if event.mark is None else locks.why_no_context(by)


def _why_no_room(device: EmulatedDevice, by: str, stream: str) -> str | None:
    """Room in a stream; the first step of that wait, taking the lock on making, needs none."""
    if not device.queues.is_full(stream):
        return None
    if device.locks.making == by:
        return f"{stream} is full ({device.queue_depth} launches)"
    return device.locks.why_not_first(by)


def _load(device: EmulatedDevice, by: str, module: str) -> Steps:
    device.locks.context = by
    marks = device.queues.marks(device.callers.of(by).device)
    yield lambda: _why_pending(marks)
    device.loaded.add(module)
    device.locks.context = None


def _why_pending(marks: Iterable[Item]) -> str | None:
    streams = [mark.stream for mark in marks if not mark.done]
    return f"waits for what {', '.join(streams)} held at the call" if streams else None
