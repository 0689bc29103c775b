"""An accelerator that isn't there: named streams and events that finish at once.

Rules:
- Tensors are on the CPU, so whatever is enqueued is done; what the host waits for is recorded.
- Modules of vLLM get `torch` with these in place of streams, events and devices; torch itself is
  not touched.
- A thread's current stream is its own: `compute` for the main thread, else `unordered`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eplb_real.vllm.recorder import Recorder


class Over:
    """An object with other values for some of its attributes."""

    def __init__(self, under: Any, **over: Any) -> None:
        self.__dict__.update(over)
        self._under = under

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


class Accelerator:
    """Streams and events of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._now = threading.local()
        self._streams = {name: Stream(name, self) for name in ("compute", "side", "unordered")}

    def torch(self, **distributed: Any) -> Any:
        """`torch` as modules of vLLM shall see it, with other functions for `torch.distributed`."""
        torch: Any = importlib.import_module("torch")
        return Over(
            torch,
            Event=Event,
            Stream=lambda device=None: self._streams["side"],
            cuda=Over(
                torch.cuda,
                Event=Event,
                Stream=lambda device=None: self._streams["side"],
                stream=self.entered,
                current_stream=self.current_stream,
            ),
            accelerator=Over(
                torch.accelerator,
                current_accelerator=lambda: "fake",
                current_stream=self.current_stream,
                set_stream=self._set_stream,
                set_device_index=lambda index: None,
                synchronize=lambda: None,
            ),
            distributed=Over(torch.distributed, **distributed),
        )

    def current_stream(self, device: Any = None) -> Stream:
        """The calling thread's current stream."""
        default = "compute" if self._recorder.is_main() else "unordered"
        found: Stream = getattr(self._now, "stream", self._streams[default])
        return found

    @contextmanager
    def entered(self, stream: Stream | None) -> Iterator[None]:
        """A stream as the current one; None changes nothing."""
        before = self.current_stream()
        self._set_stream(stream or before)
        try:
            yield
        finally:
            self._set_stream(before)

    @contextmanager
    def staging(self) -> Iterator[None]:
        """The communicator at work: what is synchronised is the copy to the host."""
        self._now.staging = True
        try:
            yield
        finally:
            self._now.staging = False

    def synchronize(self, stream: Stream) -> None:
        """Wait for a stream, for which there is never a need; say that it was done."""
        if getattr(self._now, "staging", False):
            told = self._recorder.call("copy", direction="d2h", stream=stream.name, blocking=True)
        else:
            told = self._recorder.call("stream_synchronize", stream=stream.name)
        with told:
            pass

    def _set_stream(self, stream: Stream) -> None:
        self._now.stream = stream


class Stream:
    """A stream that has a name and nothing in it."""

    def __init__(self, name: str, accelerator: Accelerator) -> None:
        self.name = name
        self._accelerator = accelerator

    def synchronize(self) -> None:
        """Wait for it."""
        self._accelerator.synchronize(self)


class Event:
    """A device event: done as soon as it is recorded."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.recorded = False

    def record(self, stream: Any = None) -> None:
        """Record it."""
        self.recorded = True

    def wait(self, stream: Any = None) -> None:
        """Let a stream wait for it.

        Raises
        ------
        AssertionError
            For an event that nobody has recorded.
        """
        assert self.recorded, "a stream waits for an event that was never recorded"
