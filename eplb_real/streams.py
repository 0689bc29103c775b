"""Streams and events as this package sees them: the accelerator's, or the host's own.

Rules:
- A stream of None is the current stream of the calling thread, whatever the device.
- A host stream has no queue: its work is done when the call returns, so an event is done once it
  is recorded.  A wait for an event that was never recorded is a no-op, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

import torch

Stream: TypeAlias = Any  # torch.cuda.Stream, torch.Stream, HostStream or one of a test's


class DeviceEvent(Protocol):
    """What the two-thread event needs of an event of a device."""

    def record(self, stream: Stream | None = None) -> None:
        """Mark this point of a stream, the current one by default."""

    def wait(self, stream: Stream | None = None) -> None:
        """Make a stream wait for the mark; the host goes on."""


class HostStream:
    """A stream whose work runs at once, on the thread that asks for it."""

    def __enter__(self) -> HostStream:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def synchronize(self) -> None:
        """Nothing is ever pending."""


class HostEvent:
    """An event of host streams: done once recorded."""

    def __init__(self) -> None:
        self.recorded = False

    def record(self, stream: Stream | None = None) -> None:
        """Mark the point; all work before it has run."""
        self.recorded = True

    def wait(self, stream: Stream | None = None) -> None:
        """Return at once: what was recorded is done, what was not is not waited for."""

    def query(self) -> bool:
        """Whether all work before the mark is done; true for an event without a record."""
        return True


def device_event() -> Callable[[], DeviceEvent]:
    """What makes the events of this machine: `torch.cuda.Event`, or `torch.Event` elsewhere.

    Raises RuntimeError without an accelerator: torch's event of the CPU exists and cannot record.
    """
    if torch.cuda.is_available():
        return _cuda_event
    if torch.accelerator.is_available():
        return _event_of_accelerator
    raise RuntimeError(
        "no accelerator: an event of the CPU cannot be recorded; "
        "expected CpuGpuEvent(event_factory=...), for example eplb_real.HostEvent"
    )


def _cuda_event() -> DeviceEvent:
    event: DeviceEvent = torch.cuda.Event()
    return event


def _event_of_accelerator() -> DeviceEvent:
    event: DeviceEvent = torch.Event()
    return event


def side_stream(device: torch.device) -> Stream:
    """A new stream of a device, a host stream for the CPU."""
    if device.type == "cpu":
        return HostStream()
    return torch.cuda.Stream(device) if device.type == "cuda" else torch.Stream(device)


def on_stream(stream: Stream | None) -> AbstractContextManager[object]:
    """The context in which a stream is the current one of this thread; None changes nothing."""
    if stream is None:
        return nullcontext()
    is_cuda = isinstance(stream, torch.cuda.Stream)
    context: AbstractContextManager[object] = torch.cuda.stream(stream) if is_cuda else stream
    return context


def synchronize(stream: Stream | None, device: torch.device) -> None:
    """Block the host until a stream, None for the current one of a device, has nothing left."""
    if stream is not None:
        stream.synchronize()
    elif device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    elif device.type != "cpu":
        torch.accelerator.current_stream(device).synchronize()
