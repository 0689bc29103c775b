"""Seeded bugs: one-line mutants of the protocols, each with the vector and settings that catch it.

Rule: the old text stands exactly once in its file, below `eplb_model/protocols/`; unchanged, the
protocol holds under these settings, changed it gets the verdict that is named.

Not in the list, because it changes nothing: one `consumed` event for all layers.  Between two
records of it lie a publication and the clear of the wait before, so it is never recorded twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProtocolMutant:
    """A change of one file of `eplb_model/protocols`, and what becomes of a scenario."""

    name: str
    file: str
    old: str
    new: str
    verdict: str
    settings: Mapping[str, object] = field(default_factory=dict)
    vector: str = "async_eplb_small"


ONE: Mapping[str, object] = {"ranks": 1, "moved": "local"}
OLD: Mapping[str, object] = {**ONE, "unchecked": True}

PROTOCOL_MUTANTS = (
    # --- the main thread ---------------------------------------------------------------------
    ProtocolMutant(
        "R4 before R1: woken before the load is copied",
        "main_thread.py",
        '        yield CpuGpuEventRecord("rearrange", "compute")\n        return\n',
        '        yield CpuGpuEventRecord("rearrange", "compute")\n'
        '        yield Copy("d2d", "compute", writes=("load",))\n        return\n',
        "race",
        ONE,
    ),
    ProtocolMutant(
        "M5 left out: the counter stands still",
        "main_thread.py",
        'yield If(short, (Put("ctr", Variable("ctr", 1)),))',
        "yield If(short, ())",
        "stall",
        {**ONE, "cycles": 2},
    ),
    ProtocolMutant(
        "M6 on the group of the workers",
        "main_thread.py",
        'yield AllReduce("ep_cpu", Variable("published"), "votes")',
        'yield AllReduce("eplb_cpu", Variable("published"), "votes")',
        "violation",
        {"moved": "local", "version": "0.33"},
    ),
    ProtocolMutant(
        "M7 without a look whether a cycle is on",
        "main_thread.py",
        "yield from if_all(off, tuple(",
        "yield from if_all(off[:0], tuple(",
        "violation",
        {**ONE, "cycles": 2},
    ),
    # --- the move ----------------------------------------------------------------------------
    ProtocolMutant(
        "V2 on the stream of the worker",
        "moves.py",
        'yield Copy("d2d", "compute", reads=(buffer,), writes=(live,), moves=rows)',
        'yield Copy("d2d", "side", reads=(buffer,), writes=(live,), moves=rows)',
        "violation",
        {**ONE, "layers": 2},
    ),
    ProtocolMutant(
        "the commit of the rows left out",
        "moves.py",
        "writes=(live,), moves=rows)",
        "writes=(live,))",
        "violation",
        ONE,
    ),
    ProtocolMutant(
        "V7 left out: the cycle stays on",
        "moves.py",
        'settings.commit_blocks, (), ("map",))\n    if settings.is_last(publication.layer):\n',
        'settings.commit_blocks, (), ("map",))\n    if False:\n',
        "stall",
        {**ONE, "cycles": 2},
    ),
    ProtocolMutant(
        "V9 before V8",
        "moves.py",
        "yield from (tell, free) if settings.record_first else (free, tell)",
        "yield from (tell, free)",
        "violation",
        ONE,
    ),
    ProtocolMutant(
        "a drained layer is not handed back",
        "moves.py",
        "Value(0))\n        yield from _free(settings, publication)\n",
        "Value(0))\n        yield from ()\n",
        "stall",
        {**ONE, "version": "0.33", "drain": 0, "layers": 2},
    ),
    # --- the worker --------------------------------------------------------------------------
    ProtocolMutant(
        "W0 on another stream",
        "worker_thread.py",
        'yield CpuGpuEventWait("rearrange", "side")',
        'yield CpuGpuEventWait("rearrange", "unordered")',
        "race",
        ONE,
    ),
    ProtocolMutant(
        "W6 left out",
        "worker_thread.py",
        '        AllReduce("eplb_cpu", Variable(rebalanced), "willing"),\n',
        "",
        "violation",
        {**ONE, "version": "0.33"},
    ),
    ProtocolMutant(
        "W8 left out",
        "worker_thread.py",
        "    if settings.synchronises:\n",
        "    if False:\n",
        "race",
        ONE,
    ),
    ProtocolMutant(
        "W11 waits for the event of layer 0",
        "worker_thread.py",
        "yield CpuGpuEventWait(consumed(settings, publication), waiting)",
        "yield CpuGpuEventWait(consumed(settings, publication._replace(layer=0)), waiting)",
        "stall",
        {**ONE, "layers": 2, "cycles": 2},
    ),
    # --- the ancestors -----------------------------------------------------------------------
    ProtocolMutant(
        "the flag that wakes is cleared at the end, whatever is asked",
        "ancestor_worker.py",
        '*((clear,) if settings.clears == "at_end" else ()),',
        "clear,",
        "stall",
        {},
        "async_eplb_clear_at_wake",
    ),
    ProtocolMutant(
        "0.18 does not wait for the filled buffer",
        "moves.py",
        '        yield StreamWaitEvent("compute", of_model("buffer_ready", model))\n',
        "        yield from ()\n",
        "race",
        {**OLD, "version": "0.18"},
    ),
    ProtocolMutant(
        "the next layer is not waited for by the stream",
        "ancestor_worker.py",
        '    yield StreamWaitEvent("side", of_model("buffer_consumed", model))\n',
        "",
        "race",
        {**OLD, "version": "0.18", "layers": 2},
    ),
    ProtocolMutant(
        "the lock is never given back",
        "moves.py",
        "    yield Release(lock)\n",
        "    yield from ()\n",
        "stall",
        {**OLD, "version": "0.19", "layers": 2},
    ),
    # --- the other protocols -----------------------------------------------------------------
    ProtocolMutant(
        "the sync path leaves the stream to the communicator",
        "sync_eplb.py",
        '{"side": stream}',
        "{}",
        "violation",
        {"layers": 1},
        "sync_eplb",
    ),
    ProtocolMutant(
        "the barrier of the profile path is of all",
        "profile_eplb.py",
        '"world" if values["barrier"] == "world" else f"ep_{rank % STAGES}"',
        '"world"',
        "deadlock",
        {},
        "profile_barrier_on_group",
    ),
)
