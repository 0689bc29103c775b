"""`torch_gloo`: rows go through host memory and a gloo group; the host waits for all of it.

Rules:
- Copies to the host are waited for before anything is sent: the staging memory is pinned, so they
  really are asynchronous.
- Rows that are in host memory already are sent and received in place.
- Received rows are copied to the device on the stream; the host doesn't wait for that.
- All requests are waited for, also after one failed; then no staged row reaches the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator, ExchangeError, Transfer
from eplb_real.streams import Stream, on_stream, synchronize


class TorchDistGlooStagedEplbCommunicator(EplbCommunicator):
    """Exchanges rows over a gloo group, from any device.

    Parameters: cpu_group is a gloo group; legacy_global_peer passes ranks of the group where torch
    takes global ones, as vLLM 0.20 did: right only where both are the same (vllm#55804);
    always_stage copies rows that are in host memory too, so that a CPU shows what a GPU does.
    A request that fails or times out leaves gloo's connection to that peer closed: the next batch
    with it fails too, until there is a new group.
    """

    name: ClassVar[str] = "torch_gloo"

    def __init__(
        self,
        cpu_group: dist.ProcessGroup,
        stream: Stream | None = None,
        *,
        legacy_global_peer: bool = False,
        always_stage: bool = False,
    ) -> None:
        super().__init__(dist.get_rank(cpu_group), dist.get_world_size(cpu_group), stream)
        self._group = cpu_group
        self._legacy_global_peer = legacy_global_peer
        self._always_stage = always_stage

    def _exchange(self, batch: Sequence[Transfer]) -> None:
        with on_stream(self._stream):
            host = [self._staged(transfer) for transfer in batch]
            for device in {each.tensor.device for each in batch if each.direction == "send"}:
                synchronize(self._stream, device)
            self._travel(batch, host)
            for transfer, staged in zip(batch, host, strict=True):
                if transfer.direction == "receive" and self._is_staged(transfer.tensor):
                    transfer.tensor.detach().copy_(staged, non_blocking=True)

    def _is_staged(self, row: torch.Tensor) -> bool:
        return self._always_stage or row.device.type != "cpu"

    def _staged(self, transfer: Transfer) -> torch.Tensor:
        """Host memory for a row: itself if it is there, else pinned where that exists."""
        row = transfer.tensor.detach()
        if not self._is_staged(row):
            return row
        host = torch.empty(row.shape, dtype=row.dtype, pin_memory=torch.cuda.is_available())
        if transfer.direction == "send":
            host.copy_(row, non_blocking=True)
        return host

    def _travel(self, batch: Sequence[Transfer], host: Sequence[torch.Tensor]) -> None:
        """Post everything, wait for everything."""
        requests = []
        for transfer, staged in zip(batch, host, strict=True):
            try:
                requests.append(self._post(transfer, staged))
            except RuntimeError as error:
                raise ExchangeError(
                    f"{self.name}: cannot start the {transfer}: {error}; "
                    f"{len(requests)} requests before it stay posted, the group is of no more use"
                ) from error
        failures = [
            (transfer, failure)
            for transfer, request in zip(batch, requests, strict=True)
            if (failure := _waited(request)) is not None
        ]
        if failures:
            transfer, first = failures[0]
            raise ExchangeError(
                f"{self.name}: {transfer} failed: {first} "
                f"({len(failures)} of {len(batch)} transfers; rows on a device are untouched)"
            ) from first

    def _post(self, transfer: Transfer, staged: torch.Tensor) -> Any:
        """A request of torch; its type differs by backend."""
        if transfer.direction == "send":
            side = "dst" if self._legacy_global_peer else "group_dst"
            return dist.isend(staged, group=self._group, **{side: transfer.peer})
        side = "src" if self._legacy_global_peer else "group_src"
        return dist.irecv(staged, group=self._group, **{side: transfer.peer})


def _waited(request: Any) -> RuntimeError | None:
    """The error in which a request ended, if it did."""
    try:
        request.wait()
    except RuntimeError as error:
        return error
    return None
