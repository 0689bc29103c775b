"""Every driver by name."""

from __future__ import annotations

from collections.abc import Mapping

from eplb_real.drivers.base import Driver
from eplb_real.drivers.cuda import CUDA
from eplb_real.drivers.gloo import GLOO
from eplb_real.drivers.nccl import WITH_NCCL
from eplb_real.drivers.threads import THREADS
from eplb_real.drivers.vllm import WITH_VLLM

DRIVERS: Mapping[str, Driver] = {
    driver.name: driver for driver in (THREADS, GLOO, CUDA, *WITH_NCCL, *WITH_VLLM)
}
