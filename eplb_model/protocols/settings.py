"""What can be chosen about a protocol, as one value that every thread's text reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from eplb_model.ops.moves import Move
from eplb_model.scenario import Statement

Version = Literal["0.20", "0.33"]
# Of a rank and a layer: the statements of its transfers, and what the copy of V2 does to the tags.
Transfers: TypeAlias = Callable[[int, int], Iterator[Statement]]
Commits: TypeAlias = Callable[[int, int], tuple[Move, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration of async EPLB.  specs/protocols.md#settings"""

    version: Version
    ranks: int
    layers: int
    transfer: Transfers
    commit: Commits
    commit_blocks: bool = True  # V5 copies from pageable memory and waits
    record_first: bool = False  # V9 before V8: the known wrong order
    synchronises: bool = True  # W8
    waits_consumed: bool = True  # W11 on the worker's stream; else on one that orders nothing
    dies: int | None = None  # the layer before which the last rank's worker dies
    raises: int | None = None  # the layer in whose transfer the last rank's worker raises


def consumed(layer: int) -> str:
    """The event that says that a layer has been taken out of the buffer: a fresh one per layer."""
    return f"consumed_{layer}"
