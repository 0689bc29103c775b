"""The locks of a process that its driver holds, by host thread (specs/semantics.md#locks)."""

from __future__ import annotations


class Locks:
    """The locks of a process that its driver holds.  The holder is a host thread."""

    def __init__(self) -> None:
        self.context: str | None = None  # G44
        self.recording: str | None = None  # in a launch into a full stream (G4)

    def why_no_context(self, by: str) -> str | None:
        if self.context in (None, by):
            return None
        return f"needs the driver's context lock, which {self.context} holds"

    def why_no_record(self, by: str) -> str | None:
        if self.recording in (None, by):
            return None
        return f"event records wait for {self.recording}'s launch into a full stream"

    def hold_records(self, by: str) -> None:
        self.recording = by

    def release_records(self, by: str) -> None:
        if self.recording == by:
            self.recording = None
