"""How weights and rows are called: buffers for who uses what when, tags for what is in them.

Rule: a buffer name stands for device memory and is what races are found on; a tag is a variable
that holds the expert in a row, so that the end of a run can be compared with the new map.
"""

from __future__ import annotations


def weights(layer: int) -> str:
    """The buffer of a layer's live weights."""
    return f"weights_{layer}"


def held(layer: int, row: int) -> str:
    """The tag of a row of a layer's live weights: the expert that it holds."""
    return f"held_{layer}_{row}"


def staged(row: int) -> str:
    """The tag of a row of the shared buffer, which is one layer large."""
    return f"staged_{row}"
