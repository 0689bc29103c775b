"""Host calls of which one wants to know whether they return while something spins.

Everything that a call needs is made ready beforehand, so that the call itself is what is measured.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping

import torch
from cuda.bindings import driver

MIB = 1 << 20


class HostCalls:
    """The calls by name, with their buffers; the stream is one that is idle otherwise."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._device = torch.zeros(MIB, device="cuda")
        self._other = torch.zeros(MIB, device="cuda")
        self._pinned = torch.zeros(MIB, pin_memory=True)
        self._pageable = torch.zeros(MIB)
        self._event = torch.cuda.Event()
        self._event.record(stream)
        torch.cuda.synchronize()
        self._frees = [driver.cuMemAlloc(MIB)[1] for _ in range(8)]
        self._host_frees = [driver.cuMemHostAlloc(MIB, 0)[1] for _ in range(8)]
        self._graph = torch.cuda.CUDAGraph()
        self._device.add_(1)
        torch.cuda.synchronize()
        with torch.cuda.graph(self._graph):
            self._device.add_(1)
        self._copying = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._copying):
            self._pinned.copy_(self._device, non_blocking=True)
        self._far: torch.Tensor | None = None  # on another GPU
        self._again = torch.cuda.Event()
        self._called = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        self._host_function = driver.CUhostFn(ctypes.cast(self._called, ctypes.c_void_p).value)
        for name in self.warm:
            self.make(name)
        for put in self.on(stream).values():
            put()
        torch.cuda.synchronize()

    warm = (
        "record", "wait", "event_synchronize", "h2d_pinned", "h2d_pageable", "d2h_pinned",
        "d2h_pageable", "item", "d2d", "graph", "peer_free_launch",
    )  # fmt: skip

    @property
    def names(self) -> Mapping[str, Callable[[], object]]:
        """Every call by name."""
        return {
            "malloc": lambda: driver.cuMemAlloc(64 * MIB),
            "host_alloc": lambda: driver.cuMemHostAlloc(16 * MIB, 0),
            "free": lambda: driver.cuMemFree(self._frees.pop()),
            "host_free": lambda: driver.cuMemFreeHost(self._host_frees.pop()),
            "empty_cache": self._empty_cache,
            "device_synchronize": torch.cuda.synchronize,
            "stream_synchronize": self._stream.synchronize,
            "event_create_record": lambda: torch.cuda.Event().record(self._stream),
            "record": lambda: self._event.record(self._stream),
            "wait": lambda: self._event.wait(self._stream),
            "event_synchronize": self._event.synchronize,
            "h2d_pinned": lambda: self._copy(self._device, self._pinned),
            "h2d_pageable": lambda: self._copy(self._device, self._pageable),
            "d2h_pinned": lambda: self._copy(self._pinned, self._device),
            "d2h_pageable": lambda: self._copy(self._pageable, self._device),
            "d2d": lambda: self._copy(self._other, self._device),
            "item": self._item,
            "graph": self._replay,
            "peer_free_launch": self._add,
            "stream_create": lambda: driver.cuStreamCreate(1),
        }

    def on(self, stream: torch.cuda.Stream) -> Mapping[str, Callable[[], object]]:
        """Work for a stream by name; none of the calls waits for the device by itself."""
        handle = driver.CUstream(stream.cuda_stream)
        address = driver.CUdeviceptr(self._device.data_ptr())
        pinned = self._pinned.data_ptr()

        def replay(graph: torch.cuda.CUDAGraph) -> None:
            with torch.cuda.stream(stream):
                graph.replay()

        found: dict[str, Callable[[], object]] = {
            "record": lambda: self._again.record(stream),
            "wait": lambda: self._event.wait(stream),
            "memset": lambda: driver.cuMemsetD8Async(address, 0, MIB, handle),
            "d2d": lambda: driver.cuMemcpyDtoDAsync(
                driver.CUdeviceptr(self._other.data_ptr()), address, MIB, handle
            ),
            "h2d_pinned": lambda: driver.cuMemcpyHtoDAsync(address, pinned, MIB, handle),
            "d2h_pinned": lambda: driver.cuMemcpyDtoHAsync(pinned, address, MIB, handle),
            "write_value": lambda: driver.cuStreamWriteValue32(handle, address, 1, 0),
            "host_function": lambda: driver.cuLaunchHostFunc(handle, self._host_function, 0),
            "graph_of_a_kernel": lambda: replay(self._graph),
            "graph_of_a_copy": lambda: replay(self._copying),
        }
        if torch.cuda.device_count() > 1:
            found["peer_copy"] = lambda: self._to_a_peer(stream)
        return found

    def _to_a_peer(self, stream: torch.cuda.Stream) -> None:
        if self._far is None:
            other = (torch.cuda.current_device() + 1) % torch.cuda.device_count()
            self._far = torch.zeros_like(self._device, device=f"cuda:{other}")
        with torch.cuda.stream(stream):
            self._far.copy_(self._device, non_blocking=True)

    def make(self, name: str) -> None:
        """Make a call.  KeyError for a name that is not there."""
        self.names[name]()

    def _copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)

    def _item(self) -> None:
        with torch.cuda.stream(self._stream):
            self._device[0].item()

    def _add(self) -> None:
        with torch.cuda.stream(self._stream):
            self._other.add_(1)

    def _replay(self) -> None:
        with torch.cuda.stream(self._stream):
            self._graph.replay()

    def _empty_cache(self) -> None:
        block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
        del block
        torch.cuda.empty_cache()
