"""Performs the program of a host thread on the real thing, operation by operation.

Rules:
- The programs are those of the world that the model explores, so a program counter here is one
  there; where the model takes two steps for a call, the call is performed in two.
- An operation that raises sends its thread to the innermost handler, or ends it.
- Nothing here asks the model whether an operation may go on: what blocks, blocks.
"""

from __future__ import annotations

import threading
from typing import Any

from eplb_model.outcome import Actor
from eplb_model.world import HostOperation, World
from eplb_real.drivers.base import Ties
from eplb_real.emulated import Fault, Violation
from eplb_real.errors import Died, Family, Raised
from eplb_real.gates import Gates
from eplb_real.hosts import DeviceCalls
from eplb_real.observe import Observer
from eplb_real.operations import OPERATIONS, Host, Result
from eplb_real.rank import Rank
from eplb_real.values import holds


class Performer:
    """Runs the threads of one rank."""

    def __init__(
        self,
        world: World,
        rank: int,
        ties: Ties,
        calls: DeviceCalls,
        gates: Gates,
        observer: Observer,
    ) -> None:
        self._world = world
        self._calls = calls
        self._gates = gates
        self._observer = observer
        self._line = threading.Event()  # nobody finds a thread that is still to be started
        self.rank = Rank(world, rank, self.run)
        calls.moves_with(self.rank.move)
        self._host = Host(world, self.rank, ties, gates, calls.interpreter)

    def start(self) -> None:
        """Start the threads that run from the beginning, all at once, each up to its first step."""
        everybody = self._world.threads_of(self.rank.rank)
        first = [actor for actor in everybody if self._world.programs[actor.slot].started]
        for actor in first:
            self.rank.threads[actor.name].start()
        self._line.set()
        for actor in first if self._gates.closed else ():
            self._gates.await_arrival(str(actor))

    def run(self, actor: Actor) -> None:
        """The whole life of a thread."""
        self._line.wait()
        name = str(actor)
        pc: int | None = 0
        code = self._world.programs[actor.slot].code
        try:
            while pc is not None and pc < len(code):
                self._gates.operation(name)
                pc = self._operation(actor, pc, code[pc])
        except Died:
            pass
        self._observer.exit(name)
        self._gates.settled(name)

    def _operation(self, actor: Actor, pc: int, op: HostOperation) -> int | None:
        """Perform one operation; where the thread goes on, None if an error ends it."""
        self._observer.begin(str(actor), pc, op.kind)
        try:
            result = self._perform(actor, op)
        except Died:
            self._observer.raised(str(actor), pc, op.kind, "fault", "the thread dies")
            raise
        except Exception as error:  # noqa: BLE001 (whatever a real library raises is an observation)
            self._observer.raised(str(actor), pc, op.kind, _family(error), _text(error))
            return self._handler(actor, pc)
        following = pc + 1 if result.get("taken", True) else _target(op)
        if op.kind == "branch" and _target(op) == pc + 1:
            result = {}  # both ways lead there: nothing was decided
        self._observer.end(str(actor), pc, op.kind, result)
        return following

    def _perform(self, actor: Actor, op: Any) -> Result:
        if op.kind == "branch":
            return self._branch(actor, op)
        if op.kind in OPERATIONS and not self._calls.takes(op):
            return OPERATIONS[op.kind](self._host, actor, op)
        value = self._calls.perform(actor, op)
        return self._host.into(op, value) if hasattr(op, "into") else {}

    def _branch(self, actor: Actor, op: Any) -> Result:
        with self._gates.step(str(actor)):
            self._calls.interpreter(actor)
            if op.condition is None:
                return {"taken": False}
            return {"taken": self.rank.read(lambda variables: holds(op.condition, variables))}

    def _handler(self, actor: Actor, pc: int) -> int | None:
        for first, last, target in self._world.programs[actor.slot].handlers:
            if first <= pc <= last:
                return target
        return None


def _target(op: Any) -> int:
    return int(op.otherwise)


def _family(error: Exception) -> Family:
    """A fault or a violation says so; what a real library raises is misuse of it."""
    if isinstance(error, Raised):
        return error.family
    if isinstance(error, Violation):
        return "violation"
    return "fault" if isinstance(error, Fault) else "misuse"


def _text(error: Exception) -> str:
    return error.text if isinstance(error, Raised) else f"{type(error).__name__}: {error}"
