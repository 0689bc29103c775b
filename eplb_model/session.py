"""What the assertions of `eplb_model.testing` are told by a test runner, and tell it.

Rule: nothing heavy is imported here, for a runner loads this whether or not a test needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eplb_model.outcome import Report


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a check goes unless the test says otherwise."""

    max_states: int = 200_000
    time_limit: float | None = None  # in seconds; needs a clock
    strategy: str = "bfs"
    runs: int = 1_000
    seed: int = 0


class Checked(NamedTuple):
    """An answer, and the text of the vector that it is about (`ValueError` if none can hold it)."""

    report: Report
    vector: Callable[[], str]


class CheckFailed(AssertionError):
    """A check did not answer what a test asserts; the message is its report."""

    __module__ = "eplb_model.testing"  # from where it is imported; tracebacks print it

    def __init__(self, message: str, checked: Checked) -> None:
        super().__init__(message)
        self.checked = checked


@dataclass(slots=True)
class Session:
    """One test: its limits, and what it has checked so far."""

    limits: Limits = Limits()
    clock: Callable[[], float] | None = None
    count: int = 0
    last: Checked | None = None

    def tell(self, checked: Checked) -> None:
        """Take note of an answer."""
        self.count += 1
        self.last = checked


CURRENT: ContextVar[Session | None] = ContextVar("eplb_session", default=None)
