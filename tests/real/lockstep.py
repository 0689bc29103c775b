"""An emulated device for every rank, driven step by step by the words of a model's schedule.

Rule: the model says which step comes next and what the host's own operations do (variables,
collectives, branches); everything that touches a device is done by the emulated one alone, and
then both are asked for their joint state.
"""

from __future__ import annotations

import random
from typing import Any

from eplb_model.ops.events import Record
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.launch import loaded
from eplb_model.ops.marks import Await, Event
from eplb_model.ops.registry import Role, roles_of
from eplb_model.ops.two_thread_event import TwoThreadEvent
from eplb_model.outcome import Action, Actor
from eplb_model.scenario import Scenario
from eplb_model.state import DONE, NOBODY, Item, Mark, Run, State
from eplb_model.step import enabled, initial, options, step
from eplb_model.world import World
from eplb_real.emulated import (
    Call,
    EmulatedDevice,
    Fault,
    Gated,
    Meetings,
    Misuse,
    Turn,
    Violation,
    perform,
)
from eplb_real.emulated import queues as real
from eplb_real.emulated.calls import TABLE
from eplb_real.emulated.kernels import Running


class Lockstep:
    """The model and the emulated devices, side by side."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = initial(world)
        meetings = Meetings(world)
        self.devices = [
            EmulatedDevice(rank, world, meetings, pace=Gated()) for rank in range(len(world.ranks))
        ]
        self._calls: dict[Actor, tuple[int, Call]] = {}  # with the program counter

    def take(self, action: Action) -> None:
        """Take one step on both sides."""
        actor, choice = action
        before, after = self.state, step(self.state, action)
        if actor.is_stream:
            self.devices[actor.rank].step(actor.name, choice)
        else:
            self._host_step(actor, before, after)
        self.state = after

    def _host_step(self, actor: Actor, before: State, after: State) -> None:
        op = before.world.programs[actor.slot].code[before.threads[actor.slot].pc]
        call = self.call_of(actor)
        if call is None:
            return
        failed = None
        try:
            call.step(timeout=0)
        except (Misuse, Fault, Violation) as error:
            failed = str(error)
        left = self.is_at(after, actor) != self.is_at(before, actor)
        assert call.done == left, f"{actor}: {op}"
        if left:
            del self._calls[actor]
        failure = after.threads[actor.slot].failure
        assert failure is None or failed == failure.text
        if call.done and failed is None and hasattr(op, "into"):
            assert call.value == after.read(actor.rank, op.into)

    def is_at(self, state: State, actor: Actor) -> tuple[int, str]:
        thread = state.threads[actor.slot]
        return (thread.pc, thread.status)

    def call_of(self, actor: Actor) -> Call | None:
        """The call that a running thread is in, or stands before; None if it touches no device."""
        thread = self.state.threads[actor.slot]
        if thread.status != "running":
            return None
        op = self.world.programs[actor.slot].code[thread.pc]
        if op.kind not in TABLE:
            return None
        pc, call = self._calls.get(actor, (-1, None))
        if call is None or pc != thread.pc:
            call = perform(self.devices[actor.rank], actor.name, op)
            self._calls[actor] = (thread.pc, call)
        return call

    # --- what is compared --------------------------------------------------------------------

    def enabled_of_model(self) -> set[str]:
        """The words of all enabled steps that a device has a say in."""
        return {
            str(action)
            for action, wait in options(self.state)
            if wait is None and (action.actor.is_stream or self.call_of(action.actor) is not None)
        }

    def enabled_of_devices(self) -> set[str]:
        streams = {_word(device.rank, turn) for device in self.devices for turn in device.turns()}
        calls = {
            str(actor)
            for actor in self.world.threads
            if (call := self.call_of(actor)) is not None and call.blocked() is None
        }
        return streams | calls

    def joint_of_model(self) -> dict[str, Any]:
        return {
            f"rank {rank}": _joint_of_model(self.state, rank) for rank in range(len(self.devices))
        }

    def joint_of_devices(self) -> dict[str, Any]:
        return {
            f"rank {device.rank}": _joint_of_device(self.state, device) for device in self.devices
        }

    def compare(self) -> None:
        assert self.joint_of_devices() == self.joint_of_model()
        assert self.enabled_of_devices() == self.enabled_of_model()


def random_walk(described: Scenario, seed: int, most_steps: int = 150) -> None:
    """Follow one run on both sides, to its end or up to a bound, and compare after each step."""
    chooser = random.Random(seed)
    lockstep = Lockstep(described.world)
    lockstep.compare()
    for _ in range(most_steps):
        actions = enabled(lockstep.state)
        if not actions:
            break
        lockstep.take(chooser.choice(actions))
        lockstep.compare()


def _word(rank: int, turn: Turn) -> str:
    return f"{rank}.{turn.stream}" + ("" if turn.choice is None else f":{turn.choice}")


# --- the model's side ------------------------------------------------------------------------


def _joint_of_model(state: State, rank: int) -> dict[str, Any]:
    device, world = state.devices[rank], state.world
    names = {NOBODY: None, **{actor.slot: actor.name for actor in world.threads_of(rank)}}
    return {
        "streams": {
            stream.name: [_item(state, item) for item in state.items(stream)]
            for stream in world.streams_of(rank)
        },
        "arrived": [_run(state, rank, run) for run in device.arrived],
        "locks": [names[each] for each in (device.context, device.making, device.gil)],
        "memory": {
            name: _value(state, value)
            for name in _names_of_devices(world, rank)
            for value in [state.read(rank, name)]
        },
        "ended": {
            kernel: None if world.cyclic else state.count_of(rank, kernel).completed
            for kernel in sorted(world.counted)
        },
    }


def _item(state: State, item: Item) -> tuple[object, ...]:
    by = state.world.threads[item.by].name
    work = item.work
    match work:
        case RunKernel():
            return (by, work.runs, work.reads, work.writes)
        case Record():
            return (by, "record", work.event)
        case Await():
            return (by, "await", work.event, _mark(state, work.mark))
        case _:
            return (by, work.kind)


def _mark(state: State, mark: Mark | None) -> object:
    if mark is None or mark == DONE:
        return None if mark is None else "done"
    return (state.world.streams[mark.stream].name, mark.ahead)


def _run(state: State, rank: int, run: Run) -> tuple[object, ...]:
    roomy = state.world.roomy[rank]  # the model counts seats there
    seats: object = len(run.seats) if roomy else tuple(run.seats)
    return (state.world.streams[run.stream].name, seats, run.ended)


def _value(state: State, value: Any) -> object:
    if isinstance(value, Event):
        return _mark(state, value.mark)
    if isinstance(value, TwoThreadEvent):
        return (value.flag, _mark(state, value.mark(value.current)))
    return value


# --- the devices' side -----------------------------------------------------------------------


def _joint_of_device(state: State, device: EmulatedDevice) -> dict[str, Any]:
    world, rank = state.world, device.rank
    return {
        "streams": {
            name: [_real_item(device, item) for item in device.queues.items(name)]
            for name in device.queues.names
        },
        "arrived": [_running(world, rank, each) for each in device.distributor.arrived],
        "locks": [device.locks.context, device.locks.making, device.gil],
        "memory": {
            name: _real_value(device, name, role)
            for name, role in _names_of_devices(world, rank).items()
        },
        "ended": {
            kernel: None if world.cyclic else _ended(device, kernel)
            for kernel in sorted(world.counted)
        },
    }


def _real_item(device: EmulatedDevice, item: real.Item) -> tuple[object, ...]:
    match item.work:
        case real.Launched(kernel=kernel, reads=reads, writes=writes):
            return (item.by, kernel.name, reads, writes)
        case real.Record(event=event):
            return (item.by, "record", event)
        case real.Await(mark=mark, event=event):
            return (item.by, "await", event, _real_mark(device, mark))
        case real.Transfer():
            return (item.by, "transfer")


def _real_mark(device: EmulatedDevice, mark: real.Item | None) -> object:
    if mark is None or mark.done:
        return None if mark is None else "done"
    return (mark.stream, device.queues.items(mark.stream).index(mark) + 1)


def _running(world: World, rank: int, running: Running) -> tuple[object, ...]:
    seats = tuple(cta.seat for cta in running.ctas)
    started = len(seats)
    ended = tuple(
        sum(1 for position in members if position < started and running.ctas[position].ended)
        for members in running.classes
    )
    return (running.stream, started if world.roomy[rank] else seats, ended)


def _real_value(device: EmulatedDevice, name: str, role: str) -> object:
    match role:
        case "event":
            return _real_mark(device, device.named_event(name).mark)
        case "cpu_gpu_event":
            pair = device.named_pair(name)
            return (pair.flag, _real_mark(device, pair.event.mark))
        case "module":
            return name in {loaded(module) for module in device.loaded}
        case _:
            return device.flag_is_up(name)


def _ended(device: EmulatedDevice, kernel: str) -> int:
    launches = range(device.meetings.launches(device.rank, kernel))
    ended = [n for n in launches if device.meetings.has_ended(device.rank, kernel, n)]
    return sum(1 << number for number in ended)


def _names_of_devices(world: World, rank: int) -> dict[str, str]:
    """The names in memory that a device keeps, with their roles."""
    found = {k.until: "flag" for k in world.kernels.values() if k.until is not None}
    found |= {loaded(k.module): "module" for k in world.kernels.values() if k.module is not None}
    for program in world.ranks[rank].threads:
        for op in program.code:
            for field, roles in roles_of(type(op)).items():
                for role in roles:
                    found |= _kept(role, getattr(op, field))
    return found


def _kept(role: Role, name: str) -> dict[str, str]:
    if role.name == "module":
        return {loaded(name): "module"}
    return {name: role.name} if role.name in ("event", "cpu_gpu_event", "flag") else {}
