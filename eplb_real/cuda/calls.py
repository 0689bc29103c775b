"""How host threads of one rank call their GPU: each operation as CUDA's own call.

Rules:
- An operation is granted as often as the model takes steps for it.  What a call does on the device
  it does in the first of them; a call that waits does so between two, as the model has it.
- A call that has returned looks at the words before its thread goes on, so that what its work moved
  has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from cuda.bindings import driver

from eplb_model.outcome import Actor
from eplb_model.world import World
from eplb_real.cuda.device import CudaDevice, until
from eplb_real.cuda.ledger import Work
from eplb_real.errors import Raised
from eplb_real.gates import Gates
from eplb_real.nvidia import checked
from eplb_real.two_thread import SteppedEvents
from eplb_real.values import Moves

MIB = 1 << 20
FLAG_KINDS = ("set", "wait_flag", "clear", "is_set")
Call = Callable[[Actor, Any], Any]


class CudaCalls:
    """The GPU of one rank, as its host threads call it."""

    def __init__(
        self,
        world: World,
        device: CudaDevice,
        gates: Gates,
        event_class: Callable[[], type],
    ) -> None:
        self._device = device
        self._gates = gates
        self._world = world
        self._spun_on = {kernel.until for kernel in world.kernels.values() if kernel.until}
        self._events = SteppedEvents(device, gates, event_class)  # type: ignore[arg-type]  # by its methods
        self._ready: set[str] = set()
        self._frees = [checked("cuMemAlloc", driver.cuMemAlloc(MIB)) for _ in range(16)]
        self._host_frees = [
            checked("cuMemHostAlloc", driver.cuMemHostAlloc(MIB, 0)) for _ in range(16)
        ]
        self._calls: Mapping[str, Call] = {
            "launch": self._launch,
            "memset": self._memset,
            "copy": self._copy,
            "access": self._access,
            "record_event": self._record,
            "stream_wait_event": self._stream_wait,
            "event_synchronize": partial(self._waiting, lambda op: self._event(op).synchronize()),
            "event_query": partial(self._asking, lambda op: self._event(op).query()),
            "stream_synchronize": partial(self._waiting, self._synchronize_stream),
            "stream_query": self._stream_query,
            "device_synchronize": partial(self._waiting, lambda op: torch.cuda.synchronize()),
            "await_resident": partial(self._await_launch, device.has_started),
            "await_complete": partial(self._await_launch, device.has_ended),
            "malloc": partial(self._asking, lambda op: driver.cuMemAlloc(64 * MIB) and None),
            "host_alloc": partial(self._asking, lambda op: driver.cuMemHostAlloc(MIB, 0) and None),
            "free": partial(self._waiting, lambda op: driver.cuMemFree(self._frees.pop())),
            "host_free": partial(
                self._waiting, lambda op: driver.cuMemFreeHost(self._host_frees.pop())
            ),
            "empty_cache": partial(self._waiting, lambda op: _empty_cache()),
            "load": self._load,
            "set": partial(self._put_flag, 1),
            "clear": partial(self._put_flag, 0),
            "wait_flag": self._wait_flag,
            "is_set": lambda actor, op: self._asking(self._flag_is_up, actor, op),
            "cpu_gpu_event_record": lambda actor, op: self._events.record(str(actor), op),
            "cpu_gpu_event_wait": lambda actor, op: self._events.wait(str(actor), op),
            "set_device": self._set_device,
            "set_stream": self._set_stream,
        }

    def takes(self, op: Any) -> bool:
        """Whether an operation on a flag is one of the device's."""
        return op.kind in FLAG_KINDS and op.flag in self._spun_on

    def moves_with(self, move: Callable[[Moves], None]) -> None:
        """Say what becomes of the variables that work moves when it ends."""
        self._device.ledger.move = move

    def interpreter(self, actor: Actor) -> None:
        """Nobody blocks with the interpreter lock held here: the driver declines it."""

    def perform(self, actor: Actor, op: Any) -> Any:
        """Perform a call step by step; what it gives."""
        if actor.name not in self._ready:  # the current device belongs to each thread
            torch.cuda.set_device(self._device.ordinal)
            self._ready.add(actor.name)
        return self._calls[op.kind](actor, op)

    # --- shapes of calls ---------------------------------------------------------------------

    def _asking(self, ask: Callable[[Any], Any], actor: Actor, op: Any) -> Any:
        """A call that does not wait for the device: one step."""
        with self._gates.step(str(actor)):
            given = ask(op)
            self._device.ledger.look()
            return given

    def _waiting(self, call: Callable[[Any], Any], actor: Actor, op: Any) -> None:
        """A call that waits for what was there when it was made: two steps."""
        with self._gates.step(str(actor)):
            pass
        self._gates.settled(str(actor))
        call(op)
        with self._gates.step(str(actor)):
            self._device.ledger.look()

    # --- work for streams --------------------------------------------------------------------

    def _stream(self, actor: Actor, op: Any) -> Any:
        return self._device.stream(op.stream, actor.name)

    def _launch(self, actor: Actor, op: Any) -> None:
        module = self._world.kernels[op.kernel].module
        if self._device.must_load(module):
            self._loading(actor, module)
        with self._gates.step(str(actor)):
            stream = self._stream(actor, op)
            self._device.launch(op.kernel, stream, op.reads, op.writes, op.moves)

    def _memset(self, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            stream = self._stream(actor, op)
            with (
                self._device.other_work(stream, "(memset)", (), op.writes),
                torch.cuda.stream(stream.torch),
            ):
                self._device.buffers[0].zero_()

    def _copy(self, actor: Actor, op: Any) -> None:
        waits = op.blocking or (op.memory == "pageable" and op.direction == "d2h")
        with self._gates.step(str(actor)):
            if not waits:
                self._copied(actor, op)
        if waits:
            self._gates.settled(str(actor))
            copy = self._copied(actor, op)
            until(copy.done)  # the word behind it is written after the call has returned
            with self._gates.step(str(actor)):
                self._device.ledger.look()

    def _copied(self, actor: Actor, op: Any) -> Work:
        device, stream = self._device, self._stream(actor, op)
        host = device.pinned if op.memory == "pinned" else device.pageable
        source, target = {
            "h2d": (host, device.buffers[0]),
            "d2h": (device.buffers[0], host),
            "d2d": (device.buffers[0], device.buffers[1]),
        }[op.direction]
        label = "(device copy)" if op.direction == "d2d" else "transfer"
        with (
            device.other_work(stream, label, op.reads, op.writes, op.moves) as work,
            torch.cuda.stream(stream.torch),
        ):
            target.copy_(source, non_blocking=not op.blocking)
        return work

    def _record(self, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            self._device.named_event(op.event).record(self._stream(actor, op))

    def _stream_wait(self, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            self._device.named_event(op.event).wait(self._stream(actor, op))

    # --- calls that wait, or ask -------------------------------------------------------------

    def _event(self, op: Any) -> Any:
        return self._device.named_event(op.event).torch

    def _synchronize_stream(self, op: Any) -> None:
        self._device.stream(op.stream).torch.synchronize()

    def _stream_query(self, actor: Actor, op: Any) -> Any:
        return self._asking(lambda op: self._stream(actor, op).torch.query(), actor, op)

    def _await_launch(self, come: Callable[[str, int], bool], actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            until(lambda: come(op.kernel, op.number))
            self._device.ledger.look()

    def _access(self, actor: Actor, op: Any) -> None:
        with (
            self._device.ledger.access(str(actor), op.reads, op.writes),
            self._gates.step(str(actor)),
        ):
            pass

    # --- modules, flags, what is current -----------------------------------------------------

    def _load(self, actor: Actor, op: Any) -> None:
        if self._device.must_load(op.module):
            self._loading(actor, op.module)
        with self._gates.step(str(actor)):
            pass

    def _loading(self, actor: Actor, module: str | None) -> None:
        self._waiting(lambda op: self._device.load(module), actor, None)

    def _put_flag(self, up: int, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            self._device.words[self._device.flag(op.flag)] = up

    def _wait_flag(self, actor: Actor, op: Any) -> None:
        place = self._device.flag(op.flag)
        with self._gates.step(str(actor)):
            until(lambda: bool(self._device.words[place]))

    def _flag_is_up(self, op: Any) -> bool:
        return bool(self._device.words[self._device.flag(op.flag)])

    def _set_device(self, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            if not self._device.callers.has_device(op.device):
                raise Raised("misuse", f"rank {actor.rank} has no device {op.device}")
            self._device.callers.of(actor.name).device = op.device

    def _set_stream(self, actor: Actor, op: Any) -> None:
        with self._gates.step(str(actor)):
            stream = self._stream(actor, op)
            torch.cuda.set_stream(stream.torch)
            self._device.callers.set_stream(actor.name, stream.name)


def _empty_cache() -> None:
    block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    del block
    torch.cuda.empty_cache()
