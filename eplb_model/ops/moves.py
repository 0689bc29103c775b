"""What work of streams does to variables when it ends: tags travel with the data, in device order.

Rules (specs/semantics.md#moves):
- The assignments of one piece of work are done in order, in the one step with which it ends.
- A source is a variable of this rank, one of a peer (`1.held_0_1`), or a constant.
- A tag is a variable like any other: who reads it comes after what moved it.  A real host that
  polls memory which a copy writes has no such guarantee; the model does not look for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from eplb_model.ops.expression import Value, Variable
from eplb_model.ops.registry import Role
from eplb_model.outcome import Actor
from eplb_model.state import State

_PEER = re.compile(r"(\d+)\.([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class PeerVariable:
    """A variable of a rank, named from anywhere: `1.held_0_1`."""

    rank: int
    name: str

    def of(self, state: State, me: Actor) -> object:
        return state.read(self.rank, self.name)

    def __str__(self) -> str:
        return f"{self.rank}.{self.name}"


Source = Variable | PeerVariable | Value


@dataclass(frozen=True, slots=True)
class Move:
    """One assignment that work does when it ends."""

    target: str  # a variable of the rank whose stream does the work
    source: Source

    def __str__(self) -> str:
        return f"{self.target} <- {self.source}"


Moves = Annotated[tuple[Move, ...], Role("moves")]


def move(target: str, source: str | bool | int | None) -> Move:
    """A move as a vector writes it: text names a variable, anything else is a constant.

    >>> str(move("buffer_1", "1.held_0_1")), str(move("x", None))
    ('buffer_1 <- 1.held_0_1', 'x <- null')
    """
    if not isinstance(source, str):
        return Move(target, Value(source))
    peer = _PEER.fullmatch(source)
    return Move(target, PeerVariable(int(peer[1]), peer[2]) if peer else Variable(source))


def moved(state: State, me: Actor, moves: Iterable[Move]) -> State:
    """The state after the moves of work on a stream, one after the other."""
    for each in moves:
        state = state.write(me.rank, each.target, each.source.of(state, me))
    return state


def peers_read(moves: Iterable[Move]) -> Iterator[PeerVariable]:
    """The variables of named ranks that moves read."""
    for each in moves:
        if isinstance(each.source, PeerVariable):
            yield each.source
