"""The program of a thread: operations as methods, blocks as `with`.

Rule: `else_` and `except_` come right after the block that they belong to.
"""

from __future__ import annotations

from types import TracebackType

from eplb_model.build.operations import Operations
from eplb_model.build.places import Place, caller
from eplb_model.build.words import Comparison, Parameter
from eplb_model.format.document import JsonPath, pointer


class Block:
    """The statements within a `with`, until it is left."""

    def __init__(self, thread: Thread, statements: list[object], path: JsonPath) -> None:
        self._thread = thread
        self.statements = statements
        self.path = path

    def __enter__(self) -> None:
        self._thread.inner.append(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.inner.pop()


class Thread(Operations):
    """A thread of a role; every method adds a statement to the block that is open."""

    def __init__(self, key: str, places: dict[str, Place]) -> None:
        self.statements: list[object] = []
        self.inner = [Block(self, self.statements, ("programs", key))]
        self._places = places

    def __enter__(self) -> Thread:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind: the program is as it was written."""

    def append(self, statement: object, place: Place) -> None:
        """Add a statement of the vector format to the block that is open."""
        block = self.inner[-1]
        self._places[pointer((*block.path, len(block.statements)))] = place
        block.statements.append(statement)

    def repeat(self, times: int | Parameter, *, while_: Comparison | None = None) -> Block:
        """Do what follows `times` times, or until the condition fails before a round."""
        return self._open({"repeat": times}, "do", while_)

    def forever(self, *, while_: Comparison | None = None) -> Block:
        """Do what follows for ever, or until the condition fails before a round."""
        return self._open({}, "forever", while_)

    def if_(self, condition: Comparison) -> Block:
        """Do what follows if the condition holds."""
        return self._open({"if": _written(condition)}, "then", None)

    def else_(self) -> Block:
        """Do what follows if the condition of the `if_` right before fails."""
        return self._go_on("if", "else")

    def try_(self) -> Block:
        """Do what follows; where an operation of it raises, go on with `except_`."""
        return self._open({}, "try", None)

    def except_(self) -> Block:
        """Do what follows where an operation of the `try_` right before has raised."""
        return self._go_on("try", "except")

    def _open(self, head: dict[str, object], key: str, condition: Comparison | None) -> Block:
        body: list[object] = []
        test = {} if condition is None else {"while": _written(condition)}
        self.append({**head, key: body, **test}, caller())
        return self._block(body, key)

    def _go_on(self, opening: str, key: str) -> Block:
        before = self.inner[-1].statements
        last = before[-1] if before else None
        if not isinstance(last, dict) or opening not in last or key in last:
            raise TypeError(f"{key}_(): expected right after a block of {opening}_()")
        body: list[object] = []
        last[key] = body
        return self._block(body, key)

    def _block(self, body: list[object], key: str) -> Block:
        around = self.inner[-1]
        return Block(self, body, (*around.path, len(around.statements) - 1, key))


def _written(condition: Comparison) -> object:
    if not isinstance(condition, Comparison):
        raise TypeError(f"got {condition!r}; expected a comparison, like Var('x') == 1")
    return condition.written
