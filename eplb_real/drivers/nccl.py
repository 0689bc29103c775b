"""GPUs whose exchanges are NCCL's own, called directly or through torch; the rest as with `cuda`.

Rules:
- A kernel that NCCL can't do with just its channels and clusters is left to a stand-in; a scenario
  of which nothing is left for NCCL is declined.
- NCCL's kernels take no grants: what the model finds on some runs only can't be brought about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_real.drivers.base import Driver
from eplb_real.drivers.cuda import CUDA
from eplb_real.lease import gpus
from eplb_real.nccl import orders
from eplb_real.sharing import is_shared


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    reasons = CUDA.declines(scenario, report)
    there = len(gpus())
    shared = bool(there) and is_shared(len(scenario.world.ranks), there)
    if not orders(scenario.world, shared):
        reasons.append("it has no exchange of two ranks that NCCL does in just this way")
    return reasons


def _with_nccl(name: str, module: str, devices: str) -> Driver:
    """A driver whose exchanges are those of a module of devices."""
    return replace(
        CUDA,
        name=name,
        modules=(*CUDA.modules, module),
        declines=_declines,
        devices=devices,
        enforces=False,
    )


WITH_NCCL: Sequence[Driver] = [
    _with_nccl("cuda-nccl", "nccl.core", "eplb_real.cuda.direct"),
    _with_nccl("cuda-torch-nccl", "torch.distributed", "eplb_real.cuda.through_torch"),
]
