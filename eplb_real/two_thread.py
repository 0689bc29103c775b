"""A `CpuGpuEvent`, the library's or vLLM's, made to stop between its atomic steps.

Rules (specs/semantics.md#cpu-gpu-event-record):
- The driver says whose class it is; what it makes before its first call is no step.
- b1 and b4, a1 and a4 are calls of the flag; b2 is the call of the event factory; a3 is the
  event's `wait`.  b3 and a2 begin where the attribute is loaded, so the attribute stops too.
- b3 loads and records in one step: the record follows the load before the thread stops again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from eplb_real.emulated.device import EmulatedDevice
from eplb_real.errors import Raised
from eplb_real.gates import Gates


class SteppedEvents:
    """The two-thread events of one rank, by name, made when they are first used."""

    def __init__(
        self, device: EmulatedDevice, gates: Gates, event_class: Callable[[], type]
    ) -> None:
        self._device = device
        self._gates = gates
        self._event_class = event_class
        self._making = threading.Lock()
        self._events: dict[str, Any] = {}
        self._now = threading.local()  # what this thread is performing: actor, side, raises

    def record(self, actor: str, op: Any) -> None:
        """Perform the producer's half."""
        event = self._event(op.event)
        self._now.actor, self._now.side, self._now.raises = actor, "record", op.raises
        event.record(self._device.stream(op.stream))

    def wait(self, actor: str, op: Any) -> None:
        """Perform the consumer's half."""
        event = self._event(op.event)
        self._now.actor, self._now.side, self._now.raises = actor, "wait", op.raises
        event.wait(self._device.stream(op.stream))

    def _event(self, name: str) -> Any:
        with self._making:
            if name not in self._events:
                self._now.side = "make"
                made = stepped_class(self._event_class())(
                    event_factory=self._device_event,
                    flag_factory=lambda: _SteppedFlag(self),
                )
                made.before_load = self._load
                self._events[name] = made
            return self._events[name]

    def _device_event(self) -> Any:
        """A device event: b2, or the one that an object has from the beginning."""
        making = self._now.side == "make"
        made = self._device.event() if making else self.step(self._device.event)
        return _SteppedEvent(self, made)

    def step(self, does: Callable[[], Any]) -> Any:
        """One atomic step of the calling thread."""
        with self._gates.step(self._now.actor):
            return does()

    def fail(self, step: str) -> None:
        """Raise where the scenario asked for it."""
        if self._now.raises == step:
            raise Raised("fault", f"{step} raises")

    def _load(self) -> None:
        """A step begins: a2 of a waiter, b3 of a producer."""
        if self._now.side == "record":
            self.step(lambda: self.fail("b3"))
        else:
            self.step(lambda: None)


class _SteppedFlag:
    def __init__(self, events: SteppedEvents) -> None:
        self._events = events
        self._flag = threading.Event()

    def is_set(self) -> bool:
        return bool(self._events.step(self._flag.is_set))

    def set(self) -> None:
        self._events.step(self._flag.set)

    def clear(self) -> None:
        self._events.step(self._flag.clear)

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self._events.step(lambda: self._flag.wait(timeout)))


class _SteppedEvent:
    def __init__(self, events: SteppedEvents, event: Any) -> None:
        self._events = events
        self._event = event

    def record(self, stream: Any = None) -> None:
        self._event.record(stream)

    def wait(self, stream: Any = None) -> None:
        self._events.step(lambda: self._wait(stream))

    def _wait(self, stream: Any) -> None:
        self._events.fail("a3")
        self._event.wait(stream)


def stepped_class(library: Any) -> type:
    """`CpuGpuEvent` whose attribute stops before it is loaded."""

    class Stepped(library):  # type: ignore[misc]  # its base is loaded only where it is needed
        before_load: Callable[[], None] | None = None
        loaded: Any = None

        @property
        def _event(self) -> Any:
            if self.before_load is not None:
                self.before_load()
            return self.loaded

        @_event.setter
        def _event(self, event: Any) -> None:
            self.loaded = event

    return Stepped
