"""The stand-in kernels on one GPU: compiled at run time, launched with clusters and as gangs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from cuda.bindings import driver

from eplb_real import nvidia
from eplb_real.gpu.page import PAGE_BYTES, Page
from eplb_real.gpu.words import defines, of_rank
from eplb_real.nvidia import Shape, checked

KERNELS = ("gang", "channels", "spinner", "census", "stamp")


class Launcher:
    """The kernels of one GPU, whose context is current in the calling thread."""

    def __init__(self, page: Page, rank: int) -> None:
        self.rank = rank
        self._host_address, self._page_address = nvidia.registered(page.words, PAGE_BYTES)
        self._functions = nvidia.loaded(nvidia.compiled(defines(), "standins.cu"), KERNELS)
        self.local = int(checked("cuMemAlloc", driver.cuMemAlloc(64)))
        self._generation = int(checked("cuMemAlloc", driver.cuMemAlloc(4)))

    def launch(self, kernel: str, shape: Shape, stream: int, arguments: Sequence[Any]) -> None:
        """Put a kernel on a stream; its first argument, the page, is added here.

        Parameters: stream is the driver's handle; arguments are (value, ctypes type) pairs.
        Raises DriverError, for a gang that could never be resident among others.
        """
        given = [(self._page_address, ctypes.c_void_p), *arguments]
        nvidia.launch(self._functions[kernel], shape, stream, given)

    def new_stream(self, priority: int = 0) -> int:
        """A new non-blocking stream, kept as long as the process; lower is more urgent."""
        flags = int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        made = driver.cuStreamCreateWithPriority(flags, priority)
        return int(checked("cuStreamCreateWithPriority", made))

    def stream_waits(self, stream: int, event: int) -> None:
        """Let a stream wait for an event's record."""
        given = driver.CUstream(stream), driver.CUevent(event)
        checked("cuStreamWaitEvent", driver.cuStreamWaitEvent(*given, 0))

    def prepare(self, generation: int) -> None:
        """Make ready for the next meeting; only while nothing runs, for it fills memory."""
        for index, value in enumerate((0, 0, 0)):
            checked("cuMemsetD32", driver.cuMemsetD32(self.local + 4 * index, value, 1))
        checked("cuMemsetD32", driver.cuMemsetD32(self._generation, generation, 1))
        checked("cuCtxSynchronize", driver.cuCtxSynchronize())  # no stream of ours waits for it

    def tell(self, word: int, stream: int) -> None:
        """Write the generation into a word once a stream has come here: a copy, it needs no SM."""
        checked(
            "cuMemcpyDtoHAsync",
            driver.cuMemcpyDtoHAsync(
                self._host_address + 4 * of_rank(self.rank, word),
                self._generation,
                4,
                driver.CUstream(stream),
            ),
        )
