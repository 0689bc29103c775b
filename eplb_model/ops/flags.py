"""`threading.Event`: set, wait, clear, is_set; each one atomic step.  specs/semantics.md#set"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.kernel import too_late, who_may
from eplb_model.ops.registry import FlagName, HostStep, NewVariable, operation
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import State
from eplb_model.world import Offer


@operation
@dataclass(frozen=True, slots=True)
class Set(HostStep):
    """Host: set a flag.

    specs/semantics.md#set
    """

    kind: ClassVar[str] = "set"
    flag: FlagName

    def offers(self) -> tuple[Offer, ...]:
        return (("flag", self.flag),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.flag, True).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class WaitFlag(HostStep):
    """Host: wait until a flag is set; it stays set.

    specs/semantics.md#wait-flag
    """

    kind: ClassVar[str] = "wait_flag"
    flag: FlagName

    def guard(self, state: State, me: Actor) -> Wait | None:
        if state.read(me.rank, self.flag):
            return None
        return Wait(lambda: waits_for_flag(state, me.rank, self.flag))

    def effect(self, state: State, me: Actor) -> State:
        return state.advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Clear(HostStep):
    """Host: clear a flag.

    specs/semantics.md#clear
    """

    kind: ClassVar[str] = "clear"
    flag: FlagName

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.flag, False).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class IsSet(HostStep):
    """Host: put into a variable whether a flag is set.

    specs/semantics.md#is-set
    """

    kind: ClassVar[str] = "is_set"
    flag: FlagName
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.into, state.read(me.rank, self.flag)).advance(me)


def waits_for_flag(state: State, rank: int, flag: str) -> tuple[str, Clauses]:
    """The explanation of a wait for a flag that may be set under this name."""
    setters = who_may(state, rank, ("flag", flag))
    late = too_late(state, rank, ("flag", flag))
    nobody = "" if setters else f", which nobody is left to set{late}"
    return f"waits until {flag} is set{nobody}", (setters,)
