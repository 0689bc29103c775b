"""Exchanges by NCCL through torch: a process group's own stream, joined by events on both sides."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist

from eplb_real.cuda.exchanges import Communicator, NcclDevices
from eplb_real.nccl import Order

PATIENCE = timedelta(days=1)  # a hang is for the runner to see, not for a watchdog


class ThroughTorch(Communicator):
    """A process group of torch, in which a batch of sends and receives is one launch."""

    def __init__(self, name: str, store: dist.Store, order: Order, rank: int, ranks: int) -> None:
        super().__init__(order, rank, ranks)
        options = dist.ProcessGroupNCCL.Options()
        options.config.min_ctas = options.config.max_ctas = order.channels
        options.config.cga_cluster_size = order.cluster
        options._timeout = PATIENCE  # noqa: SLF001 (torch has no other name for it)
        own = dist.PrefixStore(name, store)
        self._group = dist.ProcessGroupNCCL(own, rank, ranks, options)

    def exchange(self, stream: torch.cuda.Stream) -> None:
        """Put the sends and receives on a stream, as one kernel."""
        with torch.cuda.stream(stream):
            self._group._start_coalescing()  # noqa: SLF001 (as batch_isend_irecv does)
            for peer, buffer in self.sends:
                self._group.send([buffer], peer, 0)
            for peer, buffer in self.receives:
                self._group.recv([buffer], peer, 0)
            self._group._end_coalescing().wait()  # noqa: SLF001

    def abort(self) -> None:
        """Let its kernels go, whoever they wait for."""
        self._group.abort()


class Devices(NcclDevices):
    """The GPU of one place, with NCCL through torch."""

    communicator = ThroughTorch
