"""The order of one run: a clock for every step, and for both ends of every access.

The order is that of Lamport (Time, Clocks, and the Ordering of Events in a Distributed System,
CACM 1978), counted with one number per actor as in Fidge (Timestamps in Message-Passing Systems
That Preserve the Partial Ordering, 1988) and Mattern (Virtual Time and Global States of
Distributed Systems, 1989).  Something happens before something later if these rules lead there:

- The steps of a thread are in order, and so is the work of a stream (G2).
- The host call that submits work comes before the work.
- A record that is waited for comes before all work that is submitted later to the hardware queue
  of the wait (G6, G33).  A wait for an event without a record orders nothing (G35).  The legacy
  default stream and blocking streams wait for each other in this way at each submission (G9).
- What a synchronise, a free or the load of a module captured comes before its return.
- The start of a launch comes before `await_resident` returns, its end before `await_complete`.
- Who wrote what a host step reads comes before it: flags, variables, locks, loaded modules.  Who
  set the flag of `until` comes before the end of the kernel.
- A query has seen the end of what it found done, the submission of what it found not done.
- Calls of the allocator of a process are in order.  What a block waited for comes before the call
  that hands it out again; a call that passes a block over has seen, like a query, that it is not
  free yet.  What gave a tensor its block comes before its use.
- A step of a thread comes before the thread that it starts, the last step before a join.
- What every member brings to a host collective comes before each answer, a send and its receive
  before both ends of the wait for them; the messages of a pair are in order.
- The start of a peer that a kernel meets (grain `end`: its end) comes before the kernel's end.
- The end of the work that made room in a full stream comes before the launch (G3).

Departures from the papers:
- An access is two points.  It begins when its work is ready at the head of its stream, or when its
  thread stands before it; it ends with its last step.  Only steps count, so a begin has a clock and
  no number of its own.
- Only what a step needed is a cause: not a set of a flag that was set already, nor a write that was
  written over, nor the host call of a stream's wait.  So all that happens before a point is a run
  by itself, and two accesses without an order are in progress together in some run.  Calls of the
  allocator are the exception: each counts as a cause of the next, as by a lock.
- Seats order nothing, though a kernel may have waited for them: what is kept apart only because SMs
  are short has no order.  Nor does a time limit that expires, though the model lets it expire only
  after what can no longer come.  These are the places where states and orders disagree about races.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from eplb_model.distributor import is_ready
from eplb_model.happens_before.access import Access, Clock, join
from eplb_model.happens_before.causes import (
    Name,
    block_dropped,
    blocks_looked_at,
    collective_completed,
    event_awaited,
    event_recorded,
    implied,
    names_changed,
    names_read,
    operation_of,
    peers,
    submitted,
    tags_read,
    targets_of,
    threads_started,
    used_by,
    works_left,
)
from eplb_model.happens_before.mail import Mail
from eplb_model.ops.allocator import Alloc
from eplb_model.ops.copies import Access as HostAccess
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import EventQuery, EventSynchronize, Record
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.launch import AwaitComplete, AwaitResident
from eplb_model.ops.one_sided import WaitReads
from eplb_model.ops.point_to_point import WaitRequests
from eplb_model.ops.synchronize import StreamQuery, StreamSynchronize
from eplb_model.ops.tensors import Uses, in_blocks, tensors_in
from eplb_model.ops.thread_state import stream_of, streams_here
from eplb_model.ops.threads import Join, Start
from eplb_model.outcome import Actor
from eplb_model.state import NOBODY, Pending, State
from eplb_model.trace import Trace
from eplb_model.world import Kernel, StreamOperation

Point: TypeAlias = tuple[int, int]  # a stream, and the number of something submitted to it


def accesses(trace: Trace) -> tuple[Access, ...]:
    """All accesses that begin in a run, in this order."""
    start = trace.states[0]
    if not start.world.names_buffers:
        return ()
    history = _History(start)
    pairs = zip(trace.states[:-1], trace.schedule, trace.states[1:], strict=True)
    for before, action, after in pairs:
        history.step(before, action.actor, after)
    return tuple(history.accesses)


def clocks(trace: Trace) -> tuple[Clock, ...]:
    """The clock of every step of a run."""
    history = _History(trace.states[0])
    pairs = zip(trace.states[:-1], trace.schedule, trace.states[1:], strict=True)
    return tuple(history.step(before, action.actor, after) for before, action, after in pairs)


@dataclass(eq=False, slots=True)
class _Entry:
    """Work of a stream, or a wait (no `work`), which ends as soon as what it is after has."""

    work: StreamOperation | None
    by: Actor
    called: Clock
    after: tuple[Point, ...]  # the records that are awaited before it in its hardware queue
    begin: Clock | None = None
    end: Clock | None = None


class _History:
    """The clocks of all actors, step by step; used and thrown away."""

    def __init__(self, start: State) -> None:
        self.accesses: list[Access] = []
        self._world = start.world
        self._place = {actor: place for place, actor in enumerate(start.world.actors)}
        self._nothing: Clock = (0,) * len(start.world.actors)
        self._clocks = dict.fromkeys(start.world.actors, self._nothing)
        self._steps = 0
        self._starts = dict(self._clocks)
        self._open: dict[Actor, list[int]] = {}  # the accesses in progress
        self._written: dict[Name, Clock] = {}
        self._entries: defaultdict[int, list[_Entry]] = defaultdict(list)  # by stream
        self._works: defaultdict[int, deque[_Entry]] = defaultdict(deque)  # those not ended
        self._launches: defaultdict[tuple[int, str], list[_Entry]] = defaultdict(list)
        self._events: dict[Name, Point] = {}  # the latest record
        self._awaited: defaultdict[tuple[int, int, int], dict[int, int]] = defaultdict(dict)
        self._captured: dict[Actor, list[Point]] = {}
        self._dropped: dict[tuple[int, int], list[Point]] = {}  # what a block of a rank waits for
        self._mail = Mail(self._nothing)
        for actor in start.world.actors:
            self._begin(start, actor)

    def step(self, before: State, me: Actor, after: State) -> Clock:
        self._steps += 1
        if me.is_stream:
            self._stream_step(before, me, after)
        else:
            self._host_step(before, me, after)
        clock = self._clocks[me]
        for actor in (*self._world.threads, *self._world.streams_of(me.rank)):
            self._begin(after, actor)
        return clock

    def _tick(self, me: Actor, causes: list[Clock]) -> Clock:
        joined = list(join(self._clocks[me], *causes))
        joined[self._place[me]] += 1
        self._clocks[me] = tuple(joined)
        return self._clocks[me]

    # --- accesses ----------------------------------------------------------------------------

    def _begin(self, state: State, actor: Actor) -> None:
        if actor.is_stream:
            self._begin_work(state, actor)
        elif state.thread(actor).status == "running":
            op = operation_of(state, actor)
            if isinstance(op, HostAccess):
                self._begin_on_host(state, actor, op)

    def _begin_on_host(self, state: State, me: Actor, op: HostAccess) -> None:
        """It begins when its thread stands before it, and anew if its tensors get other blocks."""
        uses = Uses(*(in_blocks(state, me.rank, names) for names in (op.reads, op.writes)))
        if me in self._open:
            (at,) = self._open[me]
            if self.accesses[at].uses == uses:
                return
            del self._open[me]
            self.accesses[at] = replace(self.accesses[at], uses=Uses())
        tensors = tensors_in(state, me.rank, (*op.reads, *op.writes))
        given = (self._written.get((me.rank, name, ""), self._nothing) for name in tensors)
        clock = join(self._clocks[me], *given)
        times = self._steps, None, me, clock, clock, None
        self._open_access(Access(me, me.rank, op, uses, *times))

    def _begin_work(self, state: State, stream: Actor) -> None:
        """The head of a stream begins once it is ready: all that it comes after has ended."""
        head = state.head(stream)
        if head is None or head.work.automatic or self._works[stream.slot][0].begin is not None:
            return
        if state.run_of(stream) is None and not is_ready(state, stream):
            return
        each = self._works[stream.slot][0]
        number = self._entries[stream.slot].index(each)
        causes = [self._end((stream.slot, number - 1)), *map(self._end, each.after)]
        each.begin = join(each.called, *causes)
        times = self._steps, None, each.by, each.called, each.begin, None
        for rank, uses in used_by(stream, head.work):
            self._open_access(Access(stream, rank, head.work, uses, *times))

    def _open_access(self, access: Access) -> None:
        if access.uses.reads or access.uses.writes:
            self._open.setdefault(access.actor, []).append(len(self.accesses))
            self.accesses.append(access)

    def _close_access(self, me: Actor) -> None:
        for at in self._open.pop(me, ()):
            ended = replace(self.accesses[at], ends=self._steps, end=self._clocks[me])
            self.accesses[at] = ended

    # --- what streams hold -------------------------------------------------------------------

    def _last(self, stream: Actor) -> Point:
        return stream.slot, len(self._entries[stream.slot]) - 1

    def _end(self, point: Point) -> Clock:
        """When something that was submitted to a stream has ended; a wait, once all is there."""
        stream, number = point
        if number < 0:
            return self._nothing
        each = self._entries[stream][number]
        if each.end is None:
            assert each.work is None, f"[model bug] {each.work} has not ended"
            each.end = join(self._end((stream, number - 1)), *map(self._end, each.after))
        return each.end

    def _has_ended(self, point: Point) -> bool:
        each = self._entries[point[0]][point[1]]
        return each.end is not None or (each.work is None and all(map(self._has_ended, each.after)))

    def _await(self, stream: Actor, point: Point) -> None:
        """From now on the hardware queue of a stream is behind a wait."""
        awaited = self._awaited_in(stream)
        awaited[point[0]] = max(awaited.get(point[0], -1), point[1])

    def _awaited_in(self, stream: Actor) -> dict[int, int]:
        """What is awaited in the queue of a stream; its own waits alone, if one can't hold it."""
        alone = NOBODY if self._world.waits_that_hold[stream.slot] == 1 else stream.slot
        return self._awaited[stream.rank, self._world.connections[stream.slot], alone]

    def _append(self, stream: Actor, me: Actor, work: StreamOperation | None) -> None:
        awaited = self._awaited_in(stream)
        each = _Entry(work, me, self._clocks[me], tuple(awaited.items()))
        self._entries[stream.slot].append(each)
        if work is not None:
            self._works[stream.slot].append(each)
        if isinstance(work, RunKernel):
            self._launches[me.rank, work.runs].append(each)

    # --- steps of streams --------------------------------------------------------------------

    def _stream_step(self, before: State, me: Actor, after: State) -> None:
        each = self._works[me.slot][0]
        assert each.begin is not None, f"[model bug] {me} moves and has not begun"
        ends = works_left(after, me) < works_left(before, me)
        causes = [each.begin]
        if isinstance(each.work, RunKernel):
            kernel = self._world.kernels[each.work.runs]
            if kernel.until is not None:
                causes.append(self._written.get((me.rank, kernel.until, ""), self._nothing))
            if ends:
                causes += self._met(kernel, me.rank, each)
        if ends:
            causes += [self._written[n] for n in tags_read(before, me) if n in self._written]
        each.end = self._tick(me, causes) if ends else None
        if ends:
            self._written.update(dict.fromkeys(names_changed(before, after), self._clocks[me]))
            self._works[me.slot].popleft()
            self._close_access(me)

    def _met(self, kernel: Kernel, rank: int, each: _Entry) -> Iterator[Clock]:
        number = self._launches[rank, kernel.name].index(each)
        for peer in peers(kernel, rank, len(self._world.ranks)):
            assert kernel.meets is not None
            theirs = self._launches[peer, kernel.meets.kernel][number]
            clock = theirs.end if kernel.meets.grain == "end" else theirs.begin
            assert clock is not None, f"[model bug] {kernel.name} ends before it meets rank {peer}"
            yield clock

    # --- steps of threads --------------------------------------------------------------------

    def _host_step(self, before: State, me: Actor, after: State) -> None:
        read = [self._written[name] for name in names_read(before, me) if name in self._written]
        clock = self._tick(me, [*read, *self._seen(before, me, after)])
        written = self._mailed(before, me, after)
        for name in names_changed(before, after):
            self._written[name] = written
        for thread in threads_started(before, me, after):
            self._clocks[thread] = self._starts[thread] = clock
        self._collected(before, me, after)
        self._close_access(me)
        self._submit(before, me, after)
        self._capture(before, me, after)
        self._drop(before, me)

    def _seen(self, before: State, me: Actor, after: State) -> Iterator[Clock]:
        """What a host step has seen of the GPU and of other threads, beside what it has read."""
        yield from map(self._end, self._captured.pop(me, ()))
        match operation_of(before, me):
            case Join(thread):
                yield self._clocks[self._world.thread(me.rank, thread)]
            case Start(thread):  # an error, if somebody has started it before
                yield self._starts[self._world.thread(me.rank, thread)]
            case WaitRequests():
                yield self._mail.answers[me]
            case WaitReads(engine):
                yield self._end(self._last(self._world.stream(me.rank, engine)))
            case AwaitResident() | AwaitComplete() as op:
                yield self._counted(op, before, me)
            case Alloc():
                yield from self._looked_at(before, me, after)
            case EventQuery(event):
                yield self._queried(self._events.get((me.rank, event, "")))
            case StreamQuery(name):
                stream = stream_of(before, me, name)
                points = [(stream.slot, n) for n in range(len(self._entries[stream.slot]))]
                left = (point for point in points if not self._has_ended(point))
                yield self._queried(next(left, points[-1] if points else None))
            case _:
                pass
        yield from self._made_room(before, me, after)

    def _collected(self, before: State, me: Actor, after: State) -> None:
        """With the last member to come everybody has seen everybody."""
        members = collective_completed(before, me, after)
        if members:
            met = join(*(self._clocks[member] for member in members))
            self._clocks.update(dict.fromkeys(members, met))

    def _mailed(self, before: State, me: Actor, after: State) -> Clock:
        """The clock of what this step has written: that of a message is of both its ends."""
        if isinstance(operation_of(before, me), WaitRequests):
            self._mail.take_back(before, me, after)
            return self._clocks[me]
        return self._mail.post(before, me, after, self._clocks[me])

    def _counted(self, op: AwaitResident | AwaitComplete, before: State, me: Actor) -> Clock:
        launches = self._launches[me.rank, op.kernel]
        forgotten = len(launches) - before.count_of(me.rank, op.kernel).launched  # in loops
        each = launches[op.number + forgotten]
        clock = each.begin if isinstance(op, AwaitResident) else each.end
        assert clock is not None, f"[model bug] {me} goes on before {op.kernel}"
        return clock

    def _queried(self, point: Point | None) -> Clock:
        if point is None:
            return self._nothing
        return (
            self._end(point) if self._has_ended(point) else self._entries[point[0]][point[1]].called
        )

    def _looked_at(self, before: State, me: Actor, after: State) -> Iterator[Clock]:
        """Of the block that was handed out every end; of each passed over one submission."""
        for number, free in blocks_looked_at(before, me, after):
            points = self._dropped.get((me.rank, number), [])
            left = [point for point in points if not self._has_ended(point)]
            yield from map(self._queried, points if free else left[:1])

    def _drop(self, before: State, me: Actor) -> None:
        """Remember what a block waits for before it is free."""
        number, streams = block_dropped(before, me)
        if number is not None:
            held = (stream for stream in streams if self._entries[stream.slot])
            self._dropped[me.rank, number] = [self._last(stream) for stream in held]

    def _made_room(self, before: State, me: Actor, after: State) -> Iterator[Clock]:
        for stream in targets_of(before, me):
            if all(work.kernel is None for work in submitted(before, stream, after)):
                continue
            left = self._last(stream)[1] + 1 - self._world.machine.queue_depth
            if left >= 0 and self._has_ended((stream.slot, left)):  # waits may take no room
                yield self._end((stream.slot, left))

    def _submit(self, before: State, me: Actor, after: State) -> None:
        for stream in targets_of(before, me):
            self._submit_to(stream, before, me, after)

    def _submit_to(self, stream: Actor, before: State, me: Actor, after: State) -> None:
        event = event_awaited(before, me)
        if event is not None and event in self._events:
            self._await(stream, self._events[event])
            self._append(stream, me, None)
        new = submitted(before, stream, after)
        for other in implied(self._world, stream) if new else ():
            self._await(stream, self._last(other))
        for work in new:
            if not work.automatic:
                self._append(stream, me, work)
            if isinstance(work, Record):
                self._events[event_recorded(before, me)] = self._last(stream)

    def _capture(self, before: State, me: Actor, after: State) -> None:
        """Remember what a call has captured that now waits for the GPU."""
        if not isinstance(after.thread(me).local, Pending):
            return
        match operation_of(before, me):
            case EventSynchronize(event):
                point = self._events.get((me.rank, event, ""))
                self._captured[me] = [] if point is None else [point]
            case StreamSynchronize(name) | Copy(stream=name):
                self._captured[me] = [self._last(stream_of(before, me, name))]
            case _:
                self._captured[me] = [self._last(each) for each in streams_here(before, me)]
