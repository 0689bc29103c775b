"""Programs on real threads over emulated devices, to the end or to where nobody can go on.

Rule: no clock says that a run hangs.  It hangs when, looked at under the one monitor, every host
thread that is left waits in a call that may not return, and no stream may go on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from eplb_model.scenario import Scenario
from eplb_model.world import HostOperation, World
from eplb_real.emulated import (
    DeviceAborted,
    EmulatedDevice,
    Free,
    Meetings,
    Misuse,
    Observer,
    Standing,
    Violation,
    perform,
)
from eplb_real.emulated.calls import TABLE

DEADLINE = 20.0  # seconds; nothing here takes a tenth of it unless the test is broken


@dataclass
class Told(Observer):
    """Notes what it is told."""

    items: list[tuple[str, str]] = field(default_factory=list)
    starts: list[tuple[str, str, int]] = field(default_factory=list)
    overlaps: list[tuple[tuple[str, str], str]] = field(default_factory=list)

    def item(self, actor: str, work: str) -> None:
        self.items.append((actor, work))

    def started(self, actor: str, work: str, ctas: int) -> None:
        self.starts.append((actor, work, ctas))

    def overlap(self, rank: int, actors: tuple[str, str], buffer: str) -> None:
        self.overlaps.append((actors, buffer))


@dataclass(frozen=True)
class Outcome:
    """How a run came to its end; `standing` says who was where."""

    completed: bool
    standing: tuple[Standing, ...]
    errors: tuple[str, ...]
    told: Told


def devices_of(world: World, seed: int = 0, told: Told | None = None) -> list[EmulatedDevice]:
    meetings = Meetings(world)
    return [
        EmulatedDevice(rank, world, meetings, told, Free(seed + rank))
        for rank in range(len(world.ranks))
    ]


def run(described: Scenario, seed: int = 0) -> Outcome:
    """Run programs without branches, and abort what is left; what uses no device is left out."""
    told = Told()
    devices = devices_of(described.world, seed, told)
    left = {str(actor) for actor in described.world.threads}
    errors: list[str] = []
    monitor = devices[0].monitor

    def perform_all(device: EmulatedDevice, name: str, code: Sequence[HostOperation]) -> None:
        try:
            for op in code:
                if op.kind in TABLE:
                    perform(device, name, op).finish()
        except (DeviceAborted, Misuse, Violation) as error:
            errors.append(f"{type(error).__name__} {error}")
        with monitor:
            left.discard(f"{device.rank}.{name}")
            device.meetings.changed()

    threads = [
        threading.Thread(target=perform_all, args=(device, program.name, program.code))
        for device, rank in zip(devices, described.world.ranks, strict=True)
        for program in rank.threads
    ]
    for thread in threads:
        thread.start()
    with monitor:
        ended = monitor.wait_for(lambda: is_at_rest(devices, left), DEADLINE)
        standing = tuple(each for device in devices for each in device.snapshot())
        completed = ended and not left and not standing
    for device in devices:
        device.abort()
    for thread in threads:
        thread.join(DEADLINE)
    assert ended, f"still moving after {DEADLINE} s: {standing}"
    return Outcome(completed, standing, tuple(sorted(errors)), told)


def is_at_rest(devices: list[EmulatedDevice], left: set[str]) -> bool:
    """Whether nobody can go on: who is left waits in a call, and no stream has a turn."""
    waiting = {each.actor for device in devices for each in device.snapshot()}
    return all(device.is_at_rest() for device in devices) and left <= waiting
