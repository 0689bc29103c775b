"""Allocator calls: the ones that allocate return at once, the ones that free wait for the GPU.

Rules (specs/semantics.md#free; G42, G44, tables 2.7 and 2.8 of specs/sources.md):
freeing holds the driver's context lock until all that the device held at the call is done, so that
launches of other threads wait too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.launch import context_lock, may_make, take_context
from eplb_model.ops.marks import capture, pending
from eplb_model.ops.registry import HostStep, operation
from eplb_model.ops.thread_state import streams_here
from eplb_model.outcome import Actor, Wait
from eplb_model.state import NOBODY, Pending, State


class _Allocates(HostStep):
    """Needs what making memory needs, for an instant."""

    __slots__ = ()

    def guard(self, state: State, me: Actor) -> Wait | None:
        return may_make(state, me)

    def effect(self, state: State, me: Actor) -> State:
        return state.advance(me)


class _Frees(HostStep):
    """Takes the context lock and waits, holding it, until the device is idle."""

    __slots__ = ()

    def guard(self, state: State, me: Actor) -> Wait | None:
        waiting = "frees memory and holds the context lock"
        return context_lock(state, me) or pending(state, me, waiting)

    def effect(self, state: State, me: Actor) -> State:
        if isinstance(state.thread(me).local, Pending):
            return take_context(state, me, NOBODY).advance(me)
        return capture(take_context(state, me, me.slot), me, streams_here(state, me))


@operation
@dataclass(frozen=True, slots=True)
class Malloc(_Allocates):
    """Host: allocate device memory; returns under a spinning kernel.

    specs/semantics.md#malloc
    """

    kind: ClassVar[str] = "malloc"


@operation
@dataclass(frozen=True, slots=True)
class HostAlloc(_Allocates):
    """Host: allocate pinned memory; returns under a spinning kernel.

    specs/semantics.md#host-alloc
    """

    kind: ClassVar[str] = "host_alloc"


@operation
@dataclass(frozen=True, slots=True)
class Free(_Frees):
    """Host: free device memory (`cudaFree`).

    specs/semantics.md#free
    """

    kind: ClassVar[str] = "free"


@operation
@dataclass(frozen=True, slots=True)
class HostFree(_Frees):
    """Host: free pinned memory (`cudaFreeHost`).

    specs/semantics.md#host-free
    """

    kind: ClassVar[str] = "host_free"


@operation
@dataclass(frozen=True, slots=True)
class EmptyCache(_Frees):
    """Host: the caching allocator gives its blocks back (`empty_cache`).

    specs/semantics.md#empty-cache
    """

    kind: ClassVar[str] = "empty_cache"
