"""`torch_nccl`: one batch of torch's sends and receives on the device group.

Rules:
- On NCCL this is one group launch on the process group's own stream, which waits for the stream of
  the communicator, and the other way round afterwards; the host waits for neither (N26).
- The host may block in the end of the group at first contact.  All ranks of a group that connects
  lazily have to join its first batch, and a rank without transfers joins no batch: seen to hang on
  four ranks (N23a).  So the group is connected before, with `connect`, as the factory does.
- On a gloo group it moves rows in host memory, and the host waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator, ExchangeError, Transfer
from eplb_real.streams import Stream, on_stream


class TorchDistNcclEplbCommunicator(EplbCommunicator):
    """Exchanges rows over a device group of torch, or a gloo group for rows in host memory.

    Parameters: legacy_global_peer passes ranks of the group where torch takes global ones, as
    vLLM 0.20 did: a rank outside the group is a ValueError of `add_*` then, one inside it is
    another peer, without a word (vllm#55804).
    """

    name: ClassVar[str] = "torch_nccl"

    def __init__(
        self,
        ep_group: dist.ProcessGroup,
        stream: Stream | None = None,
        *,
        legacy_global_peer: bool = False,
    ) -> None:
        super().__init__(dist.get_rank(ep_group), dist.get_world_size(ep_group), stream)
        self._group = ep_group
        self._legacy_global_peer = legacy_global_peer

    def connect(self, device: torch.device) -> None:
        """Make the group's own communicator now; all ranks call it at the same time."""
        dist.all_reduce(torch.zeros(1, device=device), group=self._group)

    def _queue(self, transfer: Transfer) -> None:
        self._operation(transfer)  # refuses a peer that torch doesn't know before it is queued
        super()._queue(transfer)

    def _exchange(self, batch: Sequence[Transfer]) -> None:
        if not batch:
            return
        with on_stream(self._stream):
            try:
                requests = dist.batch_isend_irecv([self._operation(each) for each in batch])
            except RuntimeError as error:
                self._close(batch)
                raise ExchangeError(f"{self.name}: cannot start {_all(batch)}: {error}") from error
            for request in requests:
                try:
                    request.wait()
                except RuntimeError as error:
                    raise ExchangeError(f"{self.name}: {_all(batch)} failed: {error}") from error

    def _operation(self, transfer: Transfer) -> dist.P2POp:
        operation = dist.isend if transfer.direction == "send" else dist.irecv
        row = transfer.tensor.detach()
        if self._legacy_global_peer:
            return dist.P2POp(operation, row, transfer.peer, self._group)
        return dist.P2POp(operation, row, group=self._group, group_peer=transfer.peer)

    def _close(self, batch: Sequence[Transfer]) -> None:
        """End the group launch that torch leaves open when posting fails in it."""
        group: Any = self._group  # the only way to end it is private to torch
        device = batch[0].tensor.device
        with suppress(RuntimeError):
            if group._get_backend(device).supports_coalescing:  # noqa: SLF001
                group._end_coalescing(device)  # noqa: SLF001


def _all(batch: Sequence[Transfer]) -> str:
    """A batch in words; a group completes as a whole, so nothing tells which transfer failed."""
    more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
    return f"the {batch[0]}{more}"
