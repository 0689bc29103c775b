"""A host call in its atomic steps.

Rules:
- A call is a generator.  Before each step it yields a *gate*, which says why the step may not be
  taken now, or None; the step itself is what runs up to the next yield.
- Gate and step are looked at and taken under one hold of the monitor, so nothing comes between.
- A call that keeps the interpreter lock takes it in a step of its own, first, and gives it back
  with its last (G45).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from eplb_real.emulated.errors import DeviceAborted, NotAllowed

if TYPE_CHECKING:
    from eplb_real.emulated.device import EmulatedDevice

Gate: TypeAlias = Callable[[], str | None]
Steps: TypeAlias = Generator[Gate, None, Any]


def at_once() -> str | None:
    """The gate of a step that may always be taken."""
    return None


class Call:
    """One call of one host thread; iterate over it to take its steps, as they may be taken."""

    def __init__(
        self, device: EmulatedDevice, by: str, what: str, steps: Steps, gil: bool = False
    ) -> None:
        self.by = by
        self.what = what
        self.done = False
        self.value: Any = None
        self._device = device
        self._steps = steps
        self._keeps_gil = gil
        with device.monitor:
            self._gate = next(steps)
            device.settle()  # an access has begun

    def blocked(self) -> str | None:
        """Why the next step may not be taken now; None if it may, or if the call is done."""
        with self._device.monitor:
            return None if self.done else self._why_not()

    def step(self, timeout: float | None = None) -> None:
        """Wait until the next atomic step may be taken, and take it with all that follows at once.

        Raises
        ------
        NotAllowed
            After `timeout` seconds, with what the step waits for.
        DeviceAborted
            If the device is aborted before.
        Misuse, Fault
            If the call fails; it is over then.
        """
        device = self._device
        deadline = None if timeout is None else time.monotonic() + timeout
        with device.monitor, device.waits(self):
            while (why := self._why_not()) is not None and not device.aborted:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise NotAllowed(why)
                device.monitor.wait(left)
            if device.aborted:
                raise DeviceAborted(f"{self.by}: {self.what}")
            self._take()

    def finish(self) -> Any:
        """Take all steps; return the value of the call."""
        for _ in self:
            pass
        return self.value

    def __iter__(self) -> Call:
        return self

    def __next__(self) -> None:
        if self.done:
            raise StopIteration
        self.step()

    def _why_not(self) -> str | None:
        holder = self._device.gil
        if holder not in (None, self.by):
            return f"needs the interpreter lock, which {holder} holds"
        return self._gate()

    def _take(self) -> None:
        device = self._device
        if self._keeps_gil and device.gil is None:
            device.gil = self.by
            device.settle()
            return
        self.done = True  # whatever the step raises
        try:
            self._gate = next(self._steps)
            self.done = False
        except StopIteration as end:
            self.value = end.value
        finally:
            if self.done and self._keeps_gil:
                device.gil = None
            device.settle()
