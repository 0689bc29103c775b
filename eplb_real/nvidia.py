"""The CUDA driver as the rest uses it: compile, load, launch with attributes, map memory.

Uses `cuda.bindings`, the vendor's own binding of the driver: the one launcher here that sets every
attribute that matters.  A driver error is a `DriverError` with the call's name and the code.
"""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuda.bindings import driver, nvrtc

from eplb_real.kernels import source

CACHE = "~/.cache/eplb-real/kernels"
ALWAYS_ALLOWED = 48 * 1024  # bytes of dynamic shared memory that need no leave
PORTABLE_CLUSTER = 8


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
    spread: bool = False  # whether clusters prefer to be spread over SMs, as NCCL's do (N4)


def checked(call: str, result: tuple[Any, ...]) -> Any:
    """What a call of the driver returns besides its error code.

    Raises DriverError for a code other than success.
    """
    code, *values = result
    if int(code):
        raise DriverError(f"{call}: {code.name} ({int(code)})")
    return values[0] if len(values) == 1 else tuple(values)


def compiled(defines: str, file: str, options: Sequence[str] = ()) -> bytes:
    """The binary of a source in `eplb_real/kernels`, for the device of the current context.

    Parameters: defines goes before the source; options are the compiler's own.
    """
    text = source(file, defines).encode()
    device = checked("cuCtxGetDevice", driver.cuCtxGetDevice())
    version = checked("nvrtcVersion", nvrtc.nvrtcVersion())
    attributes = driver.CUdevice_attribute
    major, minor = (
        checked("cuDeviceGetAttribute", driver.cuDeviceGetAttribute(each, device))
        for each in (
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    words = [f"--gpu-architecture=sm_{major}{minor}".encode(), *(o.encode() for o in options)]
    kept = _kept(text, words, version)
    if kept.exists():
        return kept.read_bytes()
    created = nvrtc.nvrtcCreateProgram(text, file.encode(), 0, [], [])
    program = checked("nvrtcCreateProgram", created)
    (code,) = nvrtc.nvrtcCompileProgram(program, len(words), words)
    if int(code):
        size = checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(program))
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        raise DriverError(f"nvrtcCompileProgram: {log.decode(errors='replace')}")
    size = checked("nvrtcGetCUBINSize", nvrtc.nvrtcGetCUBINSize(program))
    binary: bytes = b" " * size
    checked("nvrtcGetCUBIN", nvrtc.nvrtcGetCUBIN(program, binary))
    _keep(kept, binary)
    return binary


def _kept(source: bytes, options: Sequence[bytes], version: object) -> Path:
    """Where a binary is kept: other sources, options or compilers have other places."""
    key = hashlib.sha256(repr((source, options, version)).encode()).hexdigest()
    return Path(CACHE).expanduser() / f"{key}.cubin"


def _keep(path: Path, binary: bytes) -> None:
    """Keep a binary, in one step: other ranks may write the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(binary)
    Path(file.name).replace(path)


def loaded(binary: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Load a module into the current context; its kernels by name."""
    module = checked("cuModuleLoadData", driver.cuModuleLoadData(binary))
    return {
        name: checked("cuModuleGetFunction", driver.cuModuleGetFunction(module, name.encode()))
        for name in names
    }


def registers_of(function: Any) -> int:
    """How many registers a thread of a kernel takes."""
    asked = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS
    return int(checked("cuFuncGetAttribute", driver.cuFuncGetAttribute(asked, function)))


def launch(function: Any, shape: Shape, stream: int, arguments: Sequence[tuple[Any, Any]]) -> None:
    """Put a kernel on a stream.

    Parameters: stream is the driver's handle; arguments are (value, ctypes type) pairs.
    Raises DriverError, for a gang that could never be resident among others.
    """
    allowed = driver.CUfunction_attribute
    if shape.shared_bytes > ALWAYS_ALLOWED:
        _allow(
            function,
            allowed.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            shape.shared_bytes,
        )
    if shape.cluster > PORTABLE_CLUSTER:
        _allow(function, allowed.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
    values = tuple(value for value, _ in arguments)
    types = tuple(kind for _, kind in arguments)
    config = _config(shape, stream)
    checked("cuLaunchKernelEx", driver.cuLaunchKernelEx(config, function, (values, types), 0))


def registered(words: memoryview, size: int) -> tuple[int, int]:
    """Map memory of the host into the GPU's address space: where the host has it, where the GPU."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(words))
    flags = driver.CU_MEMHOSTREGISTER_PORTABLE | driver.CU_MEMHOSTREGISTER_DEVICEMAP
    checked("cuMemHostRegister", driver.cuMemHostRegister(address, size, flags))
    seen = checked("cuMemHostGetDevicePointer", driver.cuMemHostGetDevicePointer(address, 0))
    return address, int(seen)


def _allow(function: Any, attribute: Any, value: int) -> None:
    checked("cuFuncSetAttribute", driver.cuFuncSetAttribute(function, attribute, value))


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
    if shape.spread:
        attribute = driver.CUlaunchAttribute()
        attribute.id = (
            driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE
        )
        attribute.value.clusterSchedulingPolicyPreference = (
            driver.CUclusterSchedulingPolicy.CU_CLUSTER_SCHEDULING_POLICY_SPREAD
        )
        attributes.append(attribute)
    config.attrs = attributes
    config.numAttrs = len(attributes)
    return config
