"""Where everything of a world lives in the Promela model: numbers, names, places.

Rules:
- Nothing of the step relation is asked here: no guard, no effect, only the text of the programs.
- Work of streams is numbered by what it is and who submits it, so that two states are equal in the
  Promela model exactly if they are equal in ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eplb_model.export.cannot import CannotExport
from eplb_model.ops.launch import DEVICE_COPY, MEMSET
from eplb_model.ops.marks import Event
from eplb_model.ops.moves import Moves
from eplb_model.ops.thread_state import Current, NcclGroup
from eplb_model.ops.two_thread_event import TwoThreadEvent
from eplb_model.outcome import Actor
from eplb_model.world import ENGINE, HostOperation, World

LOOPING_CAPACITY = 8  # items per stream where programs loop; the model asserts that it suffices

# What a name of a scenario must not be: words of Promela, and words of the law.
KEYWORDS = frozenset(
    ("active", "assert", "atomic", "bit", "bool", "break", "byte", "chan", "d_step", "do", "else",
     "empty", "enabled", "end", "fi", "full", "goto", "hidden", "if", "init", "inline", "int",
     "len", "local", "ltl", "mtype", "nempty", "never", "nfull", "od", "of", "pid", "printf",
     "priority", "proctype", "provided", "run", "short", "show", "skip", "timeout", "trace",
     "true", "false", "typedef", "unless", "unsigned", "xr", "xs", "at", "sub", "mark", "thread",
     "stream", "gpu", "count", "head", "ctas", "gang", "cluster", "flow", "pop")
)  # fmt: skip

Buffers = tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """One kind of item in streams: what it is, who submits it, and to which streams."""

    number: int  # 0 is no work
    name: str
    kind: str  # kernel, record, await, transfer, read
    kernel: str | None
    by: int  # slot of the thread
    reads: Buffers
    writes: Buffers
    moves: Moves
    streams: tuple[int, ...]  # slots
    peer: int | None = None  # of a read: the rank that is read, its buffer in `source`
    source: str = ""


class Layout:
    """Numbers and names for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._taken: set[str] = set(KEYWORDS)
        self.thread_names = tuple(self._unique(a.name, a.rank) for a in world.threads)
        self.stream_names = tuple(self._unique(a.name, a.rank) for a in world.streams)
        self.works: dict[tuple[Any, ...], Work] = {}
        self._texts: dict[str, int] = {}
        self._place_memory()
        for actor in world.threads:
            for op in world.programs[actor.slot].code:
                self._register(actor, op)

    # --- names -------------------------------------------------------------------------------

    def _unique(self, name: str, rank: int | str) -> str:
        plain = re.sub(r"\W+", "_", name).strip("_") or "it"
        if plain[0].isdigit():
            plain = f"n{plain}"
        wanted = f"{plain}_{rank}"
        while wanted in self._taken or wanted.upper() in self._taken:
            wanted += "x"
        self._taken |= {wanted, wanted.upper()}
        return wanted

    def thread(self, actor: Actor) -> str:
        """The constant that stands for a thread."""
        return self.thread_names[actor.slot].upper()

    def stream(self, slot: int) -> str:
        """The constant that stands for a stream."""
        return self.stream_names[slot].upper()

    def is_new(self, actor: Actor) -> str:
        """That a thread has not been started."""
        if self.world.programs[actor.slot].started:
            return "false"
        return f"(!thread[{self.thread(actor)}].begun)"

    def is_busy(self, actor: Actor) -> str:
        """That a thread runs: it has begun and neither reached its end nor failed."""
        name, size = self.thread(actor), len(self.world.programs[actor.slot].code)
        begun = "" if self.world.programs[actor.slot].started else f"thread[{name}].begun"
        return f"({all_of((begun, f'thread[{name}].at < {size}', f'!thread[{name}].failed'))})"

    # --- memory ------------------------------------------------------------------------------

    def _place_memory(self) -> None:
        """Variables, flags and locks in one array, events and their objects in another."""
        self.variables: dict[tuple[int, str], str] = {}
        self.initial: list[tuple[str, str]] = []  # name, initial value; the index is the place
        self.marks: dict[tuple[int, str], str] = {}
        self.mark_names: list[tuple[str, int, int]] = []  # name, first mark, how many
        self.first_mark = [0]
        number = 0
        for rank, described in enumerate(self.world.ranks):
            for name, value in described.memory.items():
                if isinstance(value, Current | NcclGroup):
                    continue  # fields of the thread
                if isinstance(value, (Event, TwoThreadEvent)):
                    size = 1 if isinstance(value, Event) else self._objects(rank, name)
                    self.marks[rank, name] = shown = self._unique(name, rank)
                    self.mark_names.append((shown, number, size))
                    number += size
                    if isinstance(value, TwoThreadEvent):
                        self._variable(rank, name, False, f"{name}_flag")
                        self._variable(rank, f"{name}.current", 0, f"{name}_object")
                else:
                    self._variable(rank, name, value)
            self.first_mark.append(number)

    def _variable(self, rank: int, name: str, value: object, shown: str | None = None) -> None:
        self.variables[rank, name] = unique = self._unique(shown or name, rank)
        self.initial.append((unique, self.constant(value)))

    def _objects(self, rank: int, event: str) -> int:
        """How many objects of a `CpuGpuEvent` may be alive: the attribute's and each waiter's."""
        waiters = {
            actor.slot
            for actor in self.world.threads_of(rank)
            for op in self.world.programs[actor.slot].code
            if op.kind == "cpu_gpu_event_wait" and getattr(op, "event", "") == event
        }
        return len(waiters) + 2

    def constant(self, value: object) -> str:
        """A value of a program."""
        if value is None:
            return "NULL"
        if isinstance(value, bool | int):
            return str(int(value))
        if isinstance(value, str):
            return f"TEXT + {self._texts.setdefault(value, len(self._texts))}"
        raise CannotExport(f"a value of type {type(value).__name__}: {value!r}")

    def variable(self, rank: int, name: str) -> str:
        """The place of a variable, a flag or a lock."""
        return self.variables[rank, name]

    def index_of(self, rank: int, name: str) -> int:
        """A number for a variable that may be received into."""
        wanted = self.variables[rank, name]
        return next(i for i, (name, _) in enumerate(self.initial) if name == wanted)

    def mark_base(self, rank: int, event: str) -> int:
        """The first mark of an event."""
        wanted = self.marks[rank, event]
        return next(first for name, first, _ in self.mark_names if name == wanted)

    def objects(self, rank: int, event: str) -> int:
        """How many marks an event has."""
        wanted = self.marks[rank, event]
        return next(size for name, _, size in self.mark_names if name == wanted)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text values of programs, in the order of their numbers."""
        return tuple(self._texts)

    # --- works -------------------------------------------------------------------------------

    def _register(self, me: Actor, op: HostOperation) -> None:
        stream = getattr(op, "stream", None)
        if stream is None:
            return
        targets = tuple(each.slot for each in self.world.streams_named(me.rank, stream))
        for what in _what_is_submitted(op):
            self._add(me, what, targets)
        if what := self._implied_waits(targets):
            self._add(me, what, targets)

    def _implied_waits(self, targets: tuple[int, ...]) -> tuple[Any, ...]:
        kinds = {self.world.stream_specs[slot].kind for slot in targets}
        return ("await", None, "", (), (), ()) if kinds & {"legacy", "blocking"} else ()

    def _add(self, me: Actor, what: tuple[Any, ...], targets: tuple[int, ...]) -> None:
        kind, kernel, event, reads, writes, moves, *read = what
        key = (me.slot, *what)
        known = self.works.get(key)
        if known is not None:
            targets = tuple(sorted({*known.streams, *targets}))
            number, name = known.number, known.name
        else:
            number = len(self.works) + 1
            said = kernel or "_".join(each for each in (kind, event) if each)
            name = self._unique(f"{said}_by_{me.name}", me.rank).upper()
        peer, source = read or (None, "")
        self.works[key] = Work(
            number, name, kind, kernel, me.slot, reads, writes, moves, targets, peer, source
        )

    def work(self, me: Actor, op: HostOperation) -> Work:
        """What an operation submits."""
        return self.works[(me.slot, *next(_what_is_submitted(op)))]

    def implied_wait(self, me: Actor) -> Work:
        """The wait that the legacy default stream puts before a submission."""
        return self.works[me.slot, "await", None, "", (), (), ()]

    def works_of(self, slot: int) -> tuple[Work, ...]:
        """All that a stream may hold."""
        return tuple(work for work in self.works.values() if slot in work.streams)

    def kernels_of(self, slot: int) -> tuple[str, ...]:
        """The kernels that may run on a stream."""
        return tuple(dict.fromkeys(w.kernel for w in self.works_of(slot) if w.kernel is not None))

    @cached_property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that somebody may launch."""
        return tuple(dict.fromkeys(w.kernel for w in self.works.values() if w.kernel is not None))

    # --- sizes -------------------------------------------------------------------------------

    @cached_property
    def capacity(self) -> int:
        """How many items a stream may have to hold."""
        if self.world.cyclic:
            return LOOPING_CAPACITY
        waits = any(work.kind == "await" and work.name for work in self.works.values())
        most = max(
            (sum(1 for _ in self._submissions(s.slot)) for s in self.world.streams), default=0
        )
        return max(1, most * 2 if waits and self._has_implied_waits else most)

    @cached_property
    def _has_implied_waits(self) -> bool:
        return any(s.kind in ("legacy", "blocking") for s in self.world.stream_specs)

    def _submissions(self, slot: int) -> Iterator[HostOperation]:
        for actor in self.world.threads_of(self.world.streams[slot].rank):
            for op in self.world.programs[actor.slot].code:
                named = getattr(op, "stream", None)
                if named is None or next(_what_is_submitted(op), None) is None:
                    continue
                if slot in (s.slot for s in self.world.streams_named(actor.rank, named)):
                    yield op

    @cached_property
    def shares_queues(self) -> bool:
        """Whether some hardware queue serves several streams."""
        return len(self.queues) > len(set(self.queues))

    @cached_property
    def queues(self) -> tuple[int, ...]:
        """For each stream the number of its hardware queue, among those of all ranks."""
        world = self.world
        own = [(s.rank, world.connections[s.slot], world.stream_specs[s.slot].kind == ENGINE)
               for s in world.streams]  # fmt: skip
        numbers = {queue: number for number, queue in enumerate(dict.fromkeys(own))}
        return tuple(numbers[queue] for queue in own)

    def is_ready(self, slot: int) -> str:
        """That work at the head of a stream may go on, as far as its hardware queue goes."""
        return f"!stream[{self.stream(slot)}].blocked" if self.shares_queues else ""

    def devices(self, rank: int) -> tuple[int, ...]:
        """The GPUs that a rank has streams on."""
        specs = self.world.stream_specs
        return tuple(sorted({specs[s.slot].device for s in self.cuda_streams(rank)}))

    def is_current(self, me: Actor, stream: Actor) -> str:
        """That a stream is the current one of a thread.  specs/semantics.md#set-stream"""
        device = self.world.stream_specs[stream.slot].device
        chosen = f"thread[{self.thread(me)}].chosen[{device}]"
        mine = f"{chosen} == {self.stream(stream.slot)} + 1"
        if self.world.default_stream(me.rank, device) == stream:
            mine = f"({mine} || {chosen} == 0)"
        return all_of((self.is_on_device(me, device), mine))

    def is_on_device(self, me: Actor, device: int) -> str:
        """That a device is the current one of a thread."""
        several = len(self.devices(me.rank)) > 1
        return f"thread[{self.thread(me)}].device == {device}" if several else ""

    def cuda_streams(self, rank: int) -> tuple[Actor, ...]:
        """The streams of the GPU of a rank."""
        return tuple(
            s for s in self.world.streams_of(rank) if self.world.stream_specs[s.slot].kind != ENGINE
        )

    def may_fill(self) -> bool:
        """Whether a launch queue may become full."""
        return self.capacity >= self.world.machine.queue_depth


