"""Who of the host threads may take an atomic step, and when.

Rules:
- Closed, every step waits for a grant of its own; open, it goes at once.
- A granted step is over when its thread arrives at its next step, at a wait, or at its end.  What
  the step led to in that thread has then happened, so the next grant finds it.
- A budget parks a thread before an operation: programs that loop for ever come to rest, and what
  is still pending then waits for something else than time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gates:
    """The gates of all host threads of one process."""

    def __init__(self, closed: bool, did: Callable[[str], None], budget: int | None = None) -> None:
        self._changed = threading.Condition()
        self._closed = closed
        self._did = did
        self._budget = budget
        self._grants: Counter[str] = Counter()
        self._taking: set[str] = set()  # threads whose granted step is not over
        self._arrived: set[str] = set()
        self._operations: Counter[str] = Counter()
        self._parked: set[str] = set()

    # --- the threads' side -------------------------------------------------------------------

    def operation(self, actor: str) -> None:
        """A thread is about to begin an operation; it rests here if its budget is spent."""
        with self._changed:
            self._operations[actor] += 1
            if self._spent(actor):
                self._settle(actor)
                self._parked.add(actor)
                self._changed.wait_for(lambda: not self._spent(actor))
                self._parked.discard(actor)

    @contextmanager
    def step(self, actor: str) -> Iterator[None]:
        """One atomic step of a thread: wait until it is granted, then take it."""
        with self._changed:
            self._settle(actor)
            self._changed.wait_for(lambda: not self._closed or self._grants[actor] > 0)
            if self._grants[actor] > 0:
                self._grants[actor] -= 1
                self._taking.add(actor)
        yield

    def settled(self, actor: str) -> None:
        """A thread waits outside of steps, or has ended: its granted step is over."""
        with self._changed:
            self._settle(actor)

    # --- the runner's side -------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether steps are granted one by one."""
        return self._closed

    def await_arrival(self, actor: str) -> None:
        """Wait until a thread that was just started stands at its first step."""
        with self._changed:
            self._changed.wait_for(lambda: actor in self._arrived)

    def grant(self, actor: str) -> None:
        """Let a thread take one step."""
        with self._changed:
            self._grants[actor] += 1
            self._changed.notify_all()

    def open(self) -> None:
        """Let everybody go on without grants."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()

    def extend(self, more: int) -> None:
        """Give every thread more operations."""
        with self._changed:
            if self._budget is not None:
                self._budget += more
            self._changed.notify_all()

    def operations(self) -> dict[str, int]:
        """How many operations each thread has begun, the one before which it is parked included."""
        with self._changed:
            return dict(self._operations)

    def parked(self) -> list[str]:
        """The threads whose budget is spent."""
        with self._changed:
            return sorted(self._parked)

    # --- inside ------------------------------------------------------------------------------

    def _spent(self, actor: str) -> bool:
        return self._budget is not None and self._operations[actor] > self._budget

    def _settle(self, actor: str) -> None:
        self._arrived.add(actor)
        self._changed.notify_all()
        if actor in self._taking:
            self._taking.discard(actor)
            self._did(actor)
