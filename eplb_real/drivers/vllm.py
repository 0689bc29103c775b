"""vLLM's `CpuGpuEvent` in place of ours: over the emulated devices in one process, or on GPUs.

Rules:
- Everything else is as on threads or with the driver `cuda`: the same programs, the same schedules,
  the same questions.
- A scenario without a two-thread event has nothing of vLLM's in it and is declined.
- One version per process; each version is a driver of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_real.drivers.base import TWO_THREAD_KINDS, Driver
from eplb_real.drivers.cuda import CUDA
from eplb_real.drivers.threads import THREADS
from eplb_real.vllm.events import event_class
from eplb_real.vllm.wheel import REFERENCE, VERSIONS, cache, is_there

NAME = "vllm"
ON_GPUS = "vllm-cuda"


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    kinds = {op.kind for program in scenario.world.programs for op in program.code}
    return [] if kinds & set(TWO_THREAD_KINDS) else ["it has no two-thread event"]


def _lacks(version: str) -> list[str]:
    if is_there(version):
        return []
    return [f"the wheel of vLLM {version} in {cache()}; see eplb-real fetch-vllm"]


def driver_name(version: str = REFERENCE, base: str = NAME) -> str:
    """What the driver of a version is called.

    >>> driver_name()
    'vllm-0.20.0'
    """
    return f"{base}-{version}"


def _with_vllm(driver: Driver, base: str, version: str) -> Driver:
    """A driver that performs the two-thread event of a version."""
    return replace(
        driver,
        name=driver_name(version, base),
        modules=tuple(dict.fromkeys((*driver.modules, "torch"))),
        declines=lambda scenario, report: [
            *driver.declines(scenario, report),
            *_declines(scenario, report),
        ],
        event_class=partial(event_class, version),
        lacks=lambda: [*driver.lacks(), *_lacks(version)],
    )


WITH_VLLM: Sequence[Driver] = [
    _with_vllm(driver, base, version)
    for driver, base in ((THREADS, NAME), (CUDA, ON_GPUS))
    for version in VERSIONS
]
