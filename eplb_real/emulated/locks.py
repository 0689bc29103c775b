"""The locks of a process that its driver holds, by host thread (specs/semantics.md#locks)."""

from __future__ import annotations


class Locks:
    """The locks of a process that its driver holds.  The holder is a host thread."""

    def __init__(self) -> None:
        self.context: str | None = None  # G44
        self.making: str | None = None  # in a launch into a full stream (G4)

    def why_no_context(self, by: str) -> str | None:
        if self.context in (None, by):
            return None
        return f"needs the driver's context lock, which {self.context} holds"

    def why_none_made(self, by: str) -> str | None:
        """What making an event, or memory, waits for."""
        return self.why_no_context(by) or self.why_not_first(by)

    def why_not_first(self, by: str) -> str | None:
        if self.making in (None, by):
            return None
        return f"nothing is made during {self.making}'s launch into a full stream"

    def hold_making(self, by: str) -> None:
        self.making = by

    def release_making(self, by: str) -> None:
        if self.making == by:
            self.making = None
