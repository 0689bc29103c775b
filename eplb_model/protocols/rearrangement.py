"""What is rearranged: the maps of every cycle, the plans that follow, and the tags of the rows.

Rules:
- The plan is the real one, computed from the old and the new map; see `communicators/plan.py`.
- Every cycle starts from the map that the one before it has reached.
- Ranks may be made to compute different plans, as they do when one reads a load that is not ready.
- What a communicator calls `side` is the stream that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias, TypeVar

from eplb_model.communicators.names import held, tag
from eplb_model.communicators.plan import Plan, joined, plan, plans_of
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.variables import Assert
from eplb_model.scenario import Statement

T = TypeVar("T")
Map: TypeAlias = tuple[int, ...]

ROWS = 2  # of a rank
NCCL = ("torch_nccl", "pynccl")
# Which communicators a version has; the ancestors had nothing to choose.
AVAILABLE: Mapping[str, tuple[str, ...]] = {
    "0.18": ("torch_nccl",),
    "0.19": ("torch_nccl",),
    "0.20": ("torch_gloo", *NCCL, "nixl_staged"),
    "0.33": ("torch_gloo", *NCCL, "torch_xccl", "nixl_zero_copy"),
}


def check_available(version: str, communicator: str) -> None:
    """Raise ValueError for a communicator that a version has not.

    >>> check_available("0.20", "nixl_staged")
    """
    if communicator not in AVAILABLE[version]:
        raise ValueError(
            f"version {version} has no communicator {communicator}, only "
            f"{', '.join(AVAILABLE[version])}; set unchecked=true to ask all the same"
        )


def moved_map(moved: str, old: Map) -> Map:
    """The map after a rearrangement of some kind.

    >>> moved_map("swap", (0, 1, 2, 3)), moved_map("spread", (0, 1, 2, 3))
    ((0, 3, 2, 1), (0, 0, 2, 0))
    """
    ranks = len(old) // ROWS
    last = [ROWS * rank + ROWS - 1 for rank in range(ranks)]
    new = list(old)
    for rank, row in enumerate(last):
        match moved:
            case "swap":  # every rank gets the last expert of the next one
                new[row] = old[last[(rank + 1) % ranks]]
            case "spread":  # the first expert is popular and gets a copy everywhere
                new[row] = old[0]
            case "local":  # experts change places within their rank
                new[row - 1], new[row] = old[row], old[row - 1]
            case _:
                raise ValueError(f"moved: got {moved!r}; expected swap, spread or local")
    return tuple(new)


def maps(moved: str, ranks: int, cycles: int = 1) -> tuple[Map, ...]:
    """The map of a layer at first and after every cycle.

    >>> maps("swap", 2)
    ((0, 1, 2, 3), (0, 3, 2, 1))
    """
    found = [tuple(range(ROWS * ranks))]
    for _ in range(cycles):
        found.append(moved_map(moved, found[-1]))
    return tuple(found)


def planned(old: Map, new: Map, ranks: int, diverges: bool) -> Plan:
    """What every rank does; with `diverges` the last rank saw another load and moves nothing."""
    if not diverges:
        return plan(old, new, ranks)
    views = {rank: (old, old if rank == ranks - 1 else new) for rank in range(ranks)}
    return joined(plans_of(views))


# --- the tags of the rows ----------------------------------------------------------------------


def rows_of(rank: int, layers: int) -> Iterator[tuple[int, int, int]]:
    """(layer, row, place in the map) of every row of a rank."""
    for layer in range(layers):
        for row in range(ROWS):
            yield layer, row, ROWS * rank + row


def tags(rank: int, layers: int, first: Map) -> dict[str, str | None]:
    """The tags of the rows of a rank at first."""
    return {held(layer, row): tag(layer, first[at]) for layer, row, at in rows_of(rank, layers)}


def arrived(rank: int, layers: int, last: Map) -> tuple[Statement, ...]:
    """Once the stream is done, the assertions that the rows are what the last map says."""
    expected = {held(layer, row): tag(layer, last[at]) for layer, row, at in rows_of(rank, layers)}
    claims = (
        Assert(Condition(Variable(row), "==", Value(value))) for row, value in expected.items()
    )
    return (StreamSynchronize("compute"), *claims)


# --- the same statements under other names -----------------------------------------------------


def renamed(statements: Iterable[T], names: Mapping[str, str]) -> Iterator[T]:
    """The statements, or moves, with other names for streams, buffers and variables.

    So a communicator needs not be told on which stream, and into which buffer, it works; what it
    moves goes by the new names too, also on a peer.
    """
    for statement in statements:
        yield _renamed(statement, names)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case str():
            return names.get(value, value)
        case tuple():
            return tuple(_renamed(each, names) for each in value)
        case _ if hasattr(value, "__dataclass_fields__"):
            parts = fields(value)
        case _:
            return value
    return replace(
        value, **{each.name: _renamed(getattr(value, each.name), names) for each in parts}
    )
