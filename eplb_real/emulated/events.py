"""Events with CUDA's capture semantics, and the surface that torch gives them.

Rules (specs/semantics.md#record-event; G33-G36): a record captures what the stream holds at the
call; a wait binds to the record before it, later records don't move it; without a record, waiting
is no wait and a query says done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eplb_real.emulated import host_calls
from eplb_real.emulated.queues import Item

if TYPE_CHECKING:
    from eplb_real.emulated.device import EmulatedDevice
    from eplb_real.emulated.streams import EmulatedStream


class EmulatedEvent:
    """What `torch.Event` offers; the calling thread is the one that waits."""

    def __init__(self, device: EmulatedDevice, name: str = "") -> None:
        self.name = name
        self.mark: Item | None = None  # the latest record
        self._device = device

    def record(self, stream: EmulatedStream | None = None) -> None:
        """Capture what a stream, by default the current one, holds now."""
        self._device.record(self, stream or self._device.current_stream())

    def wait(self, stream: EmulatedStream | None = None) -> None:
        """Let a stream, by default the current one, wait for the record of now."""
        self._device.stream_wait(stream or self._device.current_stream(), self)

    def query(self) -> bool:
        """Whether the latest record is done; true if there is none."""
        what = f"query event {self.name}".rstrip()
        done: bool = self._device.call(what, host_calls.event_query(self)).finish()
        return done

    def synchronize(self) -> None:
        """Let the calling thread wait for the record of now."""
        what = f"synchronize event {self.name}".rstrip()
        self._device.call(what, host_calls.event_synchronize(self._device, self)).finish()


@dataclass(slots=True)
class Pair:
    """What a `CpuGpuEvent` consists of: the event object in its attribute, and the flag."""

    name: str
    event: EmulatedEvent
    flag: bool = False
