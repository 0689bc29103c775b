"""What can be chosen about a protocol, as one value that every thread's text reads, and its names.

Rules:
- The fields with a default are parameters of the vector by the same name; specs/protocols.md says
  what each asks.
- A publication is a layer of a cycle of a model; they are numbered, so that nothing fresh per
  layer and cycle is ever confused with that of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.moves import Move
from eplb_model.scenario import If, Statement

Version = Literal["0.18", "0.19", "0.20", "0.33"]
ANCESTORS: tuple[Version, ...] = ("0.18", "0.19")  # a lock and flags instead of two-thread events


class Publication(NamedTuple):
    """A layer of a cycle of a model: what a worker publishes at once."""

    model: int
    cycle: int
    layer: int


# Of a rank and a publication: the statements of its transfers, and what the copy of V2 moves.
Transfers: TypeAlias = Callable[[int, Publication], Iterator[Statement]]
Commits: TypeAlias = Callable[[int, Publication], tuple[Move, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration of async EPLB.  specs/protocols.md#settings"""

    version: Version
    ranks: int
    layers: int  # of each model
    transfer: Transfers
    commit: Commits
    # --- how much of it ---
    models: int = 1
    cycles: int = 1  # rearrangements; a worker takes part in as many
    interval: int = 1  # steps between rearrangements
    steps: int = 0  # before the first one
    # --- the forward pass ---
    all2all: str = "deepep_low_latency"
    hook: bool = False  # its sending and its receiving half are two kernels
    sums_load: bool = False  # R2
    statistics: bool = False  # M3
    idle: Literal["steps_as_dummy", "skips_step", "stays_away"] | None = None  # the last rank
    # --- what if ---
    commit_blocks: bool = True  # V5 copies from pageable memory and waits
    record_first: bool = False  # V9 before V8: the known wrong order
    synchronises: bool = True  # W8
    waits_consumed: bool = True  # W11 on the worker's stream; else on one that orders nothing
    gated: bool = True  # M6 only while the cycle is on
    reports_death: bool = False  # M6 asks for dead workers too
    dies: int | None = None  # the layer before which the last rank's worker dies
    raises: int | None = None  # the layer in whose transfer the last rank's worker raises
    raises_after: bool = False  # after the transfer, not before it
    drain: int | None = None  # after so many steps of a cycle, it is drained
    # --- of the ancestors only ---
    clears: Literal["at_end", "at_wake"] = "at_end"  # the flag that wakes the worker
    acquire: Literal["waits", "raises", "skips"] = "waits"  # the lock of the buffer, for a move
    records_late: Literal["never", "window", "consumed"] = "never"  # an event is waited on before
    map_stream: Literal["default", "side"] = "default"  # where the worker reads the map
    resets: Literal["at_rearrange", "at_end"] = "at_rearrange"  # the next layer to 0

    @property
    def locks(self) -> bool:
        """Whether the version hands the buffer over by a lock and flags."""
        return self.version in ANCESTORS

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All that a worker publishes, in the order of its loops."""
        return tuple(
            Publication(model, cycle, layer)
            for cycle in range(self.cycles)
            for model in range(self.models)
            for layer in range(self.layers)
        )

    @property
    def ends_as_planned(self) -> bool:
        """Whether every row is moved, so that the maps can be compared at the end."""
        return self.dies is None and self.raises is None and self.drain is None

    def is_last(self, layer: int) -> bool:
        """Whether a layer ends the cycle of its model."""
        return layer == self.layers - 1


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a vector that are fields of the settings; the others keep their defaults.

    >>> chosen({"version": "0.20", "machine": "h200", "cycles": 2})
    {'cycles': 2}
    """
    optional = [each.name for each in fields(Settings) if each.default is not MISSING]
    return {name: values[name] for name in optional if name in values}


# --- names -------------------------------------------------------------------------------------


def of_model(name: str, model: int) -> str:
    """A variable or buffer that every model has; that of the first one has the plain name.

    >>> of_model("pending", 0), of_model("pending", 1)
    ('pending', 'pending_of_1')
    """
    return name if model == 0 else f"{name}_of_{model}"


def place(settings: Settings, model: int, layer: int) -> int:
    """The number of a layer among those of all models: its weights and rows are called by it."""
    return model * settings.layers + layer


def number(settings: Settings, publication: Publication) -> int:
    """The number of a publication among those of its model: the value of `pending`."""
    return publication.cycle * settings.layers + publication.layer


def consumed(settings: Settings, publication: Publication) -> str:
    """The event that says that the buffer is free: a fresh one per layer and cycle."""
    return of_model(f"consumed_{number(settings, publication)}", publication.model)


# --- conditions --------------------------------------------------------------------------------


def holds(variable: str, constant: object) -> Condition:
    """The condition that a variable has a value."""
    return Condition(Variable(variable), "==", Value(constant))


def by_value(variable: str, cases: Mapping[int, tuple[Statement, ...]]) -> tuple[Statement, ...]:
    """The statements of the case that a variable names; none for another value."""
    found: tuple[Statement, ...] = ()
    for constant, body in reversed(list(cases.items())):
        found = (If(holds(variable, constant), body, found),)
    return found


def if_all(conditions: tuple[Condition, ...], body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """The body if all conditions hold, looked at one after the other."""
    for condition in reversed(conditions):
        body = (If(condition, body),)
    return body
