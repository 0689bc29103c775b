"""The vocabulary: one class per operation, registered where it is defined.  specs/semantics.md"""

from eplb_model.ops import (
    collectives,
    copies,
    events,
    flags,
    kernel,
    launch,
    locks,
    marks,
    memory,
    moves,
    one_sided,
    point_to_point,
    synchronize,
    threads,
    two_thread_event,
    variables,
)
from eplb_model.ops.registry import OPERATIONS, STREAM_OPERATIONS

__all__ = [
    "OPERATIONS",
    "STREAM_OPERATIONS",
    "collectives",
    "copies",
    "events",
    "flags",
    "kernel",
    "launch",
    "locks",
    "marks",
    "memory",
    "moves",
    "one_sided",
    "point_to_point",
    "synchronize",
    "threads",
    "two_thread_event",
    "variables",
]
