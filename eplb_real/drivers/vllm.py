"""vLLM's `CpuGpuEvent` in place of ours, in one process over the emulated devices.

Rules:
- Everything else is as on threads: the same programs, the same schedules, the same questions.
- A scenario without a two-thread event has nothing of vLLM's in it and is declined.
- One version per process; each version is a driver of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_real.drivers.base import TWO_THREAD_KINDS, Driver
from eplb_real.drivers.threads import THREADS
from eplb_real.vllm.events import event_class
from eplb_real.vllm.wheel import REFERENCE, VERSIONS, cache, is_there

NAME = "vllm"


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    kinds = {op.kind for program in scenario.world.programs for op in program.code}
    return [] if kinds & set(TWO_THREAD_KINDS) else ["it has no two-thread event"]


def _lacks(version: str) -> list[str]:
    if is_there(version):
        return []
    return [f"the wheel of vLLM {version} in {cache()}; see eplb-real fetch-vllm"]


def driver_name(version: str = REFERENCE) -> str:
    """What the driver of a version is called.

    >>> driver_name()
    'vllm-0.20.0'
    """
    return f"{NAME}-{version}"


BY_VERSION: Mapping[str, Driver] = {
    version: replace(
        THREADS,
        name=driver_name(version),
        modules=("torch",),
        declines=_declines,
        event_class=partial(event_class, version),
        lacks=partial(_lacks, version),
    )
    for version in VERSIONS
}
