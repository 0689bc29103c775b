"""What the host threads of one rank share: variables, flags, locks, two-thread events, threads.

Rules:
- Variables change under one lock, so that every operation on them is one atomic step.
- Flags and locks are the real ones of `threading`; a `CpuGpuEvent` is the library's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from eplb_model.outcome import Actor
from eplb_model.scenario import names_in
from eplb_model.world import World
from eplb_real.errors import Raised
from eplb_real.values import Moves, source_of


class Thread:
    """A host thread of a rank: whether it was started, and when it ends."""

    def __init__(self, actor: Actor, run: Callable[[Actor], None]) -> None:
        self.actor = actor
        self.started = False
        self._thread = threading.Thread(target=run, args=(actor,), name=actor.name, daemon=True)

    def start(self) -> None:
        """Let it run.  Raises `Raised`, as misuse, for a thread that was started before."""
        if self.started:
            raise Raised("misuse", f"{self.actor} was started before")
        self.started = True
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end.  Raises `Raised`, as misuse, for one that was never started."""
        if not self.started:
            raise Raised("misuse", f"{self.actor} was never started")
        self._thread.join()


class Rank:
    """The memory of one rank and its threads."""

    def __init__(self, world: World, rank: int, run: Callable[[Actor], None]) -> None:
        self.rank = rank
        initial = world.ranks[rank].memory
        names = _names(world, rank)
        self._lock = threading.Lock()
        self._variables = {name: initial[name] for name in initial if name in names["variable"]}
        self.flags = {name: threading.Event() for name in sorted(names["flag"])}
        for name, flag in self.flags.items():
            if initial[name]:
                flag.set()
        self.locks = {name: threading.Lock() for name in sorted(names["lock"])}
        self.threads = {actor.name: Thread(actor, run) for actor in world.threads_of(rank)}

    def read(self, reader: Callable[[Mapping[str, Any]], Any]) -> Any:
        """What a function sees in the variables, at one instant."""
        with self._lock:
            return reader(self._variables)

    def write(self, name: str, value: Any) -> None:
        """Assign a variable."""
        with self._lock:
            self._variables[name] = value

    def assign(self, name: str, reader: Callable[[Mapping[str, Any]], Any]) -> Any:
        """Assign to a variable what a function sees in all of them, at one instant."""
        with self._lock:
            value = reader(self._variables)
            self._variables[name] = value
            return value

    def take(self, name: str, into: str) -> Any:
        """Move a value out of a variable.  Raises `Raised`, as a violation, if it is empty."""
        with self._lock:
            value = self._variables[name]
            if value is None:
                raise Raised("violation", f"nothing to take in {name}")
            self._variables[into] = value
            self._variables[name] = None
            return self._variables[into]  # which is none if it was taken into itself

    def move(self, moves: Moves) -> None:
        """What the end of work on a stream does, at one instant; nothing comes from peers here."""
        with self._lock:
            for each in moves:
                self._variables[each.target] = source_of(each, self._variables)

    def join_all(self) -> None:
        """Wait until no thread runs, those included that others start meanwhile."""
        while running := [thread for thread in self.threads.values() if thread.is_alive]:
            for thread in running:
                thread.join()

    def values(self) -> dict[str, Any]:
        """All variables as they are now."""
        with self._lock:
            return dict(self._variables)


def _names(world: World, rank: int) -> dict[str, set[str]]:
    """The names in the programs of a rank, by role."""
    found: dict[str, set[str]] = {"variable": set(), "flag": set(), "lock": set()}
    for program in world.ranks[rank].threads:
        for op in program.code:
            for role, _, name in names_in(op):
                found.setdefault(role.name, set()).add(name)
    return found
