"""`CpuGpuEvent`: a CUDA event and a CPU flag, for exactly two threads, in its atomic steps.

Rules (specs/semantics.md#cpu-gpu-event-record):
- record: b1 raise if the flag is set; b2 replace the event object by a new one; b3 load it and
  record it on the stream, which makes its event (G4, G44a); b4 set the flag.
- wait: a1 wait for the flag; a2 load the event object; a3 the stream waits for it; a4 clear the
  flag.
An object lives while the attribute or a thread between two steps refers to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from eplb_model.ops.events import is_forbidden, put_await, put_record, unrecorded
from eplb_model.ops.flags import waits_for_flag
from eplb_model.ops.launch import may_make
from eplb_model.ops.registry import CpuGpuEventName, HostStep, StreamName, operation
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, Mark, State
from eplb_model.world import Offer


class TwoThreadEvent(NamedTuple):
    """The value in memory: the flag, the object in the attribute, and the marks of all objects."""

    flag: bool = False
    current: int = 0
    objects: tuple[tuple[int, Mark | None], ...] = ((0, None),)

    def mark(self, number: int) -> Mark | None:
        return dict(self.objects)[number]

    def passed(self, stream: int) -> TwoThreadEvent:
        """The same value after an item has left a stream."""
        if all(mark is None or mark.stream != stream for _, mark in self.objects):
            return self
        objects = tuple((n, mark and mark.passed(stream)) for n, mark in self.objects)
        return self._replace(objects=objects)

    def with_mark(self, number: int, mark: Mark | None) -> TwoThreadEvent:
        others = tuple(pair for pair in self.objects if pair[0] != number)
        return self._replace(objects=tuple(sorted((*others, (number, mark)))))


class Holding(NamedTuple):
    """`Thread.local` between two steps: the next step, and the object that was loaded."""

    step: str
    event: str
    number: int


@operation
@dataclass(frozen=True, slots=True)
class CpuGpuEventRecord(HostStep):
    """Host: the producer's half, in steps b1 to b4.

    specs/semantics.md#cpu-gpu-event-record

    With `raises` the device call of b3 fails: the new object stays unrecorded, the flag clear.
    """

    kind: ClassVar[str] = "cpu_gpu_event_record"
    event: CpuGpuEventName
    stream: StreamName
    raises: Literal["", "b3"] = ""

    def offers(self) -> tuple[Offer, ...]:
        return (("flag", self.event),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return may_make(state, me) if _step(state, me) == "b3" else None

    def effect(self, state: State, me: Actor) -> State:
        value: TwoThreadEvent = state.read(me.rank, self.event)
        match _step(state, me):
            case "b1":
                if value.flag:
                    text = f"record of {self.event} before its previous record was consumed"
                    return state.fail(me, Failure("misuse", text))
                return state.stay(me, Holding("b2", self.event, -1))
            case "b2":
                referred = _referred(state, me.rank, self.event, value)
                number = min(set(range(len(referred) + 1)) - referred)
                value = value.with_mark(number, None)._replace(current=number)
                state = state.stay(me, Holding("b3", self.event, -1))
                return _keep(state, me.rank, self.event, value)
            case "b3":
                if self.raises:
                    return state.fail(me, Failure("fault", f"b3 of {self.event} raises"))
                state, mark = put_record(state, me, self.stream, self.event)
                value = value.with_mark(value.current, mark)
                state = state.stay(me, Holding("b4", self.event, -1))
                return state.write(me.rank, self.event, value)
            case _:
                return state.write(me.rank, self.event, value._replace(flag=True)).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class CpuGpuEventWait(HostStep):
    """Host: the consumer's half, in steps a1 to a4.

    specs/semantics.md#cpu-gpu-event-wait

    With `raises` the device call of a3 fails: the flag stays set.
    """

    kind: ClassVar[str] = "cpu_gpu_event_wait"
    event: CpuGpuEventName
    stream: StreamName
    raises: Literal["", "a3"] = ""

    def guard(self, state: State, me: Actor) -> Wait | None:
        if state.thread(me).local is not None or state.read(me.rank, self.event).flag:
            return None
        return Wait(lambda: waits_for_flag(state, me.rank, self.event))

    def effect(self, state: State, me: Actor) -> State:
        value: TwoThreadEvent = state.read(me.rank, self.event)
        match _step(state, me):
            case "b1":  # a1
                return state.stay(me, Holding("a2", self.event, -1))
            case "a2":
                return state.stay(me, Holding("a3", self.event, value.current))
            case "a3":
                if self.raises:
                    state = state.fail(me, Failure("fault", f"a3 of {self.event} raises"))
                    return _keep(state, me.rank, self.event, value)
                local = state.thread(me).local
                assert isinstance(local, Holding)
                mark = value.mark(local.number)
                if is_forbidden(state, mark):
                    return _keep(state.fail(me, unrecorded(self.event)), me.rank, self.event, value)
                state = state.stay(me, Holding("a4", self.event, -1))
                state = _keep(state, me.rank, self.event, value)
                return put_await(state, me, self.stream, self.event, mark)
            case _:
                return state.write(me.rank, self.event, value._replace(flag=False)).advance(me)


def _step(state: State, me: Actor) -> str:
    local = state.thread(me).local
    return local.step if isinstance(local, Holding) else "b1"


def _referred(state: State, rank: int, event: str, value: TwoThreadEvent) -> set[int]:
    """Objects that the attribute or a thread between a2 and a3 refers to."""
    held = {
        local.number
        for thread in state.world.threads_of(rank)
        if isinstance(local := state.threads[thread.slot].local, Holding)
        and local.event == event
        and local.number >= 0
    }
    return held | {value.current}


def _keep(state: State, rank: int, event: str, value: TwoThreadEvent) -> State:
    """Store the value without the objects that nobody refers to."""
    alive = _referred(state, rank, event, value)
    objects = tuple(pair for pair in value.objects if pair[0] in alive)
    return state.write(rank, event, value._replace(objects=objects))
