"""`threading.Lock`: acquire, try, release.  specs/semantics.md#acquire"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eplb_model.ops.registry import HostStep, LockName, NewVariable, operation
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import Failure, State


@operation
@dataclass(frozen=True, slots=True)
class Acquire(HostStep):
    """Host: wait for a lock and take it; not reentrant.

    specs/semantics.md#acquire
    """

    kind: ClassVar[str] = "acquire"
    lock: LockName

    def guard(self, state: State, me: Actor) -> Wait | None:
        holder = state.read(me.rank, self.lock)
        if holder is None:
            return None

        def explain() -> tuple[str, Clauses]:
            thread = state.world.threads[holder]
            gone = state.threads[holder].status == "ended"
            dead = ", which has ended" if gone else ""
            return f"waits for lock {self.lock}, held by {thread}{dead}", ((thread,),)

        return Wait(explain)

    def effect(self, state: State, me: Actor) -> State:
        return state.write(me.rank, self.lock, me.slot).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class TryAcquire(HostStep):
    """Host: take a lock if it is free; put into a variable whether it was.

    specs/semantics.md#try-acquire
    """

    kind: ClassVar[str] = "try_acquire"
    lock: LockName
    into: NewVariable

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        free = state.read(me.rank, self.lock) is None
        if free:
            state = state.write(me.rank, self.lock, me.slot)
        return state.write(me.rank, self.into, free).advance(me)


@operation
@dataclass(frozen=True, slots=True)
class Release(HostStep):
    """Host: give a lock back; an error if nobody holds it.

    specs/semantics.md#release
    """

    kind: ClassVar[str] = "release"
    lock: LockName

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        if state.read(me.rank, self.lock) is None:
            return state.fail(me, Failure("misuse", f"release of unlocked lock {self.lock}"))
        return state.write(me.rank, self.lock, None).advance(me)
