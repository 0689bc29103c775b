"""The devices of a place, and how host threads call them.

Rules:
- What touches a device goes to the emulated one; the two-thread event is the driver's
  `CpuGpuEvent`, over events and flags of ours that stop between its atomic steps.
- A flag that a kernel spins on belongs to the device, every other one to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eplb_model.outcome import Actor
from eplb_model.world import World
from eplb_real.drivers.base import library_event
from eplb_real.emulated import EmulatedDevice, Fact, Free, Gated, Meetings, NotAllowed, perform
from eplb_real.emulated.queues import Moves
from eplb_real.gates import Gates
from eplb_real.observe import Observer
from eplb_real.two_thread import SteppedEvents

FLAG_KINDS = ("set", "wait_flag", "clear", "is_set")


class DeviceCalls:
    """The device of one rank, as its host threads call it."""

    def __init__(
        self,
        world: World,
        rank: int,
        device: EmulatedDevice,
        gates: Gates,
        event_class: Callable[[], type],
    ) -> None:
        self._device = device
        self._gates = gates
        self._spun_on = {kernel.until for kernel in world.kernels.values() if kernel.until}
        operations = [op for program in world.ranks[rank].threads for op in program.code]
        self._gil_is_kept = any(getattr(op, "gil", False) for op in operations)
        self._events = SteppedEvents(device, gates, event_class)

    def takes(self, op: Any) -> bool:
        """Whether an operation on a flag is one of the device's."""
        return op.kind in FLAG_KINDS and op.flag in self._spun_on

    def moves_with(self, move: Callable[[Moves], None]) -> None:
        """Say what becomes of the variables that work moves when it ends."""
        self._device.move = move

    def interpreter(self, actor: Actor) -> None:
        """Wait while another thread of the rank blocks with the interpreter lock held (G45).

        The lock is the device's: a real one would stop the harness too.
        """
        if self._gil_is_kept:
            self._device.outside(actor.name).step()

    def perform(self, actor: Actor, op: Any) -> Any:
        """Perform a call step by step; what it gives."""
        if op.kind == "cpu_gpu_event_record":
            return self._events.record(str(actor), op)
        if op.kind == "cpu_gpu_event_wait":
            return self._events.wait(str(actor), op)
        call = perform(self._device, actor.name, op)
        while not call.done:
            with self._gates.step(str(actor)):
                call.step()
        return call.value


class Devices:
    """The emulated devices of one place."""

    def __init__(
        self,
        world: World,
        ranks: Sequence[int],
        observer: Observer,
        closed: bool,
        seed: int,
        tell: Callable[[Any], None],
        event_class: Callable[[], type] = library_event,
        folder: Path = Path(),
    ) -> None:
        self._world = world
        self._event_class = event_class
        self._meetings = Meetings(world, lambda fact: tell(list(fact)))
        self._paces = {rank: Gated(seed + rank) if closed else Free(seed + rank) for rank in ranks}
        self._devices = {
            rank: EmulatedDevice(rank, world, self._meetings, observer, self._paces[rank])
            for rank in ranks
        }

    def calls(self, rank: int, gates: Gates) -> DeviceCalls:
        """How the host threads of a rank call its device."""
        return DeviceCalls(self._world, rank, self._devices[rank], gates, self._event_class)

    def tell(self, fact: Sequence[Any]) -> None:
        """A fact about a kernel of another place."""
        self._meetings.tell(Fact(*fact))

    def step(self, actor: str, choice: int | None) -> str | None:
        """Take one later step of a stream; why not, if it can't be taken."""
        rank, _, stream = actor.partition(".")
        try:
            self._devices[int(rank)].step(stream, choice)
        except NotAllowed as why:
            return str(why)
        return None

    def open(self) -> None:
        """Let streams go on by themselves."""
        for pace in self._paces.values():
            if isinstance(pace, Gated):
                pace.open()

    def await_idle(self) -> None:
        """Wait until every stream is empty."""
        for device in self._devices.values():
            device.synchronize()

    def abort(self) -> None:
        """Nothing is left on an emulated GPU when its process ends."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Where every stream with work left, and every call that waits for a device, stands."""
        return [
            {
                "actor": standing.actor,
                "doing": standing.doing,
                "holds": len(standing.holds),
                "why": standing.why,
            }
            for device in self._devices.values()
            for standing in device.snapshot()
        ]
