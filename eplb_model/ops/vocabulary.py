"""The vocabulary: every operation by its kind.  A class is loaded when somebody names its kind.

Rule: a program has a handful of operations, so a check loads a handful.  Who goes through all
classes, as the schema and the tests do, loads them by going through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from eplb_model.ops.registry import HOST, STREAM

PACKAGE = "eplb_model.ops"

# By module, the operations that a program may say.
HOST_HOMES: Mapping[str, tuple[str, ...]] = {
    "launch": ("launch", "memset", "await_resident", "await_complete", "load"),
    "allocator": ("alloc", "drop", "record_stream"),
    "collectives": ("all_reduce", "barrier"),
    "copies": ("copy", "access"),
    "devices": ("set_device", "set_stream"),
    "events": ("record_event", "stream_wait_event", "event_synchronize", "event_query"),
    "flags": ("set", "wait_flag", "clear", "is_set"),
    "groups": ("group_start", "group_end", "group_boundary"),
    "locks": ("acquire", "try_acquire", "release"),
    "memory": ("malloc", "host_alloc", "free", "host_free", "empty_cache"),
    "one_sided": ("read", "wait_reads"),
    "point_to_point": ("isend", "irecv", "wait_requests"),
    "synchronize": ("stream_synchronize", "device_synchronize", "stream_query"),
    "threads": ("start", "join", "die", "raise", "branch"),
    "two_thread_event": ("cpu_gpu_event_record", "cpu_gpu_event_wait"),
    "variables": ("put", "take", "assert", "test"),
}
# By module, the work that these put into streams.
STREAM_HOMES: Mapping[str, tuple[str, ...]] = {
    "kernel": ("run_kernel",),
    "marks": ("await",),
    "copies": ("transfer",),
    "events": ("record",),
    "one_sided": ("remote_read",),
}


class Vocabulary(Mapping[str, type]):
    """Classes by kind, in the order of their modules; `loaded` is where they register."""

    def __init__(self, homes: Mapping[str, tuple[str, ...]], loaded: Mapping[str, type]) -> None:
        self._homes = {kind: module for module, kinds in homes.items() for kind in kinds}
        self._loaded = loaded

    def __getitem__(self, kind: str) -> type:
        if kind not in self._loaded:
            import_module(f"{PACKAGE}.{self._homes[kind]}")
        return self._loaded[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


OPERATIONS = Vocabulary(HOST_HOMES, HOST)
STREAM_OPERATIONS = Vocabulary(STREAM_HOMES, STREAM)
