"""How weights and rows are called: buffers for who uses what when, tags for what is in them.

Rules:
- A buffer name stands for device memory and is what races are found on.
- A tag is a variable that says what a row holds, and of which layer, so that the end of a run can
  be compared with the new map and a row of another layer is not taken for the right one.
"""

from __future__ import annotations

from eplb_model.communicators.plan import EMPTY

BUFFER = "buffer"  # one layer large, shared by all layers


def weights(layer: int) -> str:
    """The buffer of a layer's live weights."""
    return f"weights_{layer}"


def held(layer: int, row: int) -> str:
    """The tag of a row of a layer's live weights."""
    return f"held_{layer}_{row}"


def staged(row: int) -> str:
    """The tag of a row of the shared buffer."""
    return f"staged_{row}"


def tag(layer: int, expert: int) -> str | None:
    """What a tag says of a row with an expert of a layer; None for an empty row.

    >>> tag(0, 3), tag(0, -1)
    ('expert 3 of layer 0', None)
    """
    return None if expert == EMPTY else f"expert {expert} of layer {layer}"
