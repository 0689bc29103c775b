"""The whole machine at one instant, frozen.  specs/semantics.md#state

Rules:
- Every part is a tuple, so equality and hash come for free and cover every field.
- Nothing counts up without end: marks count down to `DONE`, and launch numbers are taken down
  again once every rank has passed them (`forget_meetings`).
- A change returns a new state; only operations and the distributor make changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple, TypeVar

from eplb_model.outcome import Actor
from eplb_model.world import StreamOperation, World

T = TypeVar("T")


class Mark(NamedTuple):
    """The point of a stream that an event record, or a synchronising call, captured.

    `ahead` says how many items of the stream have to go until it is passed; it counts down with
    every item that leaves, so that equal situations are equal states.
    """

    stream: int
    ahead: int

    def passed(self, stream: int) -> Mark:
        """The same point after an item has left a stream."""
        if self.stream != stream:
            return self
        return Mark(stream, self.ahead - 1) if self.ahead > 1 else DONE


DONE = Mark(-1, 0)

NOBODY = -1


class Failure(NamedTuple):
    """How a thread ended early.  A fault was asked for by the scenario; the others are findings."""

    family: Literal["misuse", "violation", "fault"]
    text: str


class Thread(NamedTuple):
    """A host thread: where it is, and what its current operation has captured so far."""

    pc: int
    local: Hashable = None
    status: Literal["new", "running", "ended"] = "running"
    failure: Failure | None = None


class Pending(NamedTuple):
    """`Thread.local` of a call that waits until the GPU has passed these marks."""

    marks: frozenset[Mark]

    def passed(self, stream: int) -> Pending:
        """The same wait after an item has left a stream."""
        return Pending(frozenset(mark.passed(stream) for mark in self.marks) - {DONE})


class Answer(NamedTuple):
    """`Thread.local` of a host collective that has completed, with its value."""

    value: Any


class Item(NamedTuple):
    """Work in a stream, in the order of submission to its hardware queue."""

    stream: int
    by: int  # the thread that put it there
    work: StreamOperation


class Run(NamedTuple):
    """A kernel that has arrived at the distributor: the head of its stream, until it completes.

    `seats[i]` is the SM of the i-th CTA that started; `ended[j]` counts the CTAs of class j that
    have ended, lowest position first.
    """

    stream: int
    seats: bytes
    ended: tuple[int, ...]


class Device(NamedTuple):
    """One GPU and the locks of the process that drives it."""

    queues: tuple[tuple[Item, ...], ...]  # by connection
    arrived: tuple[Run, ...]  # in order of arrival
    context: int = NOBODY  # the thread that holds the driver's context lock (G44)
    making: int = NOBODY  # the thread that keeps others from making events and memory (G4)
    gil: int = NOBODY  # the thread that blocks with the interpreter lock held (G45)


class Count(NamedTuple):
    """Launches of one kernel on one rank: how many, and which have completed (bit n)."""

    launched: int = 0
    completed: int = 0


class Post(NamedTuple):
    """What one member brought to a host collective and has not been answered yet."""

    thread: int
    collective: str
    value: Any
    agrees: Any = None  # what has to be equal to that of the others; null if nothing has


class Request(NamedTuple):
    """A send or a receive between two hosts that has not met its counterpart yet."""

    group: str
    source: int  # global ranks
    target: int
    thread: int  # who posted it
    is_send: bool
    data: Any  # the value of a send, the receiver's variable of a receive

    @property
    def pair(self) -> tuple[str, int, int]:
        """What has to be equal for a send and a receive to meet."""
        return (self.group, self.source, self.target)


class State(NamedTuple):
    """Everything that changes, in all ranks.

    What is changed most often is changed by position: `_replace` takes twice as long.
    """

    world: World
    threads: tuple[Thread, ...]
    devices: tuple[Device, ...]
    memory: tuple[Any, ...]  # flags, variables, locks, events; places in World.slots
    counts: tuple[tuple[Count, ...], ...]  # by rank and kernel
    posts: tuple[tuple[tuple[Post, ...], ...], ...]  # by group and member
    waited: bool = False  # some kernel could not start at once because others held SMs
    mail: tuple[Request, ...] = ()  # open point-to-point requests, by pair, first posted first

    # --- threads -----------------------------------------------------------------------------

    def thread(self, me: Actor) -> Thread:
        return self.threads[me.slot]

    def with_thread(self, index: int, thread: Thread) -> State:
        return State(self.world, put(self.threads, index, thread), *self[2:])

    def stay(self, me: Actor, local: Hashable) -> State:
        """The operation goes on: remember what it captured."""
        return self.with_thread(me.slot, self.threads[me.slot]._replace(local=local))

    def advance(self, me: Actor) -> State:
        """The operation is over: go to the next one."""
        return self.jump(me, self.threads[me.slot].pc + 1)

    def jump(self, me: Actor, pc: int) -> State:
        ended = pc >= len(self.world.programs[me.slot].code)
        thread = Thread(pc, None, "ended" if ended else "running")
        return self.with_thread(me.slot, thread)

    def fail(self, me: Actor, failure: Failure) -> State:
        """Raise: go to the innermost handler, or end the thread."""
        thread = self.threads[me.slot]
        for first, last, target in self.world.programs[me.slot].handlers:
            if first <= thread.pc <= last:
                return self.jump(me, target)
        return self.with_thread(me.slot, Thread(thread.pc, None, "ended", failure))

    # --- memory ------------------------------------------------------------------------------

    def read(self, rank: int, name: str) -> Any:
        return self.memory[self.world.slots[rank, name]]

    def write(self, rank: int, name: str, value: Hashable) -> State:
        slot = self.world.slots[rank, name]
        if self.memory[slot] is value:
            return self
        return self._replace(memory=put(self.memory, slot, value))

    # --- streams -----------------------------------------------------------------------------

    def with_device(self, rank: int, device: Device) -> State:
        return State(self.world, self.threads, put(self.devices, rank, device), *self[3:])

    def items(self, stream: Actor) -> tuple[Item, ...]:
        """What is in a stream, head first."""
        queue = self.devices[stream.rank].queues[self.world.connections[stream.slot]]
        return tuple(item for item in queue if item.stream == stream.slot)

    def head(self, stream: Actor) -> Item | None:
        queue = self.devices[stream.rank].queues[self.world.connections[stream.slot]]
        for item in queue:
            if item.stream == stream.slot:
                return item
        return None

    def enqueue(self, stream: Actor, by: Actor, work: StreamOperation) -> State:
        device = self.devices[stream.rank]
        connection = self.world.connections[stream.slot]
        queue = (*device.queues[connection], Item(stream.slot, by.slot, work))
        queues = put(device.queues, connection, queue)
        return self.with_device(stream.rank, Device(queues, *device[1:]))

    def pop(self, stream: Actor) -> State:
        """Take the head off a stream, and tell everybody who holds a mark of it."""
        device = self.devices[stream.rank]
        connection = self.world.connections[stream.slot]
        queue = device.queues[connection]
        at = next(i for i, item in enumerate(queue) if item.stream == stream.slot)
        queues = put(device.queues, connection, (*queue[:at], *queue[at + 1 :]))
        queues = tuple(_told(each, stream.slot) for each in queues)
        state = self.with_device(stream.rank, device._replace(queues=queues))
        for slot in self.world.event_slots[stream.rank]:
            event: Any = state.memory[slot]
            told = event.passed(stream.slot)
            if told is not event:
                state = state._replace(memory=put(state.memory, slot, told))
        for thread in self.world.threads_of(stream.rank):
            local = state.threads[thread.slot].local
            if isinstance(local, Pending) and local.marks:
                state = state.stay(thread, local.passed(stream.slot))
        return state

    def mark(self, stream: Actor) -> Mark:
        """The point behind everything that a stream holds now."""
        held = len(self.items(stream))
        return Mark(stream.slot, held) if held else DONE

    # --- kernels -----------------------------------------------------------------------------

    def run_of(self, stream: Actor) -> Run | None:
        for run in self.devices[stream.rank].arrived:
            if run.stream == stream.slot:
                return run
        return None

    def with_run(self, rank: int, run: Run) -> State:
        device = self.devices[rank]
        arrived = tuple([run if each.stream == run.stream else each for each in device.arrived])
        return self.with_device(rank, Device(device.queues, arrived, *device[2:]))

    def count_of(self, rank: int, kernel: str) -> Count:
        return self.counts[rank][self.world.kernel_ids[kernel]]

    def with_count(self, rank: int, kernel: str, count: Count) -> State:
        mine = put(self.counts[rank], self.world.kernel_ids[kernel], count)
        counts = put(self.counts, rank, mine)
        return State(self.world, self.threads, self.devices, self.memory, counts, *self[5:])

    def unfinished(self) -> tuple[Actor, ...]:
        """The actors that have work left: threads that run, streams that hold something."""
        world = self.world
        return tuple(
            actor
            for actor in world.actors
            if (
                self.head(actor) is not None
                if actor.is_stream
                else self.threads[actor.slot].status == "running"
            )
        )


def once(state: State, question: Hashable, answer: Callable[[], T]) -> T:
    """What a pure function says of a state; about the last one it is worked out once.

    Among many ranks the same question is asked of one state again and again.
    """
    known = state.world.answers.get(question)
    if known is None or known[0] is not state:
        known = state.world.answers[question] = (state, answer())
    found: T = known[1]
    return found


def put(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    """The same tuple with one entry changed."""
    changed = list(values)
    changed[index] = value
    return tuple(changed)


def _told(queue: tuple[Item, ...], stream: int) -> tuple[Item, ...]:
    """A hardware queue whose waits know that an item has left a stream."""
    if not any(item.work.holds_queue for item in queue):
        return queue
    return tuple(
        item._replace(work=item.work.passed(stream)) if item.work.holds_queue else item
        for item in queue
    )
