"""`pynccl`: sends and receives of an NCCL communicator of our own, in one group.

Rules:
- The group is opened and closed within `execute`, and closed when a send fails, so that the next
  NCCL call of this thread is not swallowed: NCCL's group state belongs to the host thread.
- An empty list of tensors opens and closes a group with nothing in it, as vLLM 0.33 does.
- Nothing here has a time limit, and the host waits for nothing.

Anything with the methods of `NcclCommunicator` serves; `nccl4py.py` adapts NVIDIA's own binding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

import torch

from eplb_real.communicators.base import EplbCommunicator, ExchangeError, Rows, Transfer
from eplb_real.streams import Stream, on_stream


class NcclCommunicator(Protocol):
    """NCCL for one group and one device, as vLLM's `PyNcclCommunicator` offers it.

    A stream of None is the current one.  `rank` and `world_size` are used if they are there.
    """

    available: bool
    disabled: bool

    def group_start(self) -> None:
        """Gather what follows into one launch."""

    def group_end(self) -> None:
        """Launch it."""

    def send(self, tensor: torch.Tensor, dst: int, stream: Stream | None = None) -> None:
        """Send to a rank of the group."""

    def recv(self, tensor: torch.Tensor, src: int, stream: Stream | None = None) -> None:
        """Receive from a rank of the group."""


class PyNcclEplbCommunicator(EplbCommunicator):
    """Exchanges rows over an NCCL communicator that torch knows nothing about.

    Raises RuntimeError for a communicator that is disabled or without its library: it would drop
    sends silently.
    """

    name: ClassVar[str] = "pynccl"

    def __init__(self, pynccl_comm: NcclCommunicator, stream: Stream | None = None) -> None:
        require_usable(pynccl_comm)
        super().__init__(
            getattr(pynccl_comm, "rank", None), getattr(pynccl_comm, "world_size", None), stream
        )
        self._nccl = pynccl_comm
        self._asked = False  # whether anything was added, be it nothing

    def _add(
        self,
        direction: Literal["send", "receive"],
        rows: Rows,
        peer: int | None,
        expert: int | None,
    ) -> None:
        super()._add(direction, rows, peer, expert)
        self._asked = True

    def _takes_part(self) -> bool:
        return self._asked

    def _drop(self) -> None:
        super()._drop()
        self._asked = False

    def _exchange(self, batch: Sequence[Transfer]) -> None:
        self._asked = False
        with on_stream(self._stream):
            self._nccl.group_start()
            for transfer in batch:
                try:
                    self._post(transfer)
                except Exception as error:
                    raise ExchangeError(
                        f"{self.name}: {transfer} failed: {error}; {self._closed()}"
                    ) from error
            try:
                self._nccl.group_end()
            except Exception as error:
                raise ExchangeError(
                    f"{self.name}: the end of the group with {len(batch)} transfers failed: {error}"
                ) from error

    def _post(self, transfer: Transfer) -> None:
        row = transfer.tensor.detach()
        if transfer.direction == "send":
            self._nccl.send(row, transfer.peer, stream=self._stream)
        else:
            self._nccl.recv(row, transfer.peer, stream=self._stream)

    def _closed(self) -> str:
        """Close the group after a failure, and say how that went."""
        try:
            self._nccl.group_end()
        except Exception as error:  # noqa: BLE001 - whatever it is, the first failure is told
            return f"closing the group failed too: {error}"
        return "the group was closed"


def require_usable(pynccl_comm: NcclCommunicator | None) -> NcclCommunicator:
    """A communicator that can move data.

    Raises RuntimeError if there is none, or one that is disabled or without its library.
    """
    if pynccl_comm is None:
        raise RuntimeError("pynccl: the group has no NCCL communicator; expected one")
    if pynccl_comm.disabled or not pynccl_comm.available:
        state = "disabled" if pynccl_comm.disabled else "without its library"
        raise RuntimeError(f"pynccl: the NCCL communicator is {state}; expected a usable one")
    return pynccl_comm
