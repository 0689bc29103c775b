"""Exchanges by NCCL, called directly: one group on the stream of the scenario itself."""

from __future__ import annotations

import nccl.core as nccl
import torch
import torch.distributed as dist

from eplb_real.cuda.exchanges import Communicator, NcclDevices
from eplb_real.nccl import Order


class Direct(Communicator):
    """A communicator of NCCL's own interface; the unique id travels through the store."""

    def __init__(self, name: str, store: dist.Store, order: Order, rank: int, ranks: int) -> None:
        super().__init__(order, rank, ranks)
        if rank == 0:
            store.set(name, bytes(nccl.get_unique_id().as_bytes))
        unique = nccl.UniqueId.from_bytes(bytes(store.get(name)))
        config = nccl.NCCLConfig(
            min_ctas=order.channels, max_ctas=order.channels, cga_cluster_size=order.cluster
        )
        self._nccl = nccl.Communicator.init(ranks, rank, unique, config)

    def exchange(self, stream: torch.cuda.Stream) -> None:
        """Put the sends and receives on a stream, as one kernel."""
        nccl.group_start()
        for peer, buffer in self.sends:
            self._nccl.send(buffer, peer, stream=int(stream.cuda_stream))
        for peer, buffer in self.receives:
            self._nccl.recv(buffer, peer, stream=int(stream.cuda_stream))
        nccl.group_end()

    def abort(self) -> None:
        """Let its kernels go, whoever they wait for."""
        self._nccl.abort()


class Devices(NcclDevices):
    """The GPU of one place, with NCCL called directly."""

    communicator = Direct
