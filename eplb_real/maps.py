"""The three maps of a model's placement, on its device, and how one follows from another.

Rules: physical_to_logical says which logical expert a physical row holds, -1 for none;
logical_to_physical lists the rows of each expert, ascending, -1 behind the last; replicas counts
them.  All three change together, a layer at a time, on the stream of the main thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eplb_model.communicators.plan import EMPTY, Ids


@dataclass(frozen=True, slots=True)
class Maps:
    """Shapes (layers, rows), (layers, experts, most replicas) and (layers, experts), int64."""

    physical_to_logical: torch.Tensor
    logical_to_physical: torch.Tensor
    replicas: torch.Tensor

    @staticmethod
    def of(placement: Sequence[Ids], experts: int, device: torch.device) -> Maps:
        """The maps of a placement of shape (layers, rows).

        Raises ValueError for an expert that is not below `experts`, and layers of unequal length.
        """
        lengths = {len(row) for row in placement}
        if len(lengths) > 1:
            raise ValueError(f"layers of {sorted(lengths)} rows; expected the same number")
        most = max(lengths, default=0)  # an expert may hold every row
        rows = [logical_to_physical(row, experts, most) for row in placement]
        return Maps(
            torch.tensor([list(row) for row in placement], dtype=torch.int64, device=device),
            torch.tensor(rows, dtype=torch.int64, device=device).reshape(len(rows), experts, most),
            torch.tensor(_replicas(rows), dtype=torch.int64, device=device).reshape(-1, experts),
        )

    def commit(self, layer: int, row: Ids) -> None:
        """Put a new row of a layer into all three, on the current stream.

        The copies block this host thread until that stream has come so far.
        """
        experts, most = self.logical_to_physical.shape[1:]
        rows = logical_to_physical(row, experts, most)
        self.physical_to_logical[layer].copy_(torch.tensor(list(row), dtype=torch.int64))
        self.logical_to_physical[layer].copy_(
            torch.tensor(rows, dtype=torch.int64).reshape(experts, most)
        )
        self.replicas[layer].copy_(torch.tensor(_replicas([rows])[0], dtype=torch.int64))


def logical_to_physical(row: Ids, experts: int, most: int) -> list[list[int]]:
    """The physical rows of each expert, filled up with -1.

    Raises ValueError for an expert that is not below `experts`.

    >>> logical_to_physical([1, 0, 1, -1], experts=2, most=3)
    [[1, -1, -1], [0, 2, -1]]
    """
    listed: list[list[int]] = [[] for _ in range(experts)]
    for place, expert in enumerate(row):
        if expert >= experts:
            raise ValueError(f"row {place} holds expert {expert}; expected one below {experts}")
        if expert != EMPTY:
            listed[expert].append(place)
    return [places + [EMPTY] * (most - len(places)) for places in listed]


def _replicas(layers: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    return [[sum(place != EMPTY for place in rows) for rows in layer] for layer in layers]
