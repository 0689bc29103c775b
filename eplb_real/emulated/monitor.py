"""A GPU on threads: a monitor, and a thread per stream for what happens later.

Rules:
- What a device does at once (waits passed, kernels arriving, CTAs placed) is done under the monitor
  by whoever made it possible: `settle`, after every change.
- What happens later (a CTA ends, a copy ends, a record fires) is a *turn* of a stream.  Its thread
  takes it when the pace has picked it; with `Gated`, only `step` does.
- Nothing here asks the model what is enabled or what follows; the world is read for its data.
- Every wait ends when the device is aborted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from eplb_model.world import World
from eplb_real.emulated.accesses import Access, Overlaps
from eplb_real.emulated.callers import Callers
from eplb_real.emulated.errors import NotAllowed
from eplb_real.emulated.kernels import Running
from eplb_real.emulated.locks import Locks
from eplb_real.emulated.meetings import Fact, Meetings
from eplb_real.emulated.pace import Free, Pace, Turn
from eplb_real.emulated.queues import Await, Launched, Moves, Queues
from eplb_real.emulated.sms import Distributor


class Observer(Protocol):
    """What is told of a device.  Called with the monitor held: it must not block."""

    def item(self, actor: str, work: str) -> None:
        """An item has left a stream; waits, which the device passes by itself, are not told."""

    def started(self, actor: str, work: str, ctas: int) -> None:
        """So many CTAs of a kernel have started by now."""

    def overlap(self, rank: int, actors: tuple[str, str], buffer: str) -> None:
        """Two conflicting accesses are in progress at once."""


class Unobserved:
    """Tells nobody."""

    def item(self, actor: str, work: str) -> None: ...
    def started(self, actor: str, work: str, ctas: int) -> None: ...
    def overlap(self, rank: int, actors: tuple[str, str], buffer: str) -> None: ...


def _moves_nothing(moves: Moves) -> None:
    """Nobody has said who has the variables."""


class Waiter(Protocol):
    """A host call that waits."""

    by: str
    what: str

    def blocked(self) -> str | None: ...


class Monitor:
    """Streams, SMs and locks of one device, under one monitor.

    Parameters
    ----------
    rank
        Whose GPU it is.
    world
        Machine, kernels and streams; read for its data only.
    meetings
        What is known of the kernels of all ranks; shared by the devices of a process.
    observer
        Who is told what happens.
    pace
        Whether streams go on by themselves, `Free` by default.
    """

    def __init__(
        self,
        rank: int,
        world: World,
        meetings: Meetings,
        observer: Observer | None = None,
        pace: Pace | None = None,
    ) -> None:
        machine, streams = world.machine, world.ranks[rank].streams
        self.rank = rank
        self.meetings = meetings
        self.monitor = meetings.monitor
        self.kernels = world.kernels
        self.queue_depth = machine.queue_depth
        slots = [actor.slot for actor in world.streams_of(rank)]
        connections = [world.connections[slot] for slot in slots]
        hold = [world.waits_that_hold[slot] for slot in slots]
        self.queues = Queues(streams, connections, hold, machine.queue_depth)
        self.distributor = Distributor(machine)
        self.locks = Locks()
        self.callers = Callers(streams)
        self.forbids = world.forbids
        self.gil: str | None = None  # the thread that blocks with the interpreter lock held (G45)
        self.flags: dict[str, bool] = {}
        self.loaded: set[str] = set()
        self.move: Callable[[Moves], None] = _moves_nothing
        self.aborted = False
        self._world = world
        self._priorities = {stream.name: stream.priority for stream in streams}
        self._switches = machine.switches
        self._initial = world.ranks[rank].memory
        self._host_accesses: list[Access] = []
        self._overlaps = Overlaps()
        self._observer = observer or Unobserved()
        self._waiting: dict[str, Waiter] = {}
        self._pace = pace or Free()
        self._picked: Turn | None = None
        self._picked_at = -1  # `Meetings.changes` when it was picked
        self._threads: list[threading.Thread] = []
        self._pace.on_open(self._start_streams)

    # --- what host calls ask and change, with the monitor held -------------------------------

    def flag_is_up(self, flag: str) -> bool:
        return self.flags.get(flag, bool(self._initial.get(flag, False)))

    def must_load(self, module: str | None) -> bool:
        """Whether the first launch from a module, or a load of it, waits for the device."""
        returns = self._switches.first_use == "returns"
        return module is not None and not returns and module not in self.loaded

    def begin_access(self, by: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> object:
        access = Access(f"{self.rank}.{by}", object(), reads, writes)
        self._host_accesses.append(access)
        return access.key

    def end_access(self, key: object) -> None:
        self._host_accesses = [each for each in self._host_accesses if each.key is not key]

    @contextmanager
    def waits(self, call: Waiter) -> Iterator[None]:
        """Note who is in which call, for `snapshot`; that somebody waits is to be seen at once."""
        self._waiting[call.by] = call
        if call.blocked() is not None:
            self.meetings.changed()
        try:
            yield
        finally:
            del self._waiting[call.by]

    def settle(self) -> None:
        """Let everything happen that happens at once, and let everybody look again."""
        self.queues.pass_satisfied()
        if self._switches.distributor == "arrival":
            for stream in self.queues.names:
                if self._can_arrive(stream):
                    self._arrive(stream)
        for running in self.distributor.place():
            self._tell_started(running)
        for overlap in self._overlaps.new_among(self.accesses()):
            self._observer.overlap(self.rank, *overlap)
        self.meetings.changed()

    # --- streams -----------------------------------------------------------------------------

    def turns(self, stream: str | None = None) -> list[Turn]:
        """The later steps that may be taken now, of one stream or of all."""
        with self.monitor:
            names = self.queues.names if stream is None else (stream,)
            return [turn for name in names for turn in self._turns_of(name)]

    def step(self, stream: str, choice: int | None = None, timeout: float = 0.0) -> None:
        """Take exactly one later step of a stream, with everything that follows from it at once.

        Raises
        ------
        NotAllowed
            If it may not be taken within `timeout` seconds, with what it waits for.
        """
        turn = Turn(stream, choice)
        with self.monitor:
            if not self.monitor.wait_for(lambda: turn in self._turns_of(stream), timeout):
                raise NotAllowed(self.why(stream) or f"{stream} has no choice {choice}")
            self._take(turn)

    def _turns_of(self, stream: str) -> list[Turn]:
        head = self.queues.head(stream)
        if head is None:
            return []
        running = self.distributor.on(stream)
        if running is not None:
            return [Turn(stream, c) for c in running.choices() if running.why_not(c) is None]
        if isinstance(head.work, Await) or self.queues.kept_back_by(stream):
            return []
        return [Turn(stream, None)]

    def _take(self, turn: Turn) -> None:
        """One later step: a kernel arrives, CTAs end, a copy ends, a record fires."""
        running = self.distributor.on(turn.stream)
        if running is None and self._can_arrive(turn.stream):
            self._arrive(turn.stream)
        elif running is None:
            self._leave(turn.stream)
        else:
            running.end(turn.choice)
            if running.is_over:
                name, number = running.kernel.name, running.number
                ended = Fact(self.rank, name, number, "ended", running.kernel.ctas)
                self.distributor.leave(running)
                self.meetings.publish(ended)
                self._leave(turn.stream)
        self._picked = None
        self.settle()

    def _can_arrive(self, stream: str) -> bool:
        head = self.queues.head(stream)
        return (
            head is not None
            and isinstance(head.work, Launched)
            and self.distributor.on(stream) is None
            and not self.queues.kept_back_by(stream)
        )

    def _arrive(self, stream: str) -> None:
        head = self.queues.head(stream)
        assert head is not None and isinstance(head.work, Launched)  # noqa: PT018  # one fact
        running = Running(
            stream,
            self._priorities[stream],
            head.work,
            self.rank,
            self.meetings,
            len(self._world.ranks),
            self._world.backwards(self.rank),
            self.flag_is_up,
        )
        self.distributor.arrive(running)

    def _leave(self, stream: str) -> None:
        item = self.queues.leave(stream)
        if item.work.moves:
            self.move(item.work.moves)
        self._observer.item(f"{self.rank}.{stream}", item.work.label)

    def _tell_started(self, running: Running) -> None:
        name, count = running.kernel.name, len(running.ctas)
        self.meetings.publish(Fact(self.rank, name, running.number, "started", count))
        self._observer.started(f"{self.rank}.{running.stream}", name, count)

    # --- the threads of streams --------------------------------------------------------------

    def _start_streams(self) -> None:
        for name in self.queues.names:
            thread = threading.Thread(
                target=self._go_on, args=(name,), name=f"{self.rank}.{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _go_on(self, stream: str) -> None:
        while not self.aborted:
            with self.monitor:  # given back between two turns
                turn = self._picked_turn()
                if turn is not None and turn.stream == stream:
                    self._take(turn)
                elif not self.aborted:
                    self.monitor.wait()

    def _picked_turn(self) -> Turn | None:
        """Who is next: picked once, kept while it may be taken."""
        if self._picked_at != self.meetings.changes:
            self._picked_at = self.meetings.changes
            turns = self.turns()
            if self._picked not in turns:
                self._picked = self._pace.pick(turns) if turns else None
        return self._picked

    def abort(self) -> None:
        """End every thread of the device, and every host call that waits with `DeviceAborted`."""
        with self.monitor:
            self.aborted = True
            self.meetings.changed()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    # --- what there is to see ----------------------------------------------------------------

    def accesses(self) -> list[Access]:
        """The accesses in progress: of ready heads of streams, and of host threads."""
        with self.monitor:
            found = list(self._host_accesses)
            for name in self.queues.names:
                head = self.queues.head(name)
                if head is None or not (head.work.reads or head.work.writes):
                    continue
                if not self.queues.kept_back_by(name):
                    actor = f"{self.rank}.{name}"
                    found.append(Access(actor, head, head.work.reads, head.work.writes))
            return found

    def why(self, stream: str) -> str | None:
        """Why the head of a stream does not go on; None if it may."""
        if self._turns_of(stream):
            return None
        head, running = self.queues.head(stream), self.distributor.on(stream)
        if head is None:
            return "has nothing to do"
        others = self.queues.kept_back_by(stream)
        if others:
            return f"stands behind waits of {', '.join(others)} in the hardware queue"
        if isinstance(head.work, Await):
            what = f"the record of event {head.work.event}" if head.work.event else "earlier work"
            return f"waits for {what} on {head.work.mark.stream}"
        assert running is not None, "what is ready may go on"
        reasons = [running.why_not(choice) for choice in running.choices()]
        if running.waits:
            reasons.append(self.distributor.why_it_waits(running))
        return "; ".join(dict.fromkeys(filter(None, reasons)))
