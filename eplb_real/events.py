"""`CpuGpuEvent`: a device event and a flag, so that what is waited for was always recorded.

One thread records, one waits; they may be the same.  The steps, in this order and no other:
- record: b1 is the flag set? raise; b2 a new device event; b3 load it, record it; b4 set the flag.
- wait: a1 block until the flag is set; a2 load the event; a3 the stream waits for it; a4 clear.

The flag is clear whenever the consumer is before a2, and set whenever the producer is outside b2
to b4; so b2, b3 and a2 to a4 never overlap.  With a third thread nothing of this holds.
specs/semantics.md#cpu-gpu-event-record, #cpu-gpu-event-wait
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from eplb_real.streams import DeviceEvent, Stream, device_event


class Flag(Protocol):
    """What the event needs of `threading.Event`; a harness passes one that stops in between."""

    def is_set(self) -> bool:
        """Whether a record is there that nobody consumed."""

    def set(self) -> None:
        """Publish a record."""

    def clear(self) -> None:
        """Consume it."""

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is set, at most that many seconds; whether it is."""


class CpuGpuEvent:
    """Orders a stream of one host thread before a stream of another.

    Parameters: event_factory makes the device event of each record, by default that of the
    accelerator; flag_factory makes the flag; debug refuses a third thread by name.
    Guarantees for one producer and one consumer: each wait returns for one record, work enqueued
    before `record` precedes work enqueued after `wait`, and a record is never overwritten.  The
    host of the waiter doesn't wait for the device.  Not picklable, and of no use after a fork.
    After an error of the device: where `record` fails at b3 the flag is clear, and a record may
    be tried again; where `wait` fails at a3 the flag stays set, so every later record raises.
    Raises RuntimeError without an accelerator, if no event_factory is given.
    """

    def __init__(
        self,
        *,
        event_factory: Callable[[], DeviceEvent] | None = None,
        flag_factory: Callable[[], Flag] = threading.Event,
        debug: bool = False,
    ) -> None:
        self._event_factory = device_event() if event_factory is None else event_factory
        self._flag = flag_factory()
        self._event: DeviceEvent | None = None
        self._debug = debug
        self._sides: dict[str, threading.Thread] = {}  # who called first, kept by debug only

    def record(self, stream: Stream | None = None) -> None:
        """Publish all work enqueued on a stream so far, by default the caller's current one.

        Raises RuntimeError while the record before is not consumed; nothing is changed then.
        """
        self._note("record")
        if self._flag.is_set():  # b1
            raise RuntimeError(
                "record(): the record before has not been consumed by a wait(); "
                "expected one wait between two records"
            )
        self._event = self._event_factory()  # b2
        _call(self._event.record, stream)  # b3, another producer's event if there is one
        self._flag.set()  # b4

    def wait(self, stream: Stream | None = None, *, timeout: float | None = None) -> None:
        """Block this thread until a record is there, make a stream wait for it, and consume it.

        Parameters: stream is by default the caller's current one; timeout in seconds bounds the
        block of the host, None for ever.
        Raises TimeoutError where no record came in time; the object is as before then.
        """
        self._note("wait")
        if not self._flag.wait(timeout):  # a1
            raise TimeoutError(
                f"wait(): no record() within {timeout} s; "
                f"{threading.current_thread().name} waited for the producer"
            )
        event = self._event  # a2
        if event is None:
            raise RuntimeError("wait(): the flag was set, but not by record()")
        _call(event.wait, stream)  # a3
        self._flag.clear()  # a4

    def _note(self, side: str) -> None:
        """Remember the first thread of a side, refuse any other."""
        if not self._debug:
            return
        here = threading.current_thread()
        first = self._sides.setdefault(side, here)
        if first is not here:
            raise RuntimeError(
                f"{side}(): called by {here.name}, before by {first.name}; "
                "expected one thread that records and one that waits"
            )


def _call(method: Callable[..., None], stream: Stream | None) -> None:
    """Without a stream nothing is passed, so that the device takes the caller's current one."""
    if stream is None:
        method()
    else:
        method(stream)
