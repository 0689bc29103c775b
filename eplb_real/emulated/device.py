"""The GPU of one rank, as host threads use it: launches, copies, events, streams, calls that wait.

Rules:
- A method here is a whole host call of the calling thread, known by the name of the thread; it
  takes the steps of `host_calls` one after the other, as they may be taken.
- Every wait ends with `DeviceAborted` when the device is aborted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from eplb_model.world import CURRENT, World
from eplb_real.emulated import host_calls
from eplb_real.emulated.call import Call, Steps
from eplb_real.emulated.events import EmulatedEvent, Pair
from eplb_real.emulated.meetings import Meetings
from eplb_real.emulated.monitor import Monitor, Observer
from eplb_real.emulated.pace import Pace
from eplb_real.emulated.queues import Item
from eplb_real.emulated.streams import EmulatedStream


class Standing(NamedTuple):
    """Where an actor of the device stands, in words: what it does, the SMs it holds, why it waits.

    `why` is empty for a stream that could go on.
    """

    actor: str
    doing: str
    holds: tuple[int, ...]
    why: str

    def __str__(self) -> str:
        held = f", holds {len(self.holds)} SM slots" if self.holds else ""
        return f"{self.actor} ({self.doing}{held}): {self.why or 'may go on'}"


class Ticket:
    """What was captured of a device: done once all of it has left its streams."""

    def __init__(self, device: EmulatedDevice, marks: tuple[Item, ...]) -> None:
        self._device = device
        self._marks = marks

    @property
    def done(self) -> bool:
        return all(mark.done for mark in self._marks)

    def wait(self) -> None:
        """Let the calling thread wait until it is done."""
        self._device.call("wait", host_calls.pending(self._marks)).finish()


class EmulatedDevice(Monitor):
    """The GPU of one rank of a world; as a context manager it is aborted at the end.

    The parameters are those of `Monitor`.
    """

    def __init__(
        self,
        rank: int,
        world: World,
        meetings: Meetings,
        observer: Observer | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._events: dict[str, EmulatedEvent] = {}
        self._pairs: dict[str, Pair] = {}
        self._current = threading.local()
        super().__init__(rank, world, meetings, observer, pace)

    # --- threads --------------------------------------------------------------

    def me(self) -> str:
        """What the calling thread is known as: its own name unless it has said otherwise."""
        name: str = getattr(self._current, "me", threading.current_thread().name)
        return name

    def know_me_as(self, name: str) -> None:
        """Say what the calling thread is known as: the name of its program."""
        self._current.me = name

    # --- host calls --------------------------------------------------------------------------

    def call(self, what: str, steps: Steps, by: str | None = None, gil: bool = False) -> Call:
        """A host call that has not taken its first step; by default of the calling thread."""
        return Call(self, by or self.me(), what, steps, gil)

    def launch(
        self,
        kernel: str,
        stream: EmulatedStream,
        reads: Iterable[str] = (),
        writes: Iterable[str] = (),
    ) -> None:
        """Put a kernel on a stream; waits where the stream is full or a module has to be loaded."""
        me = self.me()
        steps = host_calls.launch(self, me, kernel, stream.name, reads, writes)
        self.call(f"launch {kernel} {stream.name}", steps).finish()

    def memset(self, stream: EmulatedStream, writes: Iterable[str] = ()) -> None:
        """Put a memset on a stream."""
        me = self.me()
        steps = host_calls.memset(self, me, stream.name, writes)
        self.call(f"memset {stream.name}", steps).finish()

    def copy(
        self,
        direction: str,
        stream: EmulatedStream,
        memory: str = "pinned",
        blocking: bool = False,
        reads: Iterable[str] = (),
        writes: Iterable[str] = (),
    ) -> None:
        """Put a copy on a stream, and wait for it where CUDA does."""
        me = self.me()
        steps = host_calls.copy(self, me, direction, stream.name, memory, blocking, reads, writes)
        self.call(f"copy {direction} {stream.name}", steps).finish()

    def record(self, event: EmulatedEvent, stream: EmulatedStream) -> None:
        """Capture what a stream holds in an event."""
        me = self.me()
        steps = host_calls.record(self, me, event, stream.name)
        self.call(f"record on {stream.name} {event.name}".rstrip(), steps).finish()

    def stream_wait(self, stream: EmulatedStream, event: EmulatedEvent) -> None:
        """Let a stream wait for the record that an event holds now."""
        me = self.me()
        steps = host_calls.stream_wait(self, me, stream.name, event)
        self.call(f"wait on {stream.name} {event.name}".rstrip(), steps).finish()

    def synchronize(self) -> None:
        """Wait for all that the device holds now."""
        me = self.me()
        self.call("synchronize", host_calls.device_synchronize(self, me)).finish()

    def free(self) -> None:
        """Free memory: keeps the context lock until what the device holds now is done."""
        me = self.me()
        self.call("free", host_calls.free(self, me)).finish()

    def malloc(self) -> None:
        """Allocate memory: needs the context lock for an instant."""
        me = self.me()
        self.call("malloc", host_calls.allocate(self, me)).finish()

    def load(self, module: str) -> None:
        """Load a module now instead of at first use."""
        me = self.me()
        self.call(f"load {module}", host_calls.load(self, me, module)).finish()

    def await_started(self, kernel: str, number: int = 0) -> None:
        """Wait until all CTAs of the n-th launch on this rank have started."""
        steps = host_calls.await_started(self, kernel, number)
        self.call(f"await_resident {kernel}", steps).finish()

    def await_ended(self, kernel: str, number: int = 0) -> None:
        """Wait until all CTAs of the n-th launch on this rank have ended."""
        steps = host_calls.await_ended(self, kernel, number)
        self.call(f"await_complete {kernel}", steps).finish()

    def put_flag(self, flag: str, up: bool) -> None:
        """Set or clear a flag that kernels may spin on."""
        self.call(f"put {flag}", host_calls.put_flag(self, flag, up)).finish()

    def outside(self, by: str | None = None) -> Call:
        """A step that does not touch the device: it waits for the interpreter lock only (G45)."""
        return self.call("outside", host_calls.outside(), by)

    def capture(self, what: EmulatedStream | EmulatedEvent | None = None) -> Ticket:
        """Capture what a stream, an event or, by default, the whole device holds now."""
        with self.monitor:
            match what:
                case EmulatedStream():
                    return Ticket(self, self.queues.items(what.name)[-1:])
                case EmulatedEvent():
                    return Ticket(self, () if what.mark is None else (what.mark,))
                case None:
                    return Ticket(self, self.queues.marks())

    # --- events and streams ------------------------------------------------------------------

    def event(self, name: str = "") -> EmulatedEvent:
        """A new event; its first record makes it (G44b)."""
        me = self.me()
        event: EmulatedEvent = self.call("event", host_calls.new_event(self, me, name)).finish()
        return event

    def unrecorded(self, name: str = "") -> EmulatedEvent:
        """A new event, made within a step of a call."""
        return EmulatedEvent(self, name)

    def named_event(self, name: str) -> EmulatedEvent:
        """The event that a program calls by this name."""
        return self._events.setdefault(name, EmulatedEvent(self, name))

    def named_pair(self, name: str) -> Pair:
        """The two-thread event that a program calls by this name."""
        if name not in self._pairs:
            self._pairs[name] = Pair(name, EmulatedEvent(self, name))
        return self._pairs[name]

    def stream(self, name: str) -> EmulatedStream:
        """A handle of a stream, or of the current one; `KeyError` names the streams there are."""
        name = self.callers.stream(self.me(), name)
        if name not in self.queues.names:
            raise KeyError(f"no stream {name!r}; known: {', '.join(self.queues.names)}")
        return EmulatedStream(self, name)

    def current_stream(self) -> EmulatedStream:
        """The calling thread's stream: the default one of the device unless it chose another."""
        return self.stream(CURRENT)

    def set_current_stream(self, stream: EmulatedStream) -> None:
        """Choose the calling thread's current stream."""
        self.callers.set_stream(self.me(), stream.name)

    # --- what there is to see ----------------------------------------------------------------

    def snapshot(self) -> tuple[Standing, ...]:
        """Who stands where and waits for what: host calls that wait, then streams with work."""
        with self.monitor:
            calls = [
                Standing(f"{self.rank}.{by}", call.what, (), why)
                for by, call in sorted(self._waiting.items())
                if (why := call.blocked()) is not None
            ]
            streams = [
                Standing(
                    f"{self.rank}.{name}",
                    head.work.label,
                    tuple(running.held()) if (running := self.distributor.on(name)) else (),
                    self.why(name) or "",
                )
                for name in self.queues.names
                if (head := self.queues.head(name)) is not None
            ]
            return (*calls, *streams)

    def is_at_rest(self) -> bool:
        """Whether no stream may go on and no host call that waits may return."""
        with self.monitor:
            return not self.turns() and all(call.blocked() for call in self._waiting.values())

    def __enter__(self) -> EmulatedDevice:
        return self

    def __exit__(self, *_: Any) -> None:
        self.abort()
