"""The surface that torch gives a stream, over a stream of an emulated device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eplb_real.emulated import host_calls

if TYPE_CHECKING:
    from eplb_real.emulated.device import EmulatedDevice
    from eplb_real.emulated.events import EmulatedEvent


class EmulatedStream:
    """What `torch.Stream` offers; two handles of one name are one stream."""

    def __init__(self, device: EmulatedDevice, name: str) -> None:
        self.device = device
        self.name = name

    def wait_event(self, event: EmulatedEvent) -> None:
        """Later work waits for the record that the event holds now."""
        self.device.stream_wait(self, event)

    def record_event(self, event: EmulatedEvent | None = None) -> EmulatedEvent:
        """Record an event, a new one by default, and return it."""
        recorded = event or self.device.event()
        self.device.record(recorded, self)
        return recorded

    def wait_stream(self, stream: EmulatedStream) -> None:
        """Later work waits for all that another stream holds now."""
        self.wait_event(stream.record_event())

    def synchronize(self) -> None:
        """Let the calling thread wait for all that the stream holds now."""
        steps = host_calls.stream_synchronize(self.device, self.name)
        self.device.call(f"synchronize {self.name}", steps).finish()

    def query(self) -> bool:
        """Whether the stream is empty."""
        steps = host_calls.stream_query(self.device, self.name)
        empty: bool = self.device.call(f"query {self.name}", steps).finish()
        return empty

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, EmulatedStream) and self.device is other.device
        return same and self.name == getattr(other, "name", None)

    def __hash__(self) -> int:
        return hash((id(self.device), self.name))

    def __repr__(self) -> str:
        return f"<stream {self.device.rank}.{self.name}>"
