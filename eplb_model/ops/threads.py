"""Threads start, are joined and die; programs branch.  specs/semantics.md#start"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.expression import Condition
from eplb_model.ops.registry import HostStep, ThreadName, operation
from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State
from eplb_model.world import Offer


@operation
@dataclass(frozen=True, slots=True)
class Start(HostStep):
    """Host: start a thread that was declared as not started; an error if it runs.

    specs/semantics.md#start
    """

    kind: ClassVar[str] = "start"
    thread: ThreadName

    def offers(self) -> tuple[Offer, ...]:
        return (("start", self.thread),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        target = state.world.thread(me.rank, self.thread)
        if state.thread(target).status != "new":
            return state.fail(me, Failure("misuse", f"{target} can only be started once"))
        return state.jump(target, 0).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Join(HostStep):
    """Host: wait until a thread has ended, by itself or by dying; an error before its start.

    specs/semantics.md#join
    """

    kind: ClassVar[str] = "join"
    thread: ThreadName

    def guard(self, state: State, me: Actor) -> Wait | None:
        target = state.world.thread(me.rank, self.thread)
        if state.thread(target).status != "running":
            return None
        return Wait(lambda: (f"waits for the end of thread {target}", ((target,),)))

    def effect(self, state: State, me: Actor) -> State:
        target = state.world.thread(me.rank, self.thread)
        if state.thread(target).status == "new":
            return state.fail(me, Failure("misuse", f"{target} is joined before its start"))
        return state.advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Die(HostStep):
    """Fault: the thread ends here, without an error and without handlers.

    specs/semantics.md#die
    """

    kind: ClassVar[str] = "die"

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        ended = state.thread(me)._replace(
            local=None, status="ended", failure=Failure("fault", "dies here")
        )
        return state.with_thread(me.slot, ended)


@operation
@dataclass(frozen=True, slots=True)
class Raise(HostStep):
    """Fault: an operation raises here; handlers apply.

    specs/semantics.md#raise
    """

    kind: ClassVar[str] = "raise"
    message: str = "an operation failed"

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        return state.fail(me, Failure("fault", self.message))


@operation
@dataclass(frozen=True, slots=True)
class Branch(HostStep):
    """Host: go on if a condition holds, else jump.  Written as `if`, `repeat` or `forever`.

    specs/semantics.md#branch

    `otherwise` is an absolute program counter; without a condition it is always taken.
    """

    kind: ClassVar[str] = "branch"
    condition: Condition | None
    otherwise: int

    def targets(self, pc: int) -> tuple[int, ...]:
        return (self.otherwise,) if self.condition is None else (pc + 1, self.otherwise)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        if self.condition is not None and self.condition.holds(state, me):
            return state.advance(me)
        return state.jump(me, self.otherwise)
