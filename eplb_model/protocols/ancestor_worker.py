"""The worker W of 0.18 and 0.19: an endless loop around a flag, a lock and bare events.

Rules (specs/protocols.md#ancestors):
- Woken, it goes on while a cycle is on and layers are left: a free buffer is filled under the lock,
  else it looks again after 1 ms (a loop without a bound).
- Before layer 0 it reads map and load.  The map is read first, on the thread's own stream, which
  is not the one of the transfers (`map_stream`); the wait for `window_ready` comes after it.
- 0.18 records `buffer_ready` and does not wait; 0.19 waits for its stream before it says "ready".
- The flag that woke it is cleared after the cycle (`clears`).
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.ops.copies import Copy
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Clear, WaitFlag
from eplb_model.ops.locks import Acquire, Release
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.variables import Put
from eplb_model.protocols.settings import Publication, Settings, by_value, holds, of_model
from eplb_model.protocols.worker_thread import transferred
from eplb_model.scenario import Forever, If, Statement


def ancestor_worker(settings: Settings, rank: int) -> tuple[Statement, ...]:
    """What the worker of a rank does until the process ends."""
    clear = Clear("wake")
    cycle = (
        WaitFlag("wake"),
        *((clear,) if settings.clears == "at_wake" else ()),
        *(_of_model(settings, rank, model) for model in range(settings.models)),
        *((clear,) if settings.clears == "at_end" else ()),
    )
    return (Forever(cycle, holds("over", None)), Put("left", Value(1)))


def _of_model(settings: Settings, rank: int, model: int) -> Statement:
    """While a cycle is on; whether a layer is left is asked under the lock only."""
    free = holds(of_model("ready", model), 0)
    body = (If(free, tuple(_fill(settings, rank, model))),)
    return Forever(body, holds(of_model("rebalanced", model), 1))


def _fill(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    """The buffer was seen free: under the lock, unless no layer is left by then."""
    lock, layer = of_model("buffer_lock", model), of_model("layer", model)
    yield Acquire(lock)
    left = Condition(Variable(layer), "<", Value(settings.layers))
    yield If(left, tuple(_filled(settings, rank, model)))
    yield Release(lock)


def _filled(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    yield Put("filling", Variable(of_model("layer", model)))
    yield If(holds("filling", 0), tuple(_read(settings)))
    yield StreamWaitEvent("side", of_model("buffer_consumed", model))
    by_cycle = {
        layer: by_value(
            "planned",
            {
                cycle + 1: tuple(transferred(settings, rank, Publication(model, cycle, layer)))
                for cycle in range(settings.cycles)
            },
        )
        for layer in range(settings.layers)
    }
    yield from by_value("filling", by_cycle)
    if settings.version == "0.18":
        yield RecordEvent(of_model("buffer_ready", model), "side")
    elif settings.synchronises:
        yield StreamSynchronize("side")
    yield Put(of_model("ready", model), Value(1))


def _read(settings: Settings) -> Iterator[Statement]:
    """Map and load to the host; the plan is that of the cycle that is on by then."""
    if settings.map_stream == "side":
        yield StreamWaitEvent("side", "window_ready")
        yield Copy("d2h", "side", "pinned", True, ("map", "load"), ())
    else:
        yield Copy("d2h", "thread", "pinned", True, ("map",), ())
        yield StreamWaitEvent("thread", "window_ready")
        yield Copy("d2h", "thread", "pinned", True, ("load",), ())
    yield Put("planned", Variable("cycle"))
