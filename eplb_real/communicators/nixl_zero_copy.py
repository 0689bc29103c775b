"""`nixl` of vLLM 0.33: the receiver reads a peer's live weights straight into its own buffer.

Rules:
- `set_transfer_context` comes first: a row is found by the expert that the peer held before.
- `add_send` does nothing; `add_recv` posts its READ at once, outside all streams.
- `execute` waits for the READs, then agrees with all ranks: the fence after which a rank may
  overwrite its weights.  All ranks execute, also without transfers.
- Where a peer holds an expert twice, the last row is read; the other backends send the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator, Transfer
from eplb_real.communicators.nixl import READ_TIMEOUT, Agents, Copy, NixlWrapper, Read, open_nixl

Layout = list[list[tuple[int, int]]]  # layer, tensor -> address of its first row, bytes per row


class Context(NamedTuple):
    """What the next rows belong to."""

    old: tuple[int, ...]
    layer: int


class NixlEplbCommunicator(EplbCommunicator):
    """Exchanges rows by remote READs of live weights.

    Parameters: all_expert_weights are the tensors of each layer, rows first; expert_buffer one
    such layer, into which rows are received; open_wrapper and read_timeout as in `nixl_staged`.
    Made by all ranks of the group at the same time.
    Raises RuntimeError without NIXL, and for rows whose sizes differ between ranks.
    """

    name: ClassVar[str] = "nixl"
    collective: ClassVar[bool] = True
    bypasses_streams: ClassVar[bool] = True

    def __init__(
        self,
        cpu_group: dist.ProcessGroup,
        all_expert_weights: Sequence[Sequence[torch.Tensor]],
        expert_buffer: Sequence[torch.Tensor],
        *,
        open_wrapper: Callable[[], NixlWrapper] = open_nixl,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        super().__init__(dist.get_rank(cpu_group), dist.get_world_size(cpu_group))
        everything = [*(tensor for layer in all_expert_weights for tensor in layer), *expert_buffer]
        self._agents = Agents(open_wrapper(), cpu_group, everything)
        layout = [[(w.data_ptr(), _row_bytes(w)) for w in layer] for layer in all_expert_weights]
        self._layouts: list[Layout] = self._agents.gather(layout)
        self._require_same_rows()
        self._context: Context | None = None
        self._posted: list[Read] = []
        self._rows: dict[tuple[int, int], int] = {}  # (peer, expert) -> tensors received so far
        self._read_timeout = read_timeout

    @property
    def needs_profile_buffer_reservation(self) -> bool:
        """False: the device's collectives are not used."""
        return False

    def set_transfer_context(self, old_indices: Sequence[int], layer_idx: int) -> None:
        """Say which layer comes next, and the expert of each physical row before its move.

        Raises RuntimeError while READs of the layer before are not executed.
        """
        if self._posted:
            raise RuntimeError(
                f"layer {layer_idx}: {len(self._posted)} READs are not executed; "
                "expected execute() first"
            )
        if not 0 <= layer_idx < len(self._layouts[self._agents.rank]):
            raise ValueError(
                f"layer_idx={layer_idx}; expected one of "
                f"{len(self._layouts[self._agents.rank])} layers"
            )
        self._context = Context(tuple(int(expert) for expert in old_indices), layer_idx)

    def close(self) -> None:
        """Give back the registered memory."""
        self._agents.close()

    def _queue(self, transfer: Transfer) -> None:
        if transfer.direction == "receive":
            copy = self._copy(transfer)
            if copy.size:
                self._posted.append(self._agents.read(transfer.peer, [copy]))

    def _exchange(self, batch: Sequence[Transfer]) -> None:
        posted = self._posted
        self._posted, self._rows, self._context = [], {}, None
        error = self._agents.finish(posted, self._read_timeout)
        self._agents.agree(self.name, error)

    def _drop(self) -> None:
        super()._drop()
        posted, self._posted = self._posted, []
        self._rows, self._context = {}, None
        self._agents.finish(posted, self._read_timeout)

    def _copy(self, transfer: Transfer) -> Copy:
        """From where to where a row goes."""
        if self._context is None or transfer.expert is None:
            missing = "expert_id" if self._context else "set_transfer_context before"
            raise ValueError(f"{transfer}: nixl finds rows by expert; expected {missing}")
        old, layer = self._context
        pair = (transfer.peer, transfer.expert)
        place = self._rows.get(pair, 0)
        layout = self._layouts[transfer.peer][layer]
        if place >= len(layout):
            raise ValueError(f"{transfer}: row {place + 1}; expected {len(layout)} per expert")
        address, size = layout[place]
        if size != transfer.tensor.nbytes:
            raise ValueError(f"{transfer}: {transfer.tensor.nbytes} bytes; expected {size}")
        self._rows[pair] = place + 1
        start = address + size * self._row(old, transfer)
        return Copy(transfer.tensor.data_ptr(), start, size)

    def _row(self, old: tuple[int, ...], transfer: Transfer) -> int:
        """The last row in which the peer held the expert."""
        rows = len(old) // self._agents.size
        held = old[transfer.peer * rows : (transfer.peer + 1) * rows]
        if transfer.expert not in held:
            raise ValueError(f"{transfer}: it holds {list(held)}; expected a holder")
        return rows - 1 - held[::-1].index(transfer.expert)

    def _require_same_rows(self) -> None:
        sizes = [[[size for _, size in layer] for layer in layout] for layout in self._layouts]
        for rank, each in enumerate(sizes):
            if each != sizes[0]:
                raise RuntimeError(
                    f"rank {rank} has rows of {each} bytes by layer, rank 0 of {sizes[0]}; "
                    "expected the same on all ranks"
                )


def _row_bytes(tensor: torch.Tensor) -> int:
    """The distance of two rows, which have to lie without gaps in between."""
    if not tensor.is_contiguous():
        raise RuntimeError(f"weights of strides {tensor.stride()}; expected contiguous ones")
    size: int = tensor[0].nbytes if len(tensor) else 0
    return size
