"""The exchanges of a scenario by NCCL itself: its communicators, their sizes, when they are there.

Rules:
- A kernel whose channels meet becomes a group of sends and receives, on a communicator that all
  ranks make before the run and use once, so that no first contact happens in it.
- NCCL tells nothing.  That an exchange is there is seen by a census: kernels that pass through the
  SMs that nobody holds.  That it is over its stream says, as for copies.
- What NCCL's kernels do can't be granted step by step, so runs are free.
"""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist

from eplb_model.world import World
from eplb_real import nvidia
from eplb_real.cuda import layout
from eplb_real.cuda.device import CudaDevice, CudaStream, until
from eplb_real.cuda.devices import Devices
from eplb_real.cuda.layout import Words
from eplb_real.cuda.ledger import Ledger, Work
from eplb_real.nccl import Order, orders
from eplb_real.nvidia import Shape
from eplb_real.sharing import environment, is_shared
from eplb_real.values import Moves

CENSUS_BYTES = 200 * 1024  # of shared memory, so that a CTA has its SM to itself
LINGERS = 20e-6  # seconds that each of its CTAs stays, so that no SM is passed over
ENDS_WITHIN = 5.0  # seconds in which exchanges end once our kernels have left


class Communicator(ABC):
    """The ranks of a run as NCCL knows them, with the buffers of one exchange."""

    def __init__(self, order: Order, rank: int, ranks: int) -> None:
        to, sources = order.peers(rank, ranks)
        size = order.bytes_per_op
        self.sends = [(peer, torch.zeros(size, dtype=torch.uint8, device="cuda")) for peer in to]
        self.receives = [
            (peer, torch.zeros(size, dtype=torch.uint8, device="cuda")) for peer in sources
        ]

    @abstractmethod
    def exchange(self, stream: torch.cuda.Stream) -> None:
        """Put the sends and receives on a stream, as one kernel."""

    @abstractmethod
    def abort(self) -> None:
        """Let its kernels go, whoever they wait for."""


Made = Callable[[str, dist.Store, Order, int, int], Communicator]  # name, store, order, rank, ranks


class NcclDevice(CudaDevice):
    """The GPU of a rank whose exchanges are NCCL's.

    Parameters
    ----------
    world, rank, words, ledger
        As of any device.
    make
        Makes a communicator; all ranks call it in the same order.
    folder
        Where the ranks meet to make them.
    """

    def __init__(
        self, world: World, rank: int, words: Words, ledger: Ledger, make: Made, folder: Path
    ) -> None:
        super().__init__(world, rank, words, ledger, closed=False)
        ranks = len(world.ranks)
        shared = is_shared(ranks, torch.cuda.device_count())
        os.environ.update(environment(rank, ranks, torch.cuda.device_count()))
        self._orders = orders(world, shared)
        self._known: dict[str, Communicator] = {}  # by kernel
        self._under_way: dict[int, int] = {}  # CTAs of each exchange, by its block
        self._stand_ins: dict[int, int] = {}  # of each other launch
        self._census = nvidia.loaded(self._binaries[min(self._binaries)], ["census"])["census"]
        self._third = torch.cuda.Stream()
        self._counted = 0
        store = dist.FileStore(str(folder / "nccl"), ranks)
        for name in sorted(self._orders):
            self._known[name] = make(name, store, self._orders[name], rank, ranks)
            self._known[name].exchange(self._third)
        torch.cuda.synchronize()

    def launch(
        self,
        kernel: str,
        stream: CudaStream,
        reads: tuple[str, ...],
        writes: tuple[str, ...],
        moves: Moves,
    ) -> None:
        """Put a kernel on a stream; an exchange goes to NCCL."""
        spec = self._world.kernels[kernel]
        if kernel not in self._orders:
            self._stand_ins[self.block(kernel, self._numbers[kernel])] = spec.ctas
            super().launch(kernel, stream, reads, writes, moves)
            return
        with stream.submitting:
            block = self.block(kernel, self._numbers[kernel])
            self._numbers[kernel] += 1
            work = Work(
                stream.name,
                kernel,
                lambda: spec.ctas if self._is_over(block) else self.words[block + layout.STARTED],
                lambda: self._is_over(block),
                lambda: "NCCL does not say what it waits for",
                _no_grant,
                reads,
                writes,
                moves,
            )
            self.ledger.submit(work)
            self._under_way[block] = spec.ctas
            self._known[kernel].exchange(stream.torch)
            self._write(stream, block + layout.COMPLETE)
            work.there = True

    def has_started(self, kernel: str, number: int) -> bool:
        """Whether all CTAs of a launch have; of an exchange a census says so."""
        if kernel in self._orders and not super().has_started(kernel, number):
            block = self.block(kernel, number)
            if block in self._under_way and (self._is_over(block) or self._all_there()):
                self.words[block + layout.STARTED] = self._world.kernels[kernel].ctas
        return super().has_started(kernel, number)

    def abort(self) -> None:
        """Call every kernel of ours off; exchanges that don't end then are aborted."""
        super().abort()
        if not until(lambda: all(map(self._is_over, self._under_way)), ENDS_WITHIN):
            for communicator in self._known.values():
                communicator.abort()

    # --- inside ------------------------------------------------------------------------------

    def _is_over(self, block: int) -> bool:
        return bool(self.words[block + layout.COMPLETE])

    def _all_there(self) -> bool:
        """Whether the exchanges under way hold SMs for all their CTAs."""
        wanted = sum(n for block, n in self._under_way.items() if not self._is_over(block))
        held = self._held()
        return held is not None and len(held) >= wanted

    def _held(self) -> set[int] | None:
        """The SMs that nothing of ours holds and no census passes; None if it can't be asked."""
        if any(self.words[block + layout.STARTED] < n for block, n in self._running()):
            return None  # it may be a gang, behind which a census waits too
        ours = {sm for block, n in self._running() for sm in self.words.seats(block, n)}
        self._counted += 1
        marks = self.words.of(self.rank, layout.CENSUS)
        ended = self.words.of(self.rank, layout.CENSUS_ENDED)
        sms = self._world.machine.sms
        self.words[ended] = 0
        shape = Shape(2 * sms, threads=32, shared_bytes=CENSUS_BYTES)
        nvidia.launch(self._census, shape, self._third.cuda_stream, [
            (self._page, ctypes.c_void_p), (marks, ctypes.c_uint), (ended, ctypes.c_uint),
            (self._counted, ctypes.c_uint), (int(LINGERS * 1e9), ctypes.c_ulonglong),
        ])  # fmt: skip
        if not until(lambda: self.words[ended] >= 2 * sms, 1.0):
            return None
        return {sm for sm in range(sms) if self.words[marks + sm] != self._counted} - ours

    def _running(self) -> Iterator[tuple[int, int]]:
        """The launches of stand-ins that have not ended: their block and their CTAs."""
        return ((block, n) for block, n in self._stand_ins.items() if not self._is_over(block))


class NcclDevices(Devices):
    """The GPU of one place whose exchanges are NCCL's; `communicator` says how it is called."""

    communicator: Made

    def device(
        self, world: World, rank: int, words: Words, ledger: Ledger, closed: bool, folder: Path
    ) -> CudaDevice:
        """The GPU of the rank."""
        return NcclDevice(world, rank, words, ledger, self.communicator, folder)


def _no_grant(choice: int | None) -> NoReturn:
    raise AssertionError("[model bug] runs with NCCL are free: nothing of it is granted")
