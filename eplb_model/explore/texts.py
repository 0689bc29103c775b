"""What the programs of a world say of themselves, asked once: who calls what, and in which order.

Rule: conservative.  A question that the text leaves open is answered as it hurts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property

from eplb_model.ops.allocator import Alloc, RecordStream
from eplb_model.ops.copies import Copy
from eplb_model.ops.devices import SetStream
from eplb_model.ops.events import EventQuery
from eplb_model.ops.launch import Launch, Memset
from eplb_model.ops.moves import Move, PeerVariable, peers_read
from eplb_model.ops.point_to_point import Irecv, WaitRequests, peer_of
from eplb_model.ops.synchronize import StreamQuery, StreamSynchronize
from eplb_model.ops.tensors import Tensor
from eplb_model.ops.two_thread_event import CpuGpuEventRecord, CpuGpuEventWait
from eplb_model.outcome import Actor
from eplb_model.scenario import names_in
from eplb_model.world import CURRENT, HostOperation, World, successors

Ends = Callable[[HostOperation], bool]


class Texts:
    """The programs of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def code(self) -> Iterator[tuple[Actor, HostOperation]]:
        """Every operation of every thread."""
        for thread in self.world.threads:
            for op in self.world.programs[thread.slot].code:
                yield thread, op

    def of(self, rank: int) -> Iterator[tuple[Actor, HostOperation]]:
        """Every operation of the threads of one rank."""
        for thread in self.world.threads_of(rank):
            for op in self.world.programs[thread.slot].code:
                yield thread, op

    # --- requests between hosts --------------------------------------------------------------

    @cached_property
    def received(self) -> dict[tuple[str, int, int], set[str]]:
        """For every ordered pair of ranks of a group, the variables that receives fill."""
        found: defaultdict[tuple[str, int, int], set[str]] = defaultdict(set)
        for thread, op in self.code():
            if isinstance(op, Irecv) and isinstance(peer := peer_of(self.world, thread, op), int):
                found[op.group, peer, thread.rank].add(op.into)
        return found

    @cached_property
    def letterboxes(self) -> frozenset[tuple[int, str]]:
        """The variables of a rank that nobody uses while a receive into them may be open.

        So it makes no difference whether the send or the receive is posted first.
        """
        into = {(t.rank, op.into) for t, op in self.code() if isinstance(op, Irecv)}
        return frozenset(each for each in into if self._is_letterbox(*each))

    def _is_letterbox(self, rank: int, name: str) -> bool:
        users = {thread for thread, op in self.of(rank) if _uses(op, name)}
        shared = len(users) > 1 or (rank, name) in self._taken_by_peers
        if shared or name in self.world.claimed[rank]:
            return False
        thread = min(users)
        code = self.world.programs[thread.slot].code
        return not any(
            self._used_before_its_wait(thread, pc, name)
            if isinstance(op, Irecv)
            else self._received_before_a_sync(thread, pc, name)
            for pc, op in enumerate(code)
            if _uses(op, name)
        )

    @cached_property
    def _taken_by_peers(self) -> frozenset[tuple[int, str]]:
        read = (each for _, op in self.code() for each in peers_read(moves_of(op)))
        return frozenset((each.rank, each.name) for each in read)

    def _used_before_its_wait(self, thread: Actor, receive: int, name: str) -> bool:
        """Whether a variable may be used between a receive and the end of the wait for it."""
        later = self._between(thread, receive, _waits_for_requests)
        return any(_uses(op, name) for op in later)

    def _received_before_a_sync(self, thread: Actor, use: int, name: str) -> bool:
        """Whether work that uses a variable may still be in its stream when it is received anew."""
        op = self.world.programs[thread.slot].code[use]
        stream = fed_by(op)
        if stream is None or not moves_of(op) or _syncs(stream)(op):
            return False
        later = self._between(thread, use, _syncs(stream))
        return any(isinstance(each, Irecv) and each.into == name for each in later)

    def _between(self, thread: Actor, pc: int, ends: Ends) -> Iterator[HostOperation]:
        """The operations that may follow one, up to those that end the search; these too."""
        program = self.world.programs[thread.slot]
        ahead, seen = list(successors(program, pc)), set[int]()
        while ahead:
            here = ahead.pop()
            if here in seen or here >= len(program.code):
                continue
            seen.add(here)
            op = program.code[here]
            yield op
            after = successors(program, here)
            ahead += [each for each in after if each != here + 1] if ends(op) else after

    # --- two-thread events -------------------------------------------------------------------

    @cached_property
    def two_threaded(self) -> frozenset[tuple[int, str]]:
        """The `CpuGpuEvent`s of a rank that one thread records and one thread waits for."""
        recorders: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
        waiters: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
        for thread, op in self.code():
            if isinstance(op, CpuGpuEventRecord):
                recorders[thread.rank, op.event].add(thread.slot)
            if isinstance(op, CpuGpuEventWait):
                waiters[thread.rank, op.event].add(thread.slot)
        every = {*recorders, *waiters}
        return frozenset(e for e in every if len(recorders[e]) <= 1 and len(waiters[e]) <= 1)

    # --- the driver --------------------------------------------------------------------------

    @cached_property
    def keeps_gil(self) -> frozenset[int]:
        """The ranks on which some call keeps the interpreter lock."""
        return frozenset(thread.rank for thread, op in self.code() if getattr(op, "gil", False))

    @cached_property
    def asked(self) -> frozenset[int]:
        """The ranks whose programs can see the moment at which work ends."""
        asking = (EventQuery, StreamQuery, RecordStream)  # `alloc` asks for what was recorded
        return frozenset(thread.rank for thread, op in self.code() if isinstance(op, asking))

    @cached_property
    def held_up(self) -> frozenset[int]:
        """The ranks where a launch may load a module, find its stream full or have edges to add."""
        return frozenset(filter(self._may_hold_up, range(len(self.world.ranks))))

    def _may_hold_up(self, rank: int) -> bool:
        world = self.world
        kinds = {world.stream_specs[stream.slot].kind for stream in world.cuda_streams_of(rank)}
        modules = any(
            isinstance(op, Launch) and world.kernels[op.kernel].module is not None
            for _, op in self.of(rank)
        )
        return modules or not kinds <= {"nonblocking"} or rank in self.fills_up

    @cached_property
    def fills_up(self) -> frozenset[int]:
        """The ranks where a launch may find its stream full."""
        return frozenset(filter(self._may_fill_a_stream, range(len(self.world.ranks))))

    def _may_fill_a_stream(self, rank: int) -> bool:
        """Whether more may be put on a stream than its launch queue takes, before some launch."""
        world = self.world
        feeding = [
            (thread, pc, stream)
            for thread in world.threads_of(rank)
            for pc, op in enumerate(world.programs[thread.slot].code)
            if (stream := fed_by(op)) is not None
        ]
        waits = sum(isinstance(op, CpuGpuEventWait) for _, op in self.of(rank))
        if len(feeding) + waits >= world.machine.queue_depth:
            return True
        return world.cyclic and any(self._piles_up(*each) for each in feeding)

    def _piles_up(self, thread: Actor, pc: int, stream: str) -> bool:
        """Whether an operation may come again and again, and then a launch, without a sync."""
        op = self.world.programs[thread.slot].code[pc]
        later = list(self._between(thread, pc, _syncs(stream)))
        others = (each for other, each in self.of(thread.rank) if other != thread)
        launches = any(_needs_room(each, stream) for each in (*later, *others))
        again = op in later and not _syncs(stream)(op)
        return again and launches and not self._is_consumed_once(thread.rank, op)

    def _is_consumed_once(self, rank: int, op: HostOperation) -> bool:
        """Whether it is a record that waits without a loop allow once each, and once more."""
        if not isinstance(op, CpuGpuEventRecord):
            return False
        return not any(
            isinstance(each, CpuGpuEventWait)
            and each.event == op.event
            and each in self._between(thread, pc, lambda _: False)
            for thread in self.world.threads_of(rank)
            for pc, each in enumerate(self.world.programs[thread.slot].code)
        )

    def is_tensor(self, rank: int, name: str) -> bool:
        """Whether a buffer is a tensor, which has a block that others may get."""
        return isinstance(self.world.ranks[rank].memory.get(name), Tensor)

    @cached_property
    def takers(self) -> dict[str, list[tuple[str, int, Move]]]:
        """For every kernel, the moves that its end may make in place of others.

        Each with the kernel that makes it otherwise, and the rank that runs that one.
        """
        found: defaultdict[str, list[tuple[str, int, Move]]] = defaultdict(list)
        for thread, op in self.code():
            taken = [each for each in moves_of(op) if isinstance(each.source, PeerVariable)]
            kernel: str | None = getattr(op, "kernel", None)
            meets = None if kernel is None or not taken else self.world.kernels[kernel].meets
            if meets is not None:
                found[meets.kernel] += [(str(kernel), thread.rank, each) for each in taken]
        return found


