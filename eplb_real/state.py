"""What the main thread and the worker thread of one rank share, and who writes it.

Rules:
- `rebalanced` is written by the main thread, and in 0.33 by a worker that stops (`legacy_stop`).
- `pending` is written by the worker (a result) and by the main thread (None); both are single
  assignments, which Python makes atomic.
- Everything else is written by the main thread while the worker waits for `rearrange_event`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
import torch.distributed as dist

from eplb_model.communicators.plan import Ids, Plan
from eplb_real.communicators.base import EplbCommunicator
from eplb_real.events import CpuGpuEvent
from eplb_real.maps import Maps
from eplb_real.streams import Stream

Version: TypeAlias = Literal["0.20", "0.33"]
Policy: TypeAlias = Callable[[torch.Tensor, Sequence[Ids], int], Sequence[Ids]]
Layer: TypeAlias = Sequence[torch.Tensor]


class WorkerError(RuntimeError):
    """A worker thread died; of this rank (the cause is kept) or of another one."""


@dataclass(frozen=True, slots=True)
class Result:
    """A layer that lies complete in the buffer; `planned` is None where the worker stopped."""

    layer: int
    new: Ids
    planned: Plan | None
    consumed: CpuGpuEvent


@dataclass(slots=True)
class Model:
    """One model with experts: weights by layer, one shared buffer, maps, and the handshake.

    Rule: `policy(load, placement, ranks)` is the same pure function on all ranks; load has shape
    (layers, experts) and is on the CPU, placement is (layers, rows).
    """

    name: str
    maps: Maps
    weights: Sequence[Layer]
    buffer: Layer
    communicator: EplbCommunicator
    policy: Policy
    load: torch.Tensor  # (layers, experts) of this rank since the last rearrangement
    batched: bool = False
    rebalanced: bool = False
    pending: Result | None = None
    snapshot: torch.Tensor | None = None  # the load of all ranks, written with the event
    stop_asked: bool = False  # 0.33: this rank wants no more layers in this cycle

    @property
    def layers(self) -> int:
        """How many layers with experts there are."""
        return len(self.weights)


@dataclass(frozen=True, slots=True)
class Groups:
    """The process groups of the ranks, which have the same ranks in the same order."""

    ep_device: dist.ProcessGroup | None  # sums of loads; None where there is one rank
    ep_cpu: dist.ProcessGroup | None  # votes of the main threads
    eplb_cpu: dist.ProcessGroup | None  # votes of the workers
    rank: int = 0
    ranks: int = 1


@dataclass(slots=True)
class Shared:
    """All that the two threads of a rank know of each other."""

    models: Sequence[Model]
    groups: Groups
    version: Version
    new_event: Callable[[], CpuGpuEvent]
    side: Stream  # the worker's own
    rearrange_event: CpuGpuEvent
    legacy_stop: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None  # in which the worker died
    progress: threading.Event = field(default_factory=threading.Event)  # a result or a failure


def votes(group: dist.ProcessGroup | None, mine: int) -> int:
    """The sum of what all ranks say; blocks the host until all have said it."""
    if group is None:
        return mine
    said = torch.tensor([mine], dtype=torch.int32)
    dist.all_reduce(said, group=group)
    return int(said.item())
