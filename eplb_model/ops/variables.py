"""Shared Python variables of a process, each access one atomic step.  specs/semantics.md#put"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.expression import Condition, Expression
from eplb_model.ops.registry import HostStep, NewVariable, VariableName, operation
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State


@operation
@dataclass(frozen=True, slots=True)
class Put(HostStep):
    """Host: assign a value to a variable.

    specs/semantics.md#put
    """

    kind: ClassVar[str] = "put"
    variable: NewVariable
    value: Expression

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.variable, self.value.of(state, me)).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Take(HostStep):
    """Host: move a value out of a variable, which becomes null; an error if it was.

    specs/semantics.md#take
    """

    kind: ClassVar[str] = "take"
    variable: VariableName
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        value = state.read(me.rank, self.variable)
        if value is None:
            return state.fail(me, Failure("violation", f"{self.variable} is empty when taken"))
        state = state.write(me.rank, self.into, value).write(me.rank, self.variable, None)
        return state.advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Assert(HostStep):
    """Host: raise unless a condition holds.

    specs/semantics.md#assert
    """

    kind: ClassVar[str] = "assert"
    condition: Condition

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        if self.condition.holds(state, me):
            return state.advance(me)
        return state.fail(me, Failure("violation", f"assertion failed: {self.condition}"))


@operation
@dataclass(frozen=True, slots=True)
class Test(HostStep):
    """Host: put into a variable whether a condition holds.

    specs/semantics.md#test
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    kind: ClassVar[str] = "test"
    condition: Condition
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.into, self.condition.holds(state, me)).advance(me)
