"""`nixl` of vLLM 0.20: rows are packed into a registered buffer, and the receiver reads them there.

Rules:
- pack on the stream, wait for the stream, agree with all ranks, READ, agree again, unpack on the
  stream.  All ranks take part, also without transfers.
- The first agreement carries where each row lies, so lists that differ are an error of all ranks.
- The second one keeps the next batch from overwriting what a slow rank still reads; vLLM 0.20 has
  none (`fence=False`).
- A row that several peers want is packed once, so one layer's bytes are always enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator, ExchangeError, Transfer
from eplb_real.communicators.nixl import READ_TIMEOUT, Agents, Copy, NixlWrapper, Read, open_nixl
from eplb_real.streams import Stream, on_stream, synchronize


class Span(NamedTuple):
    """Where a row lies in a buffer, in bytes."""

    start: int
    size: int


class Offer(NamedTuple):
    """What a rank tells all others before they read."""

    error: str | None
    spans: dict[int, list[Span]]  # receiver -> rows, in order


class NixlStagedEplbCommunicator(EplbCommunicator):
    """Exchanges rows by remote READs of packed rows.

    Parameters: expert_weights are the tensors of one layer, which give the size of the buffers;
    open_wrapper makes NIXL's agent; read_timeout in seconds bounds the poll for a READ.
    Made by all ranks of the group at the same time.  Raises RuntimeError without NIXL.
    """

    name: ClassVar[str] = "nixl"
    collective: ClassVar[bool] = True

    def __init__(
        self,
        cpu_group: dist.ProcessGroup,
        expert_weights: Sequence[torch.Tensor],
        stream: Stream | None = None,
        *,
        open_wrapper: Callable[[], NixlWrapper] = open_nixl,
        fence: bool = True,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        super().__init__(dist.get_rank(cpu_group), dist.get_world_size(cpu_group), stream)
        self._device = expert_weights[0].device
        size = sum(tensor.nbytes for tensor in expert_weights)
        self._outgoing = torch.empty(size, dtype=torch.uint8, device=self._device)
        self._incoming = torch.empty(size, dtype=torch.uint8, device=self._device)
        self._agents = Agents(open_wrapper(), cpu_group, [self._outgoing, self._incoming])
        self._bases = self._agents.gather(self._outgoing.data_ptr())
        self._fence = fence
        self._read_timeout = read_timeout

    @property
    def needs_profile_buffer_reservation(self) -> bool:
        """False: the device's collectives are not used."""
        return False

    def close(self) -> None:
        """Give back the registered memory."""
        self._agents.close()

    def _exchange(self, batch: Sequence[Transfer]) -> None:
        with on_stream(self._stream):
            mine = self._packed([each for each in batch if each.direction == "send"])
        synchronize(self._stream, self._device)  # rows packed, and the batch before unpacked
        offers = self._agents.gather(mine)
        refused = [f"rank {rank}: {each.error}" for rank, each in enumerate(offers) if each.error]
        if refused:
            raise ExchangeError(f"{self.name}: {'; '.join(refused)}")
        receives = [each for each in batch if each.direction == "receive"]
        error, spans = self._read(receives, offers)
        if self._fence:
            self._agents.agree(self.name, error)
        elif error is not None:
            raise ExchangeError(f"{self.name}: {error}")
        with on_stream(self._stream):
            for transfer, span in zip(receives, spans, strict=True):
                _bytes(transfer.tensor).copy_(_at(self._incoming, span))

    def _packed(self, sends: Sequence[Transfer]) -> Offer:
        """Copy the rows into the outgoing buffer, each once."""
        placed: dict[tuple[int, int], Span] = {}
        spans: dict[int, list[Span]] = {}
        used = 0
        for transfer in sends:
            row = transfer.tensor
            span = placed.get((row.data_ptr(), row.nbytes))
            if span is None:
                span = Span(used, row.nbytes)
                used += row.nbytes
                if used > self._outgoing.nbytes:
                    return Offer(f"{_full(used, self._outgoing)}: {transfer}", {})
                _at(self._outgoing, span).copy_(_bytes(row))
                placed[row.data_ptr(), row.nbytes] = span
            spans.setdefault(transfer.peer, []).append(span)
        return Offer(None, spans)

    def _read(
        self, receives: Sequence[Transfer], offers: Sequence[Offer]
    ) -> tuple[str | None, list[Span]]:
        """Read everything into the incoming buffer; an error in words, and where the rows are."""
        spans: list[Span] = []
        copies: dict[int, list[Copy]] = {}
        used, base = 0, self._incoming.data_ptr()
        for transfer in receives:
            peer, size = transfer.peer, transfer.tensor.nbytes
            offered = offers[peer].spans.get(self._agents.rank, [])
            already = copies.setdefault(peer, [])
            if len(already) >= len(offered) or offered[len(already)].size != size:
                return f"{transfer}: the peer offers {offered} (P5)", []
            if used + size > self._incoming.nbytes:
                return f"{_full(used + size, self._incoming)}: {transfer}", []
            remote = self._bases[peer] + offered[len(already)].start
            already.append(Copy(base + used, remote, size))
            spans.append(Span(used, size))
            used += size
        return self._carried_out(copies), spans

    def _carried_out(self, copies: dict[int, list[Copy]]) -> str | None:
        """Post the READs of all peers, wait for all; an error in words."""
        reads: list[Read] = []
        refused = None
        for peer, wanted in copies.items():
            try:
                reads.append(self._agents.read(peer, wanted))
            except Exception as error:  # noqa: BLE001 - it is told to all ranks
                refused = str(error)
                break
        ended = self._agents.finish(reads, self._read_timeout)
        return refused or ended


def _bytes(row: torch.Tensor) -> torch.Tensor:
    return row.detach().reshape(-1).view(torch.uint8)


def _at(buffer: torch.Tensor, span: Span) -> torch.Tensor:
    return buffer[span.start : span.start + span.size]


def _full(used: int, buffer: torch.Tensor) -> str:
    return f"{used} bytes do not fit into the staging buffer of {buffer.nbytes}"