def moves_of(op: object) -> tuple[Move, ...]:
    """The moves of an operation or of work; most have none."""
    moves: tuple[Move, ...] = getattr(op, "moves", ())
    return moves


def fed_by(op: HostOperation) -> str | None:
    """The stream or engine on which an operation puts work, as its text names it."""
    looks = isinstance(op, (StreamSynchronize, StreamQuery, SetStream, Alloc, RecordStream))
    return None if looks else getattr(op, "stream", None)


def _needs_room(op: HostOperation, stream: str) -> bool:
    """Whether a call waits for room if the launch queue of a stream is full."""
    to_kernels = isinstance(op, (Launch, Memset)) or (
        isinstance(op, Copy) and op.direction == "d2d"
    )
    return to_kernels and (fed_by(op) == stream or CURRENT in (fed_by(op), stream))


def _syncs(stream: str) -> Ends:
    """Whether an operation returns only when a stream has done all that it holds."""

    def ends(op: HostOperation) -> bool:
        waits = isinstance(op, StreamSynchronize) or (isinstance(op, Copy) and op.blocking)
        return waits and stream != CURRENT and getattr(op, "stream", None) == stream

    return ends


def _waits_for_requests(op: HostOperation) -> bool:
    return isinstance(op, WaitRequests) and not op.timeout


def _uses(op: HostOperation, name: str) -> bool:
    return any(role.name == "variable" and each == name for role, _, each in names_in(op))
