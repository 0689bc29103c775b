"""The forward pass of the chosen all-to-all backend, and the sums that ranks make on the device.

Rules (specs/protocols.md#forward):
- The stream is `compute`; the host reads the result of every pass.
- Low latency is one kernel, in hook mode a sending one that meets nobody and a receiving one that
  waits for the peers' sending one to end (E9, E13).  Gather and scatter are two kernels (NCCL).
- A sum on the device is a NCCL kernel on the process group's own stream, joined by events (N26).
- What the kernels are is the vector's business: here they are only launched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from eplb_model.communicators.names import weights
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.protocols.settings import Settings
from eplb_model.scenario import Statement

PASSES: Mapping[str, tuple[str, ...]] = {
    "deepep_low_latency": ("moe",),
    "deepep_high_throughput": ("moe",),
    "allgather_reducescatter": ("moe", "moe"),
    "deep_gemm_mega_moe": ("moe",),
}
HOOKED = ("moe_send", "moe_receive")
HAS_HOOK = ("deepep_low_latency",)


def kernels(all2all: str, hook: bool) -> tuple[str, ...]:
    """The kernels of one forward pass, in order.

    Raises ValueError for another backend, and for a hook that the backend has not.

    >>> kernels("allgather_reducescatter", hook=False), kernels("deepep_low_latency", hook=True)
    (('moe', 'moe'), ('moe_send', 'moe_receive'))
    """
    if all2all not in PASSES:
        raise ValueError(f"all2all: got {all2all!r}; expected one of {', '.join(PASSES)}")
    if not hook:
        return PASSES[all2all]
    if all2all not in HAS_HOOK:
        raise ValueError(f"hook: {all2all} has none; expected all2all={', '.join(HAS_HOOK)}")
    return HOOKED


def forward(settings: Settings) -> Iterator[Statement]:
    """One pass over all layers of all models; the last kernel stands for the experts' work."""
    everything = tuple(map(weights, range(settings.models * settings.layers)))
    *before, last = kernels(settings.all2all, settings.hook)
    for kernel in before:
        yield Launch(kernel, "compute")
    yield Launch(last, "compute", reads=everything)
    yield StreamSynchronize("compute")


def summed(buffer: str) -> Iterator[Statement]:
    """An all-reduce on the device of what `compute` has written; the host waits for nothing."""
    yield RecordEvent("before_sum", "compute")
    yield StreamWaitEvent("ep", "before_sum")
    yield Launch("ep_sum", "ep", writes=(buffer,))
    yield RecordEvent("after_sum", "ep")
    yield StreamWaitEvent("compute", "after_sum")
