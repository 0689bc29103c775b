"""The stand-in kernels on one GPU: compiled at run time, launched with clusters and as gangs.

Uses `cuda.bindings`, the vendor's own binding of the driver: the one launcher here that sets every
attribute that matters.  A driver error is a `DriverError` with the call's name and the code.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from cuda.bindings import driver, nvrtc

from eplb_real.gpu.page import PAGE_BYTES, Page
from eplb_real.gpu.words import defines, of_rank

KERNELS = ("gang", "channels", "spinner", "census", "stamp")


class DriverError(RuntimeError):
    """A call of the CUDA driver or the run-time compiler failed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kernel is launched: its grid, its clusters, its footprint."""

    ctas: int
    cluster: int = 1
    threads: int = 128
    shared_bytes: int = 0
    cooperative: bool = False


class Launcher:
    """The kernels of one GPU, whose context is current in the calling thread."""

    def __init__(self, page: Page, rank: int) -> None:
        self.rank = rank
        self._host_address, self._page_address = _register(page)
        device = _checked("cuCtxGetDevice", driver.cuCtxGetDevice())
        self._functions = _compile(device)
        self.local = int(_checked("cuMemAlloc", driver.cuMemAlloc(64)))
        self._generation = int(_checked("cuMemAlloc", driver.cuMemAlloc(4)))

    def launch(self, kernel: str, shape: Shape, stream: int, arguments: Sequence[Any]) -> None:
        """Put a kernel on a stream; its first argument, the page, is added here.

        Parameters: stream is the driver's handle; arguments are (value, ctypes type) pairs.
        Raises DriverError, for a gang that could never be resident among others.
        """
        function = self._functions[kernel]
        allowed = driver.CUfunction_attribute
        if shape.shared_bytes > 48 * 1024:
            self._allow(
                function,
                allowed.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shape.shared_bytes,
            )
        if shape.cluster > 8:
            self._allow(function, allowed.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
        config = _config(shape, stream)
        given = [(self._page_address, ctypes.c_void_p), *arguments]
        values = tuple(value for value, _ in given)
        types = tuple(kind for _, kind in given)
        _checked("cuLaunchKernelEx", driver.cuLaunchKernelEx(config, function, (values, types), 0))

    def _allow(self, function: Any, attribute: Any, value: int) -> None:
        _checked("cuFuncSetAttribute", driver.cuFuncSetAttribute(function, attribute, value))

    def new_stream(self) -> int:
        """A new non-blocking stream, kept as long as the process."""
        flags = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        return int(_checked("cuStreamCreate", driver.cuStreamCreate(int(flags))))

    def stream_waits(self, stream: int, event: int) -> None:
        """Let a stream wait for an event's record."""
        given = driver.CUstream(stream), driver.CUevent(event)
        _checked("cuStreamWaitEvent", driver.cuStreamWaitEvent(*given, 0))

    def prepare(self, generation: int) -> None:
        """Make ready for the next meeting; only while nothing runs, for it fills memory."""
        for index, value in enumerate((0, 0, 0)):
            _checked("cuMemsetD32", driver.cuMemsetD32(self.local + 4 * index, value, 1))
        _checked("cuMemsetD32", driver.cuMemsetD32(self._generation, generation, 1))

    def tell(self, word: int, stream: int) -> None:
        """Write the generation into a word once a stream has come here: a copy, it needs no SM."""
        _checked(
            "cuMemcpyDtoHAsync",
            driver.cuMemcpyDtoHAsync(
                self._host_address + 4 * of_rank(self.rank, word),
                self._generation,
                4,
                driver.CUstream(stream),
            ),
        )


def _config(shape: Shape, stream: int) -> Any:
    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = shape.ctas, 1, 1
    config.blockDimX, config.blockDimY, config.blockDimZ = shape.threads, 1, 1
    config.sharedMemBytes = shape.shared_bytes
    config.hStream = driver.CUstream(stream)
    attributes = []
    if shape.cooperative:
        attribute = driver.CUlaunchAttribute()
        attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
        attribute.value.cooperative = 1
        attributes.append(attribute)
    if shape.cluster > 1:
        attribute = driver.CUlaunchAttribute()
        attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = shape.cluster
        attribute.value.clusterDim.y = 1
        attribute.value.clusterDim.z = 1
        attributes.append(attribute)
    config.attrs = attributes
    config.numAttrs = len(attributes)
    return config


def _compile(device: Any) -> dict[str, Any]:
    source = defines() + files("eplb_real.kernels").joinpath("standins.cu").read_text()
    attributes = driver.CUdevice_attribute
    numbers = [
        _checked("cuDeviceGetAttribute", driver.cuDeviceGetAttribute(each, device))
        for each in (
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    ]
    options = [f"--gpu-architecture=sm_{numbers[0]}{numbers[1]}".encode()]
    program = _checked(
        "nvrtcCreateProgram",
        nvrtc.nvrtcCreateProgram(source.encode(), b"standins.cu", 0, [], []),
    )
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(code):
        size = _checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(program))
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        raise DriverError(f"nvrtcCompileProgram: {log.decode(errors='replace')}")
    size = _checked("nvrtcGetCUBINSize", nvrtc.nvrtcGetCUBINSize(program))
    binary = b" " * size
    _checked("nvrtcGetCUBIN", nvrtc.nvrtcGetCUBIN(program, binary))
    module = _checked("cuModuleLoadData", driver.cuModuleLoadData(binary))
    return {
        name: _checked("cuModuleGetFunction", driver.cuModuleGetFunction(module, name.encode()))
        for name in KERNELS
    }


def _register(page: Page) -> tuple[int, int]:
    """Map the page into the GPU's address space: where the host has it, where the GPU."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(page.words))
    flags = driver.CU_MEMHOSTREGISTER_PORTABLE | driver.CU_MEMHOSTREGISTER_DEVICEMAP
    _checked("cuMemHostRegister", driver.cuMemHostRegister(address, PAGE_BYTES, flags))
    seen = _checked("cuMemHostGetDevicePointer", driver.cuMemHostGetDevicePointer(address, 0))
    return address, int(seen)


def _checked(call: str, result: tuple[Any, ...]) -> Any:
    """What a call of the driver returns besides its error code."""
    code, *values = result
    if int(code):
        raise DriverError(f"{call}: {code.name} ({int(code)})")
    return values[0] if len(values) == 1 else tuple(values)
