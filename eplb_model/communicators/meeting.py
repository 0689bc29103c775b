"""Where all ranks meet around one-sided reads: before them, after them, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from eplb_model.ops.collectives import Barrier
from eplb_model.scenario import Statement

Fence = Literal["before", "after", "none"]
GROUP = "eplb_cpu"
ENGINE = "nixl"


def fence_if(here: bool) -> Iterator[Statement]:
    """A barrier of all ranks, those with nothing to do included (X3)."""
    if here:
        yield Barrier(GROUP)
