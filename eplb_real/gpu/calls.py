"""Host calls of which one wants to know whether they return while something spins.

Everything that a call needs is made ready beforehand, so that the call itself is what is measured.
"""

from __future__ import annotations

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
        for name in self.warm:
            self.make(name)
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
