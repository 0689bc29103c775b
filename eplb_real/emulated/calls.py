"""From an operation of a program to the host call of a device, in the model's atomic steps.

Rules:
- What an operation means is in `host_calls`; this is the table of who calls what, by kind.
- `perform` takes no step.  Iterating over the call takes them, each as soon as it may be taken;
  `Call.step` takes one, `Call.blocked` says what the next one waits for.
- Names of events, flags and two-thread events are the device's own, one set for each rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from eplb_real.emulated import host_calls
from eplb_real.emulated.call import Call, Steps
from eplb_real.emulated.device import EmulatedDevice

# An operation is read by the names of its fields, which are those of specs/semantics.md.
Operation: TypeAlias = Any
Performer: TypeAlias = Callable[[EmulatedDevice, str, Operation], Steps]

TABLE: Mapping[str, Performer] = {
    "launch": lambda d, by, op: host_calls.launch(
        d, by, op.kernel, _stream(d, by, op), op.reads, op.writes, op.moves
    ),
    "memset": lambda d, by, op: host_calls.memset(d, by, _stream(d, by, op), op.writes),
    "copy": lambda d, by, op: host_calls.copy(
        d,
        by,
        op.direction,
        _stream(d, by, op),
        op.memory,
        op.blocking,
        op.reads,
        op.writes,
        op.moves,
    ),
    "access": lambda d, by, op: host_calls.access(d, by, op.reads, op.writes),
    "record_event": lambda d, by, op: host_calls.record(
        d, by, d.named_event(op.event), _stream(d, by, op)
    ),
    "stream_wait_event": lambda d, by, op: host_calls.stream_wait(
        d, by, _stream(d, by, op), d.named_event(op.event)
    ),
    "event_synchronize": lambda d, by, op: host_calls.event_synchronize(d, d.named_event(op.event)),
    "event_query": lambda d, by, op: host_calls.event_query(d.named_event(op.event)),
    "stream_synchronize": lambda d, by, op: host_calls.stream_synchronize(d, _stream(d, by, op)),
    "stream_query": lambda d, by, op: host_calls.stream_query(d, _stream(d, by, op)),
    "device_synchronize": lambda d, by, op: host_calls.device_synchronize(d, by),
    "await_resident": lambda d, by, op: host_calls.await_started(d, op.kernel, op.number),
    "await_complete": lambda d, by, op: host_calls.await_ended(d, op.kernel, op.number),
    "malloc": lambda d, by, op: host_calls.allocate(d, by),
    "host_alloc": lambda d, by, op: host_calls.allocate(d, by),
    "free": lambda d, by, op: host_calls.free(d, by),
    "host_free": lambda d, by, op: host_calls.free(d, by),
    "empty_cache": lambda d, by, op: host_calls.free(d, by),
    "load": lambda d, by, op: host_calls.load(d, by, op.module),
    "set": lambda d, by, op: host_calls.put_flag(d, op.flag, up=True),
    "clear": lambda d, by, op: host_calls.put_flag(d, op.flag, up=False),
    "wait_flag": lambda d, by, op: host_calls.wait_flag(d, op.flag),
    "is_set": lambda d, by, op: host_calls.is_set(d, op.flag),
    "cpu_gpu_event_record": lambda d, by, op: host_calls.pair_record(
        d, by, d.named_pair(op.event), _stream(d, by, op), bool(op.raises)
    ),
    "cpu_gpu_event_wait": lambda d, by, op: host_calls.pair_wait(
        d, by, d.named_pair(op.event), _stream(d, by, op), bool(op.raises)
    ),
    "group_start": lambda d, by, op: host_calls.group_start(d, by),
    "group_end": lambda d, by, op: host_calls.group_end(d, by, op.drop),
    "group_boundary": lambda d, by, op: host_calls.group_boundary(d, by),
    "set_device": lambda d, by, op: host_calls.set_device(d, by, op.device),
    "set_stream": lambda d, by, op: host_calls.set_stream(d, by, _stream(d, by, op)),
}


def _stream(device: EmulatedDevice, by: str, op: Operation) -> str:
    """The stream that an operation means when it is called."""
    return device.callers.stream(by, op.stream)


def perform(device: EmulatedDevice, by: str, op: Operation) -> Call:
    """The call of a host thread for an operation; its value is what goes into `op.into`, if any.

    Parameters
    ----------
    device
        The device of the thread's rank.
    by
        The name of the thread within its rank.
    op
        A host operation of a kind in `TABLE`.

    Raises
    ------
    KeyError
        For an operation that does not touch the device.
    """
    steps = TABLE[op.kind](device, by, op)
    words = [
        getattr(op, name) for name in ("kernel", "event", "flag", "stream") if hasattr(op, name)
    ]
    return Call(device, by, " ".join([op.kind, *words]), steps, getattr(op, "gil", False))
