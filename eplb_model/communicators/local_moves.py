"""Rows that stay on their rank: copied within the device, whatever the communicator."""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.names import BUFFER, held, staged, weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Variable
from eplb_model.ops.moves import Move
from eplb_model.scenario import Statement


def local_moves(share: Share, layer: int) -> Iterator[Statement]:
    """One copy on the worker's stream for all rows of a rank that only change places."""
    if share.moves:
        moves = (Move(staged(m.row), Variable(held(layer, m.source))) for m in share.moves)
        yield Copy("d2d", "side", reads=(weights(layer),), writes=(BUFFER,), moves=tuple(moves))


def committed(share: Share, layer: int) -> tuple[Move, ...]:
    """What the copy out of the buffer does: the changed rows, then the duplicates (P6, P7).

    A primary row whose expert nobody holds is among them: it takes what the buffer held before.
    """
    changed = (Move(held(layer, row), Variable(staged(row))) for row in share.committed)
    copies = (
        Move(held(layer, duplicate.row), Variable(held(layer, duplicate.primary)))
        for duplicate in share.duplicates
    )
    return (*changed, *copies)
