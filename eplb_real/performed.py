"""What of a scenario is performed for real, by operation and field; the rest is refused by name.

Rules:
- It is a list of what is performed, not of what is not: an operation, or a field of one, that the
  model gets later is refused until somebody performs it and says so here.
- A field that is not performed may be there with its default value, which asks for nothing.
- What only one driver lacks is for that driver to decline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from eplb_model.scenario import Scenario
from eplb_real.emulated.errors import UNRECORDED

# By kind, the fields of operations that are performed.
OPERATIONS: Mapping[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "access": "reads writes",
        "acquire": "lock",
        "all_reduce": "group value into reduction agree",
        "assert": "condition",
        "await_complete": "kernel number",
        "await_resident": "kernel number",
        "barrier": "group agree",
        "branch": "condition otherwise",
        "clear": "flag",
        "copy": "direction stream memory blocking reads writes moves",
        "cpu_gpu_event_record": "event stream raises",
        "cpu_gpu_event_wait": "event stream raises",
        "device_synchronize": "gil",
        "die": "",
        "empty_cache": "",
        "event_query": "event into",
        "event_synchronize": "event gil",
        "free": "",
        "group_boundary": "",
        "group_end": "drop",
        "group_start": "",
        "host_alloc": "",
        "host_free": "",
        "irecv": "group peer into peer_is",
        "is_set": "flag into",
        "isend": "group peer value peer_is",
        "join": "thread",
        "launch": "kernel stream reads writes gil moves",
        "load": "module",
        "malloc": "",
        "memset": "stream writes",
        "put": "variable value",
        "raise": "message",
        "record_event": "event stream",
        "release": "lock",
        "set": "flag",
        "set_device": "device",
        "set_stream": "stream",
        "start": "thread",
        "stream_query": "stream into",
        "stream_synchronize": "stream gil",
        "stream_wait_event": "stream event",
        "take": "variable into",
        "test": "condition into",
        "try_acquire": "lock into",
        "wait_flag": "flag",
        "wait_requests": "",
    }.items()
}

# The same of what surrounds them.
SURROUNDINGS: Mapping[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "a scenario": "name machine kernels ranks groups about parameters source classes fixes "
        "expect claims",
        "a rank": "threads streams initial",
        "a stream": "name priority kind device",
        "a kernel": "name launch ctas cluster footprint meets ends until module rounds",
        "a meeting": "grain sends receives kernel eager",
    }.items()
}

WORDS = {"timeout": "a time limit"}  # where the name of a field says too little


def not_performed(scenario: Scenario) -> list[str]:
    """What of a scenario nobody here performs, by name, sorted; empty if all of it is performed.

    Examples
    --------
    >>> from eplb_model.vector import load
    >>> not_performed(load("crossed_communicators").scenario())
    []
    >>> not_performed(load("freed_block_reused_in_flight").scenario())
    ['operation alloc', 'operation drop']
    """
    operations = [op for program in scenario.world.programs for op in program.code]
    return sorted({*_of_operations(operations), *_of_surroundings(scenario)})


def _of_operations(operations: list[Any]) -> Iterator[str]:
    for op in operations:
        if op.kind not in OPERATIONS:
            yield f"operation {op.kind}"
        else:
            yield from _beyond(op, OPERATIONS[op.kind], op.kind)


def _of_surroundings(scenario: Scenario) -> Iterator[str]:
    yield from (f"to forbid a {what}" for what in scenario.forbids - {UNRECORDED})
    kernels = list(scenario.kernels.values())
    meetings = [kernel.meets for kernel in kernels if kernel.meets is not None]
    streams = [stream for rank in scenario.ranks for stream in rank.streams]
    named: dict[str, list[Any]] = {
        "a scenario": [scenario],
        "a rank": list(scenario.ranks),
        "a stream": streams,
        "a kernel": kernels,
        "a meeting": meetings,
    }
    for what, values in named.items():
        for value in values:
            yield from _beyond(value, SURROUNDINGS[what] | {"forbids"}, what)


def _beyond(value: Any, performed: frozenset[str], what: str) -> Iterator[str]:
    """The fields that ask for more than is performed."""
    for each in fields(value):
        asked = each.name not in performed and getattr(value, each.name) != _default(each)
        if asked:
            yield f"{WORDS.get(each.name, each.name)} of {what}"


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
