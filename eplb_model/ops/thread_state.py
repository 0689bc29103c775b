"""What a host thread carries along: its current device and streams, and its open NCCL group.

Rules (specs/semantics.md#set-device, #group-start):
- CUDA keeps the current device, torch the current stream of every device, NCCL the depth of the
  group and what was called in it, all per host thread; a new thread starts with none of it.
- It lives in the memory of the rank, in a place of the thread that no program can name; a thread
  whose program never touches it has no place.
"""

from __future__ import annotations

from typing import NamedTuple

from eplb_model.ops.moves import Move
from eplb_model.ops.tensors import Buffer
from eplb_model.outcome import Actor
from eplb_model.state import State, put
from eplb_model.world import CURRENT


class Current(NamedTuple):
    """The current device of a thread, and the streams that it has set, by device."""

    device: int = 0
    streams: tuple[tuple[int, str], ...] = ()

    def on(self, device: int) -> Current:
        return self._replace(device=device)

    def with_stream(self, device: int, stream: str) -> Current:
        """The stream set for its device, which becomes the current one."""
        others = {**dict(self.streams), device: stream}
        return Current(device, tuple(sorted(others.items())))


class Kept(NamedTuple):
    """A launch that was called inside a group: it is not on its stream yet."""

    kernel: str
    stream: int
    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()
    moves: tuple[Move, ...] = ()


class NcclGroup(NamedTuple):
    """How many group starts are open, and what was launched since the first."""

    depth: int = 0
    kept: tuple[Kept, ...] = ()


def current_of(state: State, me: Actor) -> Current:
    """The current device and streams of a thread."""
    slot = state.world.current_slots[me.slot]
    found = Current() if slot is None else state.memory[slot]
    assert isinstance(found, Current), f"[model bug] {me} has {found!r} for a current device"
    return found


def group_of(state: State, me: Actor) -> NcclGroup:
    """The NCCL group of a thread; of depth 0 if none is open."""
    slot = state.world.group_slots[me.slot]
    found = NcclGroup() if slot is None else state.memory[slot]
    assert isinstance(found, NcclGroup), f"[model bug] {me} has {found!r} for a group"
    return found


def with_group(state: State, me: Actor, group: NcclGroup) -> State:
    """The same state with another NCCL group of a thread."""
    slot = state.world.group_slots[me.slot]
    assert slot is not None, f"[model bug] {me} has no place for a group"
    return state._replace(memory=put(state.memory, slot, group))


def stream_of(state: State, me: Actor, name: str) -> Actor:
    """The stream that a thread means by a name, now."""
    if name != CURRENT:
        return state.world.stream(me.rank, name)
    current = current_of(state, me)
    named = dict(current.streams).get(current.device)
    if named is not None:
        return state.world.stream(me.rank, named)
    default = state.world.default_stream(me.rank, current.device)
    assert default is not None, f"[model bug] device {current.device} of {me} has no stream"
    return default


def streams_here(state: State, me: Actor) -> tuple[Actor, ...]:
    """The streams of a thread's current device."""
    return state.world.streams_on(me.rank, current_of(state, me).device)
