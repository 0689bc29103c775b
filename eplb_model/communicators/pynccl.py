"""`pynccl`: one grouped exchange on the worker's own stream; the host waits for nothing.

A rank without sends and receives takes no part.  specs/protocols.md#communicators
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.communicators.local_moves import local_moves
from eplb_model.communicators.names import weights
from eplb_model.communicators.plan import Share
from eplb_model.ops.launch import Launch
from eplb_model.scenario import Statement


def transfer(share: Share, layer: int) -> Iterator[Statement]:
    """The statements of one rank for one layer."""
    yield from local_moves(share, layer)
    if share.sends or share.receives:
        yield Launch("exchange", "side", reads=(weights(layer),), writes=("buffer",))
