"""What an exporter answers to something that its language, or the exporter, can't say."""

from __future__ import annotations

from eplb_model.outcome import UsageError


class CannotExport(UsageError):
    """A scenario uses something that the export has no words for; the message names it."""
