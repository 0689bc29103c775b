"""The GPU of one place: made before the run, watched during it, called off at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eplb_model.world import World
from eplb_real.cuda.calls import CudaCalls
from eplb_real.cuda.device import CudaDevice
from eplb_real.cuda.layout import Words
from eplb_real.cuda.ledger import Ledger
from eplb_real.drivers.base import library_event
from eplb_real.gates import Gates
from eplb_real.observe import Observer

LOOK_EVERY = 0.001
WORDS = "words"


class Devices:
    """What a place asks of its devices, on a real GPU; one rank to a place."""

    def __init__(
        self,
        world: World,
        ranks: Sequence[int],
        observer: Observer,
        closed: bool,
        seed: int,
        tell: Callable[[Any], None],
        event_class: Callable[[], type] = library_event,
        folder: Path = Path(),
    ) -> None:
        (rank,) = ranks
        self._world = world
        self._event_class = event_class
        words = Words(folder / WORDS, len(world.ranks), len(world.kernels))
        ledger = Ledger(rank, [stream.name for stream in world.ranks[rank].streams], observer)
        self._device = self.device(world, rank, words, ledger, closed, folder)
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def device(
        self, world: World, rank: int, words: Words, ledger: Ledger, closed: bool, folder: Path
    ) -> CudaDevice:
        """The GPU of the rank; places with other kernels have another."""
        return CudaDevice(world, rank, words, ledger, closed)

    def calls(self, rank: int, gates: Gates) -> CudaCalls:
        """How the host threads of the rank call its device."""
        return CudaCalls(self._world, self._device, gates, self._event_class)

    def tell(self, fact: Sequence[Any]) -> None:
        """Nothing is told here: kernels see each other through words."""

    def step(self, actor: str, choice: int | None) -> str | None:
        """Take one later step of a stream; why not, if it is not taken."""
        return self._device.step(actor.partition(".")[2], choice)

    def open(self) -> None:
        """Let streams go on by themselves, once it was seen where the granted steps led."""
        self._device.settle()
        self._device.open()

    def await_idle(self) -> None:
        """Wait until every stream is empty."""
        while self._device.ledger.pending():
            time.sleep(LOOK_EVERY)

    def snapshot(self) -> list[dict[str, Any]]:
        """Where every stream with work left stands."""
        return self._device.standing()

    def abort(self) -> None:
        """Call everything off and wait until the GPU is idle."""
        self._device.abort()
        self._device.quiet()
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self._device.ledger.look()
