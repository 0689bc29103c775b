"""What every step of a world touches: the next one of an actor, and all that may still come.

Rules (specs/semantics.md#settling):
- What a thread may still do is the text that it can reach from where it is, that of the threads
  which it may start, and the work that all this puts on streams.  What a stream may still do is
  what it holds.
- Putting work on a stream touches no buffer: an access may begin earlier, never end earlier.
- On a rank where kernels compete for SMs every submission uses them.
- Calls of a host collective on different ranks go together: what is answered, or that they do not
  pair, does not depend on who comes last, and a time limit expires only where nobody can come.
- A request touches the receiver's variable, unless nobody uses that before it is waited for.
- Of a two-thread event with one recorder and one waiter each side owns the flag while it is its
  turn: only a clear and a record that finds the flag set disturb each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import fields

from eplb_model.explore.cells import LOWERED, NOTHING, Cells, Touch, together
from eplb_model.explore.endings import Endings, work_of
from eplb_model.explore.texts import Texts, fed_by
from eplb_model.ops.allocator import Alloc, Drop, RecordStream
from eplb_model.ops.collectives import AllReduce, Barrier
from eplb_model.ops.copies import Access, Copy
from eplb_model.ops.events import EventQuery, EventSynchronize, RecordEvent, StreamWaitEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import IsSet, Set, WaitFlag
from eplb_model.ops.groups import GroupEnd
from eplb_model.ops.launch import Launch, Memset
from eplb_model.ops.one_sided import Read, WaitReads
from eplb_model.ops.point_to_point import Irecv, Isend, WaitRequests, peer_of
from eplb_model.ops.registry import roles_of
from eplb_model.ops.synchronize import DeviceSynchronize, StreamQuery, StreamSynchronize
from eplb_model.ops.threads import Join, Start
from eplb_model.ops.two_thread_event import CpuGpuEventRecord, CpuGpuEventWait, Holding
from eplb_model.outcome import Actor
from eplb_model.scenario import names_in
from eplb_model.state import Answer, Pending, State
from eplb_model.world import HostOperation, StreamOperation, World, successors

FIRST, WAITS, ANSWER = "", "waits", "answer"  # phases of a call; a two-thread event has its own
RAISED = "raised"  # a record that finds the flag set
PHASES = (FIRST, RAISED, "b2", "b3", "b4"), (FIRST, "a2", "a3", "a4")


OF_THE_THREAD = (  # what concerns nobody else; a wait ends once, for good
    *("die", "raise", "await_resident", "await_complete"),
    *("group_start", "group_boundary", "set_device", "set_stream"),
)
BY_NAME = ("put", "take", "test", "assert", "branch", "clear", "acquire", "try_acquire", "release")


class Touches:
    """The touches of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._texts = Texts(world)
        self._cells = Cells()
        self._endings = Endings(self._texts, self._cells)
        self._known: dict[Hashable, Touch] = {}
        self.futures = self._futures()  # by thread and program counter: what others may not disturb
        self.claimed = self._claimed()

    def _claimed(self) -> int:
        """What a step does that changes something that a claim looks at."""
        bits = 0
        for rank, names in enumerate(self._world.claimed):
            for name in names:
                bits |= self.change_of(rank, name)
        return bits

    def change_of(self, rank: int, name: str) -> int:
        """What a step does that changes a variable or a flag."""
        return self._cells.changed((rank, name))

    # --- what may still come -----------------------------------------------------------------

    def _futures(self) -> tuple[tuple[int, ...], ...]:
        """Nothing is left at the end of a program."""
        found = [[0] * (len(program.code) + 1) for program in self._world.programs]
        changed = True
        while changed:
            changed = False
            for thread in self._world.threads:
                mine, program = found[thread.slot], self._world.programs[thread.slot]
                for pc in range(len(program.code) - 1, -1, -1):
                    bits = self.whole(thread, program.code[pc]).minds
                    for after in successors(program, pc):
                        bits |= mine[after]
                    if isinstance(started := program.code[pc], Start):
                        bits |= found[self._world.thread(thread.rank, started.thread).slot][0]
                    if bits != mine[pc]:
                        mine[pc], changed = bits, True
        return tuple(map(tuple, found))

    def whole(self, me: Actor, op: HostOperation) -> Touch:
        """An operation with all its steps and the work that it puts on a stream."""
        key = (me.slot, op)
        if key not in self._known:
            self._known[key] = together((*self._steps(me, op), *self._put_on_streams(me, op)))
        return self._known[key]

    def _steps(self, me: Actor, op: HostOperation) -> Iterator[Touch]:
        match op:
            case CpuGpuEventRecord():
                phases: tuple[str, ...] = PHASES[0]
            case CpuGpuEventWait():
                phases = PHASES[1]
            case _:
                phases = (FIRST, WAITS, ANSWER)
        return (self.step(me, op, phase) for phase in phases)

    def _put_on_streams(self, me: Actor, op: HostOperation) -> Iterator[Touch]:
        if isinstance(op, GroupEnd):  # what it submits was called before
            code = self._world.programs[me.slot].code
            yield from (self.whole(me, each) for each in code if isinstance(each, Launch))
        stream = fed_by(op)
        if stream is None:
            return
        for actor in self._world.streams_named(me.rank, stream):
            yield self._endings.of(actor, work_of(op))

    def ending(self, stream: Actor, work: StreamOperation, quiet: bool) -> Touch:
        """The end, or a part of the end, of work that a stream holds."""
        return self._endings.of(stream, work_of(work), quiet=quiet)

    def sms(self, rank: int) -> int:
        """What steps do that use SMs for which kernels may compete."""
        return self._endings.sms(rank).does

    # --- steps of threads --------------------------------------------------------------------

    def step(self, me: Actor, op: HostOperation, phase: str) -> Touch:
        """One step of a call, which may be taken now."""
        key = (me.slot, op, phase)
        if key not in self._known:
            found = self._step(me, op, phase)
            if me.rank in self._texts.keeps_gil:
                found = together((found, self._cells.writes((me.rank, "(interpreter)"))))
            self._known[key] = found
        return self._known[key]

    def _step(self, me: Actor, op: HostOperation, phase: str) -> Touch:
        if op.kind in OF_THE_THREAD:
            return NOTHING
        if op.kind in BY_NAME:
            return self._named(me.rank, op)
        match op:
            case Set() | WaitFlag() | IsSet():
                return self._of_flag(me.rank, op)
            case Start(name) | Join(name):
                place = (me.rank, "(thread)", name)
                return (self._cells.writes if op.kind == "start" else self._cells.looks)(place)
            case AllReduce() | Barrier():
                return self._collective(me.rank, op, phase)
            case Isend() | Irecv() | WaitRequests():
                return self._request(me, op)
            case CpuGpuEventRecord() | CpuGpuEventWait():
                return self._two_threaded(me, op, phase)
            case Copy() | StreamSynchronize() | DeviceSynchronize() | EventSynchronize():
                return NOTHING if phase == WAITS else self._call(me, op)
            case _:
                return self._call(me, op)

    def _named(self, rank: int, op: HostOperation) -> Touch:
        """It looks at what its expressions read, and writes whatever else it names."""
        parts = []
        for each in fields(op):  # type: ignore[arg-type]  # every operation is a dataclass
            value = getattr(op, each.name)
            if isinstance(value, (Condition, Variable, Value)):
                parts.append(self._looks(rank, value.variables))
            elif roles_of(type(op)).get(each.name):
                parts.append(self._cells.written(rank, value))
        return together(parts)

    def _of_flag(self, rank: int, op: Set | WaitFlag | IsSet) -> Touch:
        cells, flag = self._cells, (rank, op.flag)
        match op:
            case Set():
                return cells.adds(flag)
            case WaitFlag():
                return cells.looks((*flag, LOWERED))
            case IsSet(_, into):
                return together((cells.looks(flag), cells.written(rank, into)))

    def _looks(self, rank: int, names: Iterable[str]) -> Touch:
        return self._cells.looks(*((rank, name) for name in names))

    def _collective(self, rank: int, op: AllReduce | Barrier, phase: str) -> Touch:
        if phase == ANSWER:
            return self._cells.written(rank, op.into) if isinstance(op, AllReduce) else NOTHING
        brought = (op.value, op.agree) if isinstance(op, AllReduce) else (op.agree,)
        place = ("(posts)", op.group, rank)
        looks = (self._looks(rank, each.variables) for each in brought)
        return together((self._cells.writes(place), *looks))

    def _request(self, me: Actor, op: Isend | Irecv | WaitRequests) -> Touch:
        if isinstance(op, WaitRequests):
            return self._cells.writes("(mail)") if op.timeout else NOTHING
        peer = peer_of(self._world, me, op)
        if not isinstance(peer, int):
            return NOTHING
        sends = isinstance(op, Isend)
        source, target = (me.rank, peer) if sends else (peer, me.rank)
        pair = (op.group, source, target)
        parts = [self._cells.adds("(mail)"), self._cells.writes(("(mail)", *pair, sends))]
        if isinstance(op, Isend):
            parts.append(self._looks(me.rank, op.value.variables))
        received = sorted(self._texts.received.get(pair, ()))
        exposed = (each for each in received if (target, each) not in self._texts.letterboxes)
        return together((*parts, *(self._cells.written(target, each) for each in exposed)))

    def _two_threaded(
        self, me: Actor, op: CpuGpuEventRecord | CpuGpuEventWait, phase: str
    ) -> Touch:
        cells, place = self._cells, (me.rank, op.event)
        device = [self._fed(me, op), self._driver(me.rank)] if phase in ("b2", "b3", "a3") else []
        if place not in self._texts.two_threaded:
            return together((cells.writes(place, (*place, LOWERED)), *device))
        flag = (*place, LOWERED)
        if isinstance(op, CpuGpuEventWait):
            return together((cells.writes(flag) if phase == "a4" else NOTHING, *device))
        return together((cells.looks(flag) if phase == RAISED else NOTHING, *device))

    # --- calls of the driver -----------------------------------------------------------------

    def _call(self, me: Actor, op: HostOperation) -> Touch:
        """A call that puts work on a stream, or looks at one, or anything else."""
        rank = me.rank
        every = (self._driver(rank), self._fed(me, op), self._tensors(rank, op))
        return together((*every, self._own_part(me, op)))

    def _own_part(self, me: Actor, op: HostOperation) -> Touch:
        """What a call touches that others do not."""
        cells, rank = self._cells, me.rank
        match op:
            case Copy() | Memset():
                return NOTHING
            case Launch(kernel):
                return cells.writes((rank, "(number)", kernel))
            case Access(reads, writes):
                return self._endings.access(rank, f"host {me.name}", reads, writes)
            case Read(peer, source):
                there = peer in range(len(self._world.ranks))
                return self._tensor(peer, source) if there else NOTHING
            case RecordEvent(event):
                return cells.writes((rank, event))
            case StreamWaitEvent(_, event) | EventSynchronize(event):
                return cells.looks((rank, event))
            case StreamSynchronize() | DeviceSynchronize() | WaitReads():
                return self._captured(rank, op)
            case EventQuery() | StreamQuery():
                return self._asked(rank, op)
            case _:
                return self._anything(rank, op)

    def _asked(self, rank: int, op: EventQuery | StreamQuery) -> Touch:
        asked = self._cells.looks((rank, "(asked)"))
        place = (rank, op.event) if isinstance(op, EventQuery) else (rank, "(queries)")
        return together((asked, self._cells.looks(place), self._cells.written(rank, op.into)))

    def _driver(self, rank: int) -> Touch:
        """Calls of one process go together unless one of them may keep the others waiting."""
        place = (rank, "(driver)")
        held_up = rank in self._texts.held_up
        return self._cells.writes(place) if held_up else self._cells.adds(place)

    def _fed(self, me: Actor, op: HostOperation) -> Touch:
        stream = fed_by(op)
        if stream is None:
            return NOTHING
        cells, rank = self._cells, me.rank
        parts = [cells.writes(each) for each in self._queues(rank, stream)]
        if rank in self._texts.held_up:
            parts.append(cells.looks((rank, "(room)")))
        if rank in self._texts.asked:
            parts.append(cells.adds((rank, "(asked)")))
        if not self._world.roomy[rank]:
            parts.append(self._endings.sms(rank))
        return together(parts)

    def _captured(self, rank: int, op: StreamSynchronize | DeviceSynchronize | WaitReads) -> Touch:
        match op:
            case StreamSynchronize(stream) | WaitReads(stream):
                named = [stream]
            case DeviceSynchronize():
                named = [each.name for each in self._world.cuda_streams_of(rank)]
        return together(self._cells.looks(*self._queues(rank, each)) for each in named)

    def _queues(self, rank: int, stream: str) -> Iterator[Hashable]:
        for each in self._world.streams_named(rank, stream):
            yield (rank, "(queue)", self._world.connections[each.slot])

    def _tensors(self, rank: int, op: HostOperation) -> Touch:
        named = (*getattr(op, "reads", ()), *getattr(op, "writes", ()))
        return together(self._tensor(rank, each) for each in named)

    def _tensor(self, rank: int, name: str) -> Touch:
        tensor = self._texts.is_tensor(rank, name)
        return self._cells.looks((rank, "(blocks)")) if tensor else NOTHING

    def _anything(self, rank: int, op: HostOperation) -> Touch:
        """A call of which nothing better is known: all that it names, and the driver."""
        cells = self._cells
        parts = [cells.writes((rank, "(driver)"), (rank, "(blocks)"))]
        parts += [self._cells.written(rank, name) for _, _, name in names_in(op)]
        parts += [self._cells.written(rank, name) for name in sorted(op.written_variables())]
        if isinstance(op, (Alloc, Drop, RecordStream)):
            parts.append(cells.looks((rank, "(asked)")))
        if not self._world.roomy[rank]:
            parts.append(self._endings.sms(rank))
        return together(parts)


def phase_of(state: State, me: Actor, op: HostOperation) -> str:
    """Which step of a call a thread takes next."""
    match state.threads[me.slot].local:
        case Holding(step):
            return step
        case Answer():
            return ANSWER
        case Pending():
            return WAITS
        case _:
            pass
    if isinstance(op, CpuGpuEventRecord) and state.read(me.rank, op.event).flag:
        return RAISED
    return FIRST
