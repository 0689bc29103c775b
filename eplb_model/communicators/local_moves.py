"""Rows that stay on their rank: copied within the device, whatever the communicator."""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.scenario import Statement


def local_moves(share: Share, weights: str) -> Iterator[Statement]:
    """One copy on the worker's stream for all rows of a rank that only change places."""
    if share.moves:
        yield Copy("d2d", "side", reads=(weights,), writes=("buffer",))
