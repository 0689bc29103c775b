"""The kernels of vectors, built for the registers that a footprint has."""

from __future__ import annotations

from eplb_real import nvidia
from eplb_real.cuda import layout
from eplb_real.nvidia import DriverError

PLAIN = 32  # registers that they need anyhow


def kernels_with(registers: int) -> bytes:
    """The binary in which the kernel takes so many registers per thread.

    Raises DriverError if no build of it does.
    """
    for kept in [0] if registers <= PLAIN else range(registers - PLAIN, registers, 4):
        limit = ["--maxrregcount=32"] if registers <= PLAIN else []
        defines = f"{layout.defines()}#define REGISTERS {kept}\n"
        binary = nvidia.compiled(defines, "vectors.cu", limit)
        found = nvidia.registers_of(nvidia.loaded(binary, ["act"])["act"])
        if -(-found // 8) * 8 == registers or registers <= PLAIN:
            return binary
    raise DriverError(f"no build of the kernel takes {registers} registers")
