"""The steps of one operation of a host thread, before they are written down.

Rules:
- A step has a guard and an effect, both Promela; the effect says where the thread goes.
- How far a call of several steps is, is `thread[t].sub`: 0 before its first step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from eplb_model.export.promela.expressions import condition, expression
from eplb_model.export.promela.layout import Layout
from eplb_model.ops.expression import Condition, Expression
from eplb_model.outcome import Actor


class Step(NamedTuple):
    """What a thread may do at one place of its program: `sub` says how far the call is."""

    sub: int
    guard: str
    effect: tuple[str, ...]
    name: str = ""  # in the section of the operation, where it has several named steps


Steps = Iterator[Step]
Emitter = Callable[["Call"], Steps]
EMITTERS: dict[str, Emitter] = {}  # by kind of operation: what can be expressed


def emits(*kinds: str) -> Callable[[Emitter], Emitter]:
    """Register what writes down the steps of some kinds of operations."""

    def register(emitter: Emitter) -> Emitter:
        for kind in kinds:
            assert kind not in EMITTERS, f"[model bug] two ways to export {kind}"
            EMITTERS[kind] = emitter
        return emitter

    return register


@dataclass(frozen=True)
class Call:
    """An operation at its place in the program of a thread."""

    layout: Layout
    me: Actor
    pc: int
    op: Any
    stream: str = ""  # the constant of the stream that it works on, if it names one
    device: int = 0  # the current device of the thread

    @property
    def rank(self) -> int:
        return self.me.rank

    @property
    def thread(self) -> str:
        """The constant of the thread."""
        return self.layout.thread(self.me)

    def place(self, name: str) -> str:
        """A variable, flag or lock of this rank."""
        return self.layout.variable(self.rank, name)

    def value(self, wanted: Expression) -> str:
        """An expression of the program."""
        return expression(self.layout, self.rank, wanted)

    def holds(self, wanted: Condition) -> str:
        """A condition of the program."""
        return condition(self.layout, self.rank, wanted)

    # --- where the thread goes ---------------------------------------------------------------

    def go(self, pc: int) -> str:
        """Go on elsewhere in the program; behind its last operation the thread has ended."""
        return f"go({self.thread}, {pc})"

    def on(self) -> str:
        """Go on with the next operation."""
        return self.go(self.pc + 1)

    def stay(self, sub: int) -> str:
        """The call goes on."""
        return f"thread[{self.thread}].sub = {sub}"

    def fails(self, family: str) -> str:
        """Raise: go to the innermost handler, or end the thread.  specs/semantics.md#raise"""
        for first, last, target in self.layout.world.programs[self.me.slot].handlers:
            if first <= self.pc <= last:
                return self.go(target)
        return f"fail({self.thread}, {family})"

    def either(self, sub: int, guard: str, then: str, otherwise: str) -> Steps:
        """One step with two ways to go."""
        yield Step(sub, guard, (then,))
        yield Step(sub, f"!({guard})", (otherwise,))
