"""The worker thread (W): waits for a rearrangement, plans it, fills the buffer layer by layer.

Steps W0 to W12 as in vLLM; where this departs from it:
- An exception ends the thread as there, but is kept: the main threads of all ranks report it.
- A coordinated stop is published as a result without a layer, so that the main threads of all
  ranks end the cycle in the same step.  With `legacy_stop` the worker clears `rebalanced` itself,
  as 0.33 does, without any order against the main thread's reads.
- The host waits for the consumer's stream where the next rows would arrive behind its back.
- It can be stopped: at W0 and after each publication it looks whether it shall.
"""

from __future__ import annotations

import threading

import torch

from eplb_model.communicators.plan import Ids, plan
from eplb_real.exchange import transfer_layer
from eplb_real.state import Groups, Model, Result, Shared, votes
from eplb_real.streams import on_stream, synchronize


class Worker(threading.Thread):
    """The thread of one rank; a daemon, as what it waits for may never come."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(name="eplb-worker", daemon=True)
        self._shared = shared

    def run(self) -> None:
        """Cycle until stopped or failed; a failure is kept for the main thread."""
        try:
            self._cycles()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it again
            self._shared.failure = error
            self._shared.progress.set()

    def _cycles(self) -> None:
        shared = self._shared
        groups = shared.groups
        while True:
            shared.rearrange_event.wait(shared.side)  # W0
            if shared.stopping.is_set():
                return
            if shared.version == "0.33":
                groups = shared.groups  # W1; 0.20 keeps what it had at its start
            for model in shared.models:
                if not _rearranged(shared, model, groups):
                    return


def _rearranged(shared: Shared, model: Model, groups: Groups) -> bool:
    """One cycle of one model, W2 to W12; False where the thread shall end."""
    model.communicator.set_stream(shared.side)  # W2
    with on_stream(shared.side):
        old, load = _read_back(shared, model)  # W3, W4
    new = model.policy(load, old, groups.ranks)
    plans = [plan(*maps, groups.ranks) for maps in zip(old, new, strict=True)]
    for layer, planned in enumerate(plans):
        if not _all_go_on(shared, model, groups):  # W6
            return _ended(shared, model, layer, old[layer])
        transfer_layer(  # W7
            planned,
            groups.rank,
            old[layer],
            model.weights[layer],
            model.buffer,
            model.communicator,
            layer=layer,
            stream=shared.side,
            batched=model.batched,
        )
        synchronize(shared.side, model.load.device)  # W8
        result = Result(layer, new[layer], planned, shared.new_event())  # W9
        if not _published(shared, model, result):
            return False
    return True


def _read_back(shared: Shared, model: Model) -> tuple[list[Ids], torch.Tensor]:
    """The placement and the load on the host; blocks until the side stream has come so far."""
    snapshot = model.load if model.snapshot is None else model.snapshot
    placement = model.maps.physical_to_logical.to("cpu")
    load = snapshot.to("cpu", copy=True)
    synchronize(shared.side, model.load.device)
    return placement.tolist(), load


def _all_go_on(shared: Shared, model: Model, groups: Groups) -> bool:
    """0.33 asks all workers; 0.20 looks at its own flag."""
    if shared.version == "0.20":
        return model.rebalanced
    wants = model.rebalanced and not model.stop_asked
    if votes(groups.eplb_cpu, int(wants)) == groups.ranks:
        return True
    if shared.legacy_stop:
        model.rebalanced = False
    return False


def _ended(shared: Shared, model: Model, layer: int, old: Ids) -> bool:
    """Leave a cycle before its end; what the main thread learns of it."""
    if shared.version == "0.20" or shared.legacy_stop:
        return True
    return _published(shared, model, Result(layer, old, None, shared.new_event()))


def _published(shared: Shared, model: Model, result: Result) -> bool:
    """W10 to W12: hand a layer over, wait until it is consumed; False where stopped."""
    model.pending = result  # W10
    shared.progress.set()
    if (
        shared.stopping.is_set()
    ):  # looked at after the publication: one of the two threads sees the other
        return False
    result.consumed.wait(shared.side)  # W11
    if model.communicator.bypasses_streams:
        synchronize(shared.side, model.load.device)  # the record orders streams, not engines
    if shared.stopping.is_set():
        return False
    if _is_pending(model):  # W12
        raise RuntimeError(
            f"{model.name}: layer {result.layer} is consumed and still pending; "
            "expected the main thread to clear it before its record()"
        )
    return True


def _is_pending(model: Model) -> bool:
    """Asked anew: the main thread has changed it meanwhile."""
    return model.pending is not None
