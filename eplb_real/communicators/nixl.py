"""What both NIXL communicators share: agents that know each other, remote READs, agreement.

Rules:
- A READ is carried out by an engine that belongs to no stream: the host polls for its end, and
  what it reads has to be there before it is posted.
- Every wait for an engine has a deadline, and no READ is given up while it may still write,
  unless that deadline is over.
- Ranks agree by gathering what went wrong, so a rank that fails is named by all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
import torch.distributed as dist

from eplb_real.communicators.base import ExchangeError

try:
    from nixl._api import nixl_agent
except ImportError:  # pip install nixl; Linux with an RDMA stack only
    nixl_agent = None

LOCAL = "NIXL_INIT_AGENT"  # how NIXL calls the agent that asks
READ_TIMEOUT = 300.0  # seconds; vLLM polls without a bound


class NixlWrapper(Protocol):
    """The part of NIXL's agent that is used; handles and descriptors are opaque."""

    def get_agent_metadata(self) -> bytes: ...
    def add_remote_agent(self, metadata: bytes) -> str: ...
    def remove_remote_agent(self, agent: str) -> None: ...
    def get_reg_descs(self, regions: list[tuple[int, int, int, str]], memory: str) -> Any: ...
    def register_memory(self, descs: Any) -> Any: ...
    def deregister_memory(self, descs: Any) -> None: ...
    def get_xfer_descs(self, regions: list[tuple[int, int, int]], memory: str) -> Any: ...
    def prep_xfer_dlist(self, agent: str, descs: Any) -> Any: ...
    def make_prepped_xfer(
        self, operation: str, local: Any, local_ids: list[int], remote: Any, remote_ids: list[int]
    ) -> Any: ...
    def transfer(self, handle: Any) -> str: ...
    def check_xfer_state(self, handle: Any) -> str: ...
    def release_xfer_handle(self, handle: Any) -> None: ...
    def release_dlist_handle(self, handle: Any) -> None: ...


class Copy(NamedTuple):
    """Bytes of a peer's memory into memory of this rank."""

    local: int  # address
    remote: int
    size: int


class Read(NamedTuple):
    """A READ that was posted."""

    peer: int
    handle: Any
    lists: tuple[Any, Any]  # its descriptor lists, local and remote


class Agents:
    """The agent of this rank, its registered memory, and the agents of all peers of a group.

    Parameters: registered are tensors of one device; every rank of the group makes one at the same
    time.  Raises whatever the wrapper raises.
    """

    def __init__(
        self,
        wrapper: NixlWrapper,
        cpu_group: dist.ProcessGroup,
        registered: Sequence[torch.Tensor],
    ) -> None:
        self.rank: int = dist.get_rank(cpu_group)
        self.size: int = dist.get_world_size(cpu_group)
        self._wrapper = wrapper
        self._group = cpu_group
        device = registered[0].device
        self._memory = "DRAM" if device.type == "cpu" else "VRAM"
        self._device = device.index or 0
        regions = [(t.data_ptr(), t.nbytes, self._device, "") for t in registered if t.nbytes]
        self._registered = wrapper.get_reg_descs(regions, self._memory)
        wrapper.register_memory(self._registered)
        known = self.gather((wrapper.get_agent_metadata(), self._device))
        self._devices = [device for _, device in known]
        self._peers = {
            rank: wrapper.add_remote_agent(metadata)
            for rank, (metadata, _) in enumerate(known)
            if rank != self.rank
        }

    def gather(self, mine: Any) -> list[Any]:
        """What each rank has to say, in rank order; returns when all have said it."""
        said: list[Any] = [None] * self.size
        dist.all_gather_object(said, mine, group=self._group)
        return said

    def agree(self, name: str, error: str | None) -> None:
        """Raise ExchangeError on every rank if any has an error; a barrier besides."""
        errors = [f"rank {rank}: {each}" for rank, each in enumerate(self.gather(error)) if each]
        if errors:
            raise ExchangeError(f"{name}: {'; '.join(errors)}")

    def read(self, peer: int, copies: Sequence[Copy]) -> Read:
        """Post a READ of a peer's memory; nothing of it stays behind if that fails."""
        wrapper = self._wrapper
        with self._listed(LOCAL, [(c.local, c.size, self._device) for c in copies]) as local:
            far = [(c.remote, c.size, self._devices[peer]) for c in copies]
            with self._listed(self._peers[peer], far) as remote:
                ids = list(range(len(copies)))
                handle = wrapper.make_prepped_xfer("READ", local, ids, remote, ids)
                state = wrapper.transfer(handle)
                if state not in {"DONE", "PROC"}:
                    wrapper.release_xfer_handle(handle)
                    raise ExchangeError(f"READ from rank {peer} is {state} at once")
        return Read(peer, handle, (local, remote))

    def finish(self, reads: Sequence[Read], timeout: float = READ_TIMEOUT) -> str | None:
        """Wait until every READ has ended, give its handles back; the first error, in words."""
        deadline = time.monotonic() + timeout
        errors = [error for read in reads if (error := self._ended(read, deadline)) is not None]
        return errors[0] if errors else None

    def close(self) -> None:
        """Forget the peers and the registered memory."""
        for agent in self._peers.values():
            self._wrapper.remove_remote_agent(agent)
        self._peers = {}
        self._wrapper.deregister_memory(self._registered)

    def _ended(self, read: Read, deadline: float) -> str | None:
        state = self._wrapper.check_xfer_state(read.handle)
        while state == "PROC" and time.monotonic() < deadline:
            state = self._wrapper.check_xfer_state(read.handle)
        self._wrapper.release_xfer_handle(read.handle)
        for handle in read.lists:
            self._wrapper.release_dlist_handle(handle)
        return None if state == "DONE" else f"READ from rank {read.peer} ended as {state}"

    @contextmanager
    def _listed(self, agent: str, regions: list[tuple[int, int, int]]) -> Iterator[Any]:
        """A descriptor list, released if what follows fails."""
        descs = self._wrapper.get_xfer_descs(regions, self._memory)
        handle = self._wrapper.prep_xfer_dlist(agent, descs)
        try:
            yield handle
        except BaseException:
            self._wrapper.release_dlist_handle(handle)
            raise


def nixl_available() -> bool:
    """Whether the NIXL library is installed."""
    return nixl_agent is not None


def open_nixl() -> NixlWrapper:
    """An agent of the installed NIXL, with a name that no other process has.

    Raises RuntimeError if NIXL is not installed.
    """
    if nixl_agent is None:
        raise RuntimeError("NIXL is not installed; expected pip install nixl")
    agent: NixlWrapper = nixl_agent(f"eplb-{dist.get_rank()}-{time.monotonic_ns()}")
    return agent
