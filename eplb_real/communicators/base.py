"""What every communicator of expert weights does alike: the batch, its checks, its end.

Rules:
- Peers are ranks of the EPLB group, never global ones, never the caller itself.
- A row is contiguous.  A row of no elements is checked and moves nothing, on any backend.
- A call with several tensors is as that many calls with one each, so both API eras can be mixed.
- `add_*` and `execute` belong to one batch and to one thread.  A batch ends with `execute`, or with
  the first error in any of them: nothing of it stays queued.
- The two lists of an ordered pair have to agree in order, shape and dtype; nothing checks it (P5).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import torch

from eplb_real.streams import Stream

Rows: TypeAlias = torch.Tensor | Sequence[torch.Tensor]


class ExchangeError(RuntimeError):
    """An exchange that began and did not end; the message names the transfer, the cause is kept."""


class Transfer(NamedTuple):
    """One row on its way to or from a peer."""

    direction: Literal["send", "receive"]
    tensor: torch.Tensor
    peer: int  # rank in the group
    expert: int | None

    def __str__(self) -> str:
        towards = "to" if self.direction == "send" else "from"
        expert = "" if self.expert is None else f" of expert {self.expert}"
        dtype = str(self.tensor.dtype).removeprefix("torch.")
        return (
            f"{self.direction} of {dtype}{list(self.tensor.shape)}{expert} {towards} "
            f"rank {self.peer} of the group"
        )


class EplbCommunicator(ABC):
    """Moves rows of expert weights between the ranks of a group.

    Subclasses say how a batch is carried out (`_exchange`); some take part without transfers.
    """

    name: ClassVar[str]
    collective: ClassVar[bool] = False  # whether a rank without transfers takes part
    bypasses_streams: ClassVar[bool] = False  # whether rows are read and written behind their back

    def __init__(self, rank: int | None, size: int | None, stream: Stream | None = None) -> None:
        self._rank = rank  # in the group; None where it can't be known
        self._size = size
        self._stream = stream
        self._batch: list[Transfer] = []

    @property
    def needs_profile_buffer_reservation(self) -> bool:
        """Whether a profiling run has to touch the collective buffers of the device."""
        return True

    def add_send(
        self,
        tensors: Rows | None = None,
        dst_rank: int | None = None,
        expert_id: int | None = None,
        *,
        tensor: torch.Tensor | None = None,
    ) -> None:
        """Queue one row of each tensor for a peer.

        Parameters: tensors is one tensor or several, by its old name `tensor`; dst_rank a rank of
        the group; expert_id the logical expert, for backends that address by it.
        Raises TypeError for both names at once or none, ValueError for a peer outside the group,
        the caller itself, or a row that is not contiguous.  The batch is dropped then.
        """
        self._add("send", _one_name("tensors", tensors, "tensor", tensor), dst_rank, expert_id)

    def add_recv(
        self,
        tensors: Rows | None = None,
        src_rank: int | None = None,
        expert_id: int | None = None,
        *,
        tensor: torch.Tensor | None = None,
    ) -> None:
        """Queue one row of each tensor to be filled by a peer; as `add_send`."""
        self._add("receive", _one_name("tensors", tensors, "tensor", tensor), src_rank, expert_id)

    def execute(self) -> None:
        """Carry out the batch; the list of transfers is empty afterwards, whatever happens.

        Raises ExchangeError, a RuntimeError, that names the first transfer that failed.
        """
        batch, self._batch = self._batch, []
        try:
            if batch or self._takes_part():
                self._exchange([each for each in batch if each.tensor.numel()])
        except BaseException:
            self._drop()
            raise

    def set_stream(
        self, stream: Stream | None = None, *, cuda_stream: Stream | None = None
    ) -> None:
        """Use a stream from now on; None is the current stream of the thread that executes.

        Raises TypeError if both the name and the old name are given.
        """
        if stream is not None and cuda_stream is not None:
            raise TypeError("stream and cuda_stream are one parameter; expected one of them")
        self._stream = cuda_stream if stream is None else stream

    def set_transfer_context(self, old_indices: Sequence[int], layer_idx: int) -> None:  # noqa: B027
        """Say which layer comes next and which expert each row held; most backends don't ask."""

    @abstractmethod
    def _exchange(self, batch: Sequence[Transfer]) -> None:
        """Carry out a batch without rows of no elements."""

    def _takes_part(self) -> bool:
        """Whether `execute` without transfers does something."""
        return self.collective

    def _queue(self, transfer: Transfer) -> None:
        """Take up a transfer that passed the checks."""
        self._batch.append(transfer)

    def _drop(self) -> None:
        """Forget a batch that failed."""
        self._batch = []

    def _add(
        self,
        direction: Literal["send", "receive"],
        rows: Rows,
        peer: int | None,
        expert: int | None,
    ) -> None:
        try:
            tensors = [rows] if isinstance(rows, torch.Tensor) else list(rows)
            checked = self._checked_peer(peer)
            transfers = [Transfer(direction, row, checked, expert) for row in tensors]
            for transfer in transfers:
                self._check_row(transfer)
            for transfer in transfers:
                self._queue(transfer)
        except BaseException:
            self._drop()
            raise

    def _checked_peer(self, peer: int | None) -> int:
        if peer is None:
            raise TypeError("no peer; expected a rank of the group")
        if peer < 0 or (self._size is not None and peer >= self._size):
            raise ValueError(f"peer={peer}; expected a rank of the group, 0..{self._last()}")
        if peer == self._rank:
            raise ValueError(f"peer={peer} is this rank itself; expected another rank of the group")
        return peer

    def _check_row(self, transfer: Transfer) -> None:
        if not transfer.tensor.is_contiguous():
            raise ValueError(
                f"{transfer}: strides {transfer.tensor.stride()}; expected a contiguous row"
            )

    def _last(self) -> str:
        return "..." if self._size is None else str(self._size - 1)


def _one_name(new_name: str, new: Rows | None, old_name: str, old: Rows | None) -> Rows:
    """The value of a parameter with two names."""
    if new is not None and old is not None:
        raise TypeError(f"{new_name} and {old_name} are one parameter; expected one of them")
    value = old if new is None else new
    if value is None:
        raise TypeError(f"no {new_name}; expected a tensor or several")
    return value
