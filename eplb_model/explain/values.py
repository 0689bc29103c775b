"""What the memory of a rank holds, in words: for frames, not for the model."""

from __future__ import annotations

import json
from functools import lru_cache

from eplb_model.ops.marks import Event
from eplb_model.ops.tensors import Tensor
from eplb_model.ops.two_thread_event import TwoThreadEvent
from eplb_model.scenario import names_in
from eplb_model.state import DONE, Mark, State
from eplb_model.step import initial
from eplb_model.world import World

MOST_SHOWN = 24  # variables of a rank
LONGEST = 40


def changed_memory(state: State, rank: int) -> tuple[tuple[str, str], ...]:
    """What differs from the start of what programs can name; names and values in words."""
    start = _start(state.world)
    changed = [
        (name, value_text(state, rank, name))
        for name in state.world.ranks[rank].memory
        if not name.startswith("(") and state.read(rank, name) != start.read(rank, name)
    ]
    return tuple(changed[:MOST_SHOWN])


def value_text(state: State, rank: int, name: str) -> str:
    """The value of a name of a rank, in words."""
    value = state.read(rank, name)
    if name in _locks(state.world, rank) and isinstance(value, int):
        return f"held by {state.world.threads[value]}"
    match value:
        case Event(mark):
            text = _mark(state.world, mark)
        case TwoThreadEvent(flag, current):
            text = f"{'set' if flag else 'clear'}, {_mark(state.world, value.mark(current))}"
        case Tensor(block):
            text = "no block" if block is None else f"block {block}"
        case None | bool():
            text = json.dumps(value)
        case _:
            text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _mark(world: World, mark: Mark | None) -> str:
    if mark is None:
        return "not recorded"
    return "done" if mark == DONE else f"not reached on {world.streams[mark.stream]}"


@lru_cache(maxsize=8)
def _start(world: World) -> State:
    return initial(world)


@lru_cache(maxsize=256)
def _locks(world: World, rank: int) -> frozenset[str]:
    """The names that some operation of a rank uses as a lock: their values are threads."""
    operations = (op for program in world.ranks[rank].threads for op in program.code)
    return frozenset(n for op in operations for role, _, n in names_in(op) if role.name == "lock")
