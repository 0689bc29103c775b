"""Rows that stay on their rank: copied within the device, whatever the communicator."""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.names import held, staged, weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Variable
from eplb_model.ops.variables import Put
from eplb_model.scenario import Statement


def local_moves(share: Share, layer: int) -> Iterator[Statement]:
    """One copy on the worker's stream for all rows of a rank that only change places."""
    if share.moves:
        yield Copy("d2d", "side", reads=(weights(layer),), writes=("buffer",))


def staged_moves(share: Share, layer: int) -> Iterator[Statement]:
    """The tags of the rows that change places, into the buffer."""
    for move in share.moves:
        yield Put(staged(move.row), Variable(held(layer, move.source)))


def committed(share: Share, layer: int) -> Iterator[Statement]:
    """The tags of all changed rows, from the buffer into the weights; then the duplicates."""
    moved = {move.row for move in share.moves} | {receive.row for receive in share.receives}
    for row in sorted(moved):
        yield Put(held(layer, row), Variable(staged(row)))
    for duplicate in share.duplicates:
        yield Put(held(layer, duplicate.row), Variable(held(layer, duplicate.primary)))