def _what_is_submitted(op: HostOperation) -> Iterator[tuple[Any, ...]]:
    """(kind, kernel, event, reads, writes, moves) of the work that an operation submits."""
    said: Any = op
    match op.kind:
        case "launch":
            yield "kernel", said.kernel, "", said.reads, said.writes, said.moves
        case "memset":
            yield "kernel", MEMSET, "", (), said.writes, ()
        case "copy" if said.direction == "d2d":
            yield "kernel", DEVICE_COPY, "", said.reads, said.writes, said.moves
        case "copy":
            yield "transfer", None, said.direction, said.reads, said.writes, said.moves
        case "record_event" | "cpu_gpu_event_record":
            yield "record", None, said.event, (), (), ()
        case "stream_wait_event" | "cpu_gpu_event_wait":
            yield "await", None, said.event, (), (), ()
        case "read":
            yield (
                "read", None, "", (), (said.target,), said.moves, said.peer, said.source
            )  # fmt: skip
        case _:
            return


def any_of(terms: Iterable[str]) -> str:
    """A disjunction; false if there is nothing."""
    found = [term for term in terms if term]
    return " || ".join(found) if found else "false"


def all_of(terms: Iterable[str]) -> str:
    """A conjunction; true if there is nothing."""
    found = [term for term in terms if term and term != "true"]
    return " && ".join(found) if found else "true"
