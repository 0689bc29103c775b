"""The main thread's side (M): one `step` after each forward pass, on all ranks alike.

Rules, in this order within a step:
- M5: the counter goes up by one, on every rank.
- M6: each model in a cycle votes over the CPU group; once all ranks hold a layer, it is consumed.
  A rank outside a cycle doesn't vote, so all ranks have to be in it alike.
- M7: at the interval, once no model is in a cycle, the next rearrangement begins.
- Consuming: copy (V2), maps (V3 to V6), the end of the cycle (V7), nothing pending (V8), and only
  then the record that lets the worker go on (V9).

A vote also carries failures: where a worker died, all ranks raise WorkerError in the same step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import torch
import torch.distributed as dist

from eplb_real.events import CpuGpuEvent
from eplb_real.exchange import move_from_buffer
from eplb_real.state import Groups, Model, Result, Shared, Version, WorkerError, votes
from eplb_real.streams import DeviceEvent, Stream, side_stream
from eplb_real.worker import Worker

POLL = 0.001  # seconds between two votes of a drain


class AsyncEplb:
    """Async EPLB of one rank: `start`, a `step` after each forward pass, `drain`, `stop`.

    Parameters: models in the same order on all ranks; step_interval in steps, of which the first
    cycle waits a quarter only; event_factory and side make the device's events and the worker's
    stream, by default those of the device of the first model; debug names a third thread at an
    event; legacy_stop lets the worker of 0.33 end a cycle as vLLM does.
    All methods belong to one thread, and all but `start` to all ranks in the same order.
    """

    def __init__(
        self,
        models: Sequence[Model],
        groups: Groups,
        *,
        step_interval: int,
        version: Version = "0.20",
        event_factory: Callable[[], DeviceEvent] | None = None,
        side: Stream | None = None,
        debug: bool = False,
        legacy_stop: bool = False,
    ) -> None:
        _require_layers(models, step_interval)
        _require_order(models, version)
        new_event = partial(CpuGpuEvent, event_factory=event_factory, debug=debug)
        self.steps = step_interval - step_interval // 4
        self.cycles = 0  # rearrangements begun
        self._interval = step_interval
        self._shared = Shared(
            models,
            groups,
            version,
            new_event,
            side_stream(models[0].load.device) if side is None else side,
            new_event(),
            legacy_stop,
        )
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start the worker thread."""
        if self._worker is not None:
            raise RuntimeError("the worker was started before; expected one start()")
        self._worker = Worker(self._shared)
        self._worker.start()

    def replace_groups(self, groups: Groups) -> None:
        """Take other groups; drain first.  The worker of 0.20 goes on with what it started with."""
        self._shared.groups = groups

    def step(self) -> None:
        """One step of all ranks, after a forward pass was enqueued.

        Raises WorkerError on all ranks if the worker of any rank died, once a cycle is under way.
        """
        self.steps += 1  # M5
        for model in self._shared.models:  # M6
            if model.rebalanced and self._all_ready(model):
                self._move(model)
        if self.steps < self._interval or self.in_cycle:  # M7
            return
        self.steps = 0
        self.cycles += 1
        self._rearrange()

    @property
    def in_cycle(self) -> bool:
        """Whether a rearrangement is under way."""
        return any(model.rebalanced for model in self._shared.models)

    def ask_to_stop(self) -> None:
        """0.33: let all ranks end the cycle before its next layer; any rank may ask, at any time.

        The layers that were consumed keep their new placement, the others their old one.
        """
        if self._shared.version == "0.20":
            raise ValueError("version 0.20 has no coordinated stop; expected drain()")
        for model in self._shared.models:
            model.stop_asked = True

    def drain(self, timeout: float = 60.0) -> None:
        """End the cycle that is under way without committing what is left of it.

        Layers that arrive are consumed and thrown away.  Raises TimeoutError where timeout, in
        seconds, is over on this rank, and WorkerError where another rank gave up or a worker died,
        or was never started; all ranks raise together.
        """
        deadline = time.monotonic() + timeout
        for model in self._shared.models:
            while model.rebalanced:
                if self._all_ready(model, expired=time.monotonic() > deadline):
                    self._consume(model, self._pending(model))
                elif model.rebalanced:
                    self._shared.progress.wait(POLL)
                    self._shared.progress.clear()
        self.steps = 0

    def stop(self, timeout: float = 10.0) -> None:
        """End the worker thread; after `drain`, else it may wait for a peer that stopped earlier.

        Raises TimeoutError if the worker has not ended within timeout seconds.
        """
        worker, shared = self._worker, self._shared
        if worker is None or not worker.is_alive():
            return
        shared.stopping.set()
        for model in shared.models:
            result = model.pending
            if result is not None:
                self._end_cycle(model)
                model.pending = None
                result.consumed.record()
        with suppress(RuntimeError):  # a record is there already: it wakes the worker as well
            shared.rearrange_event.record()
        worker.join(timeout)
        if worker.is_alive():
            raise TimeoutError(
                f"the worker did not end within {timeout} s: it is in an exchange or a vote whose "
                "peers are missing; expected drain() on all ranks before stop()"
            )

    def _all_ready(self, model: Model, *, expired: bool = False) -> bool:
        """The vote of M6; a rank that can't go on makes it negative, and all ranks raise."""
        shared = self._shared
        alive = self._worker is not None and self._worker.is_alive()
        dead = not alive or shared.failure is not None
        mine = -shared.groups.ranks if dead or expired else int(model.pending is not None)
        said = votes(shared.groups.ep_cpu, mine)
        if said >= 0:
            return said == shared.groups.ranks
        if shared.failure is not None:
            raise WorkerError(
                f"the worker of rank {shared.groups.rank} failed: {shared.failure}"
            ) from shared.failure
        if dead:
            raise WorkerError("the worker is not running; expected start() before step()")
        if expired:
            raise TimeoutError(f"drain(): {model.name} is still in its cycle; its time is over")
        raise WorkerError("the worker of another rank failed, or its drain() ran out of time")

    def _move(self, model: Model) -> None:
        """Commit a layer that all ranks hold, on the current stream."""
        result = self._pending(model)  # V1
        if result.planned is not None:
            rank = self._shared.groups.rank
            held = model.weights[result.layer]
            move_from_buffer(result.planned.shares[rank], held, model.buffer)  # V2
            model.maps.commit(result.layer, result.new)  # V3 to V6
        self._consume(model, result)

    def _consume(self, model: Model, result: Result) -> None:
        """V7, V8, V9: the worker may not be let go before the other two."""
        if result.planned is None or result.layer == model.layers - 1:
            self._end_cycle(model)  # V7
        model.pending = None  # V8
        result.consumed.record()  # V9

    def _end_cycle(self, model: Model) -> None:
        model.stop_asked = False
        model.rebalanced = False

    def _pending(self, model: Model) -> Result:
        if model.pending is None:
            raise RuntimeError(f"{model.name}: all ranks voted ready, but nothing is pending")
        return model.pending

    def _rearrange(self) -> None:
        """R1 to R4: sum the loads of all ranks, hand them to the worker."""
        shared = self._shared
        loads = torch.cat([model.load.reshape(-1) for model in shared.models])  # R1, a copy
        if shared.groups.ep_device is not None:
            dist.all_reduce(loads, group=shared.groups.ep_device)  # R2
        sizes = [model.load.numel() for model in shared.models]
        for model, part in zip(shared.models, loads.split(sizes), strict=True):
            model.snapshot = part.reshape(model.load.shape)  # R3
            model.load.zero_()
            model.rebalanced = True
        shared.rearrange_event.record()  # R4


def _require_order(models: Sequence[Model], version: Version) -> None:
    """Only the votes of 0.33's workers keep a peer from reading weights that are being written."""
    for model in models:
        if version == "0.20" and model.communicator.bypasses_streams:
            raise ValueError(
                f"{model.name}: version 0.20 over {model.communicator.name} without staging; "
                "expected version 0.33, or the staged one"
            )


def _require_layers(models: Sequence[Model], step_interval: int) -> None:
    if not models or step_interval < 1:
        raise ValueError(
            f"{len(models)} models, step_interval={step_interval}; expected at least one of each"
        )
    empty = [model.name for model in models if not model.layers]
    if empty:
        raise ValueError(
            f"models {empty} have no layer with experts; expected one: a cycle without layers "
            "never ends"
        )
