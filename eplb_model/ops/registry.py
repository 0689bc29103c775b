"""How an operation joins the vocabulary: one decorated class, its fields annotated with roles.

The vector loader, the generator of random programs, the JSON Schema and the checklist of
specs/semantics.md all read the vocabulary (`vocabulary.OPERATIONS`, which says in which module a
kind is) and the roles; nothing else has to know a new operation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, get_type_hints

from eplb_model.world import Offer, StreamOperation

T = TypeVar("T", bound=type)


class Role(NamedTuple):
    """What a field of an operation names; `declares` says that using the name brings it to life."""

    name: str
    declares: bool = False


KernelName = Annotated[str, Role("kernel")]
StreamName = Annotated[str, Role("stream", declares=True)]  # work is put there
KnownStream = Annotated[str, Role("stream")]  # only looked at
EventName = Annotated[str, Role("event")]
NewEvent = Annotated[str, Role("event", declares=True)]
CpuGpuEventName = Annotated[str, Role("cpu_gpu_event", declares=True)]
FlagName = Annotated[str, Role("flag", declares=True)]
VariableName = Annotated[str, Role("variable")]  # written too: what is only read is an expression
NewVariable = Annotated[str, Role("variable", declares=True)]
LockName = Annotated[str, Role("lock", declares=True)]
TensorName = Annotated[str, Role("tensor")]
NewTensor = Annotated[str, Role("tensor", declares=True)]
ThreadName = Annotated[str, Role("thread")]
GroupName = Annotated[str, Role("group")]
ModuleName = Annotated[str, Role("module")]
BufferName = Annotated[str, Role("buffers")]
EngineName = Annotated[str, Role("engine", declares=True)]
Buffers = Annotated[tuple[str, ...], Role("buffers")]

HOST: dict[str, type] = {}  # host operations by kind, those whose modules are loaded
STREAM: dict[str, type] = {}  # what these put into streams


def operation(cls: T) -> T:
    """Register a host operation under the snake_case of its class name."""
    return _register(cls, HOST)


def stream_operation(cls: T) -> T:
    """Register work that streams do."""
    return _register(cls, STREAM)


def _register(cls: T, table: dict[str, type]) -> T:
    expected = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    kind: Any = getattr(cls, "kind", None)
    assert kind == expected, f"[model bug] {cls.__name__}.kind is {kind!r}, not {expected!r}"
    assert kind not in table, f"[model bug] two operations are called {kind!r}"
    table[kind] = cls
    return cls


@cache
def roles_of(cls: type) -> Mapping[str, tuple[Role, ...]]:
    """The roles of an operation's fields, read from its annotations."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        name: tuple(m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Role))
        for name, hint in hints.items()
    }


def variables_named_by(op: HostStep | StreamStep) -> frozenset[str]:
    """The variables and flags that fields of an operation name outside expressions."""
    found: set[str] = set()
    cls: type = type(op)
    roles = roles_of(cls)
    for each in fields(op):  # type: ignore[arg-type]  # every operation is a dataclass
        if any(role.name in ("variable", "flag") for role in roles[each.name]):
            value = getattr(op, each.name)
            found.update(value if isinstance(value, tuple) else (value,))
    return frozenset(found)


class HostStep:
    """What most host operations share: nothing to offer, no access to buffers."""

    __slots__ = ()
    kind: ClassVar[str]
    numbered: ClassVar[bool] = False  # `number` counts its occurrences in the text of a thread

    def offers(self) -> tuple[Offer, ...]:
        """What this may bring about for others; read only when a wait is explained."""
        return ()

    def written_variables(self) -> frozenset[str]:
        """The variables and flags that a step may change; too many are safe, too few are not."""
        return variables_named_by(self)


class StreamStep:
    """What most work in streams shares: one way to end, no kernel, no access to buffers."""

    __slots__ = ()
    kind: ClassVar[str]
    automatic: ClassVar[bool] = False

    @property
    def kernel(self) -> str | None:
        return None

    @property
    def holds_queue(self) -> bool:
        return False

    def written_variables(self) -> frozenset[str]:
        """The variables and flags that its end, or a part of its end, may change.

        What a kernel hands over to peers is not among them: settling asks for that by itself.
        """
        moved = (each.target for each in getattr(self, "moves", ()))
        return variables_named_by(self).union(moved)

    def passed(self, stream: int) -> StreamOperation:
        raise AssertionError(f"[model bug] {self.kind} waits for no mark")

    def choices(self, state: object, me: object) -> tuple[int | None, ...]:
        return (None,)
