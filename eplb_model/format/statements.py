"""Programs as JSON: `["launch", "moe", "compute", {"gil": true}]` and four blocks.

Rules:
- An operation is its kind, its fields in order, then an object with fields by name.  What a field
  takes is read from the operation's annotations: a new operation needs nothing here.
- Every name that a program uses is collected with its role and place; plans.py checks them, since
  what is known depends on the rank.
- `Branch`, and the number of what is numbered, come from `assemble` and can't be written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Literal, NamedTuple, get_args, get_origin, get_type_hints

from eplb_model.format.document import describe, listing
from eplb_model.format.template import Node, near
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import COMPARISONS, Condition, Expression, Value, Variable
from eplb_model.ops.moves import Move, PeerVariable, move
from eplb_model.ops.registry import Role
from eplb_model.scenario import Forever, If, Repeat, Statement, Try
from eplb_model.world import HostOperation

LONGEST_PROGRAM = 100_000  # operations of one thread, repetitions unrolled
KINDS = tuple(sorted(set(OPERATIONS) - {"branch"}))
MOVE = 'a move ["variable", "variable of this rank or, like 1.x, of a peer"]'
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "repeat": ("repeat", "do", "while"),
    "forever": ("forever", "while"),
    "if": ("if", "then", "else"),
    "try": ("try", "except"),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "repeat": ("repeat", "do"),
    "forever": ("forever",),
    "if": ("if", "then"),
    "try": ("try", "except"),
}


class Argument(NamedTuple):
    """A field of an operation as a vector may give it."""

    name: str
    hint: object
    default: object = MISSING

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def role(self) -> Role | None:
        metadata = get_args(self.hint)[1:] if get_origin(self.hint) is Annotated else ()
        return next((each for each in metadata if isinstance(each, Role)), None)

    @property
    def several(self) -> bool:
        """Whether it takes a list of names."""
        return get_origin(get_args(self.hint)[0]) is tuple


@cache
def arguments_of(operation: type) -> tuple[Argument, ...]:
    """What an operation takes, in order; those that are required come first."""
    hints = get_type_hints(operation, include_extras=True)
    return tuple(
        Argument(each.name, hints[each.name], each.default)
        for each in fields(operation)
        if not (each.name == "number" and getattr(operation, "numbered", False))
    )


class Use(NamedTuple):
    """A name in a program: what it names, where it stands, and the operation that it is for."""

    role: Role
    name: str
    kind: str
    node: Node
    rank: int | None = None  # of a peer, where the name is one of its variables


class ProgramText(NamedTuple):
    """A thread's program as it was read, with the names that it uses."""

    body: tuple[Statement, ...]
    uses: tuple[Use, ...]


def read_program(node: Node) -> ProgramText:
    """The statements of one thread; `VectorError` for what can't be one."""
    reader = _Reader()
    body = reader.block(node)
    count = size(body)
    if count > LONGEST_PROGRAM:
        raise node.error(f"{count} operations; expected at most {LONGEST_PROGRAM}")
    return ProgramText(body, tuple(reader.uses))


def size(body: Sequence[Statement]) -> int:
    """Operations of a program once `assemble` has unrolled it, its branches included."""
    return sum(map(_size, body))


def _size(statement: Statement) -> int:
    match statement:
        case If(_, then, otherwise):
            return 1 + size(then) + (1 + size(otherwise) if otherwise else 0)
        case Repeat(times, body, condition):
            return times * (size(body) + (condition is not None))
        case Forever(body, condition):
            return 1 + size(body) + (condition is not None)
        case Try(body, handler):
            return 1 + size(body) + size(handler)
        case _:
            return 1


def read_condition(node: Node, what: str) -> Condition:
    """A condition that stands outside programs; `what` it is for."""
    return _Reader().condition(node, what)


class _Reader:
    """Reads statements and remembers the names in them."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self._endless = 0  # how many `forever` are around

    def block(self, node: Node) -> tuple[Statement, ...]:
        return tuple(self.statement(each) for each in node.elements("a list of statements"))

    def statement(self, node: Node) -> Statement:
        if isinstance(node.value, (list, tuple)):
            return self._operation(node)
        members = node.value if isinstance(node.value, dict) else {}
        block = next((each for each in BLOCKS if each in members), None)
        readers: Mapping[str, Callable[[Mapping[str, Node]], Statement]] = {
            "repeat": self._repeat,
            "forever": self._forever,
            "if": self._if,
            "try": self._try,
        }
        if block is not None:
            return readers[block](node.fields(BLOCKS[block], REQUIRED[block]))
        raise node.unexpected(f'an operation ["kind", ...] or an object with {listing(BLOCKS)}')

    # --- blocks --------------------------------------------------------------------------------

    def _repeat(self, parts: Mapping[str, Node]) -> Repeat:
        times = parts["repeat"].integer(0, LONGEST_PROGRAM)
        condition = self._optional_condition(parts, "repeat")
        return Repeat(times, self.block(parts["do"]), condition)

    def _forever(self, parts: Mapping[str, Node]) -> Forever:
        condition = self._optional_condition(parts, "forever")
        self._endless += 1
        body = self.block(parts["forever"])
        self._endless -= 1
        return Forever(body, condition)

    def _if(self, parts: Mapping[str, Node]) -> If:
        condition = self.condition(parts["if"], "if")
        then = self.block(parts["then"])
        return If(condition, then, self.block(parts["else"]) if "else" in parts else ())

    def _try(self, parts: Mapping[str, Node]) -> Try:
        return Try(self.block(parts["try"]), self.block(parts["except"]))

    def _optional_condition(self, parts: Mapping[str, Node], kind: str) -> Condition | None:
        return self.condition(parts["while"], kind) if "while" in parts else None

    # --- operations ----------------------------------------------------------------------------

    def _operation(self, node: Node) -> HostOperation:
        parts, written = node.elements(), node.value
        assert isinstance(written, (list, tuple))
        if not parts:
            raise node.error('got an empty list; expected an operation ["kind", ...]')
        kind = written[0]  # never a parameter: a schema and a reader see what is done
        if not isinstance(kind, str) or kind not in KINDS:
            known = f"{listing(KINDS)}{near(kind, KINDS)}"
            raise node.error(f"unknown operation {describe(kind)}; known: {known}")
        if getattr(OPERATIONS[kind], "numbered", False) and self._endless:
            problem = f"{kind} inside forever; expected a program without an end around it"
            raise node.error(f"{problem}, for the n-th one waits for the n-th launch")
        given = _given(node, kind, parts[1:])
        values = {
            argument.name: self._field(argument, given[argument.name], kind)
            for argument in arguments_of(OPERATIONS[kind])
            if argument.name in given
        }
        operation: HostOperation = OPERATIONS[kind](**values)
        return operation

    def _field(self, argument: Argument, node: Node, kind: str) -> object:
        if argument.role is not None and argument.role.name == "moves":
            return tuple(self._move(each, kind) for each in node.elements("a list of moves"))
        if argument.role is not None:
            return self._names(argument, argument.role, node, kind)
        if argument.hint == Expression:
            return self._expression(node, kind)
        if argument.hint is Condition:
            return self.condition(node, kind)
        if get_origin(argument.hint) is Literal:
            return node.choice(get_args(argument.hint))
        readers: Mapping[object, Callable[[], object]] = {
            bool: node.boolean,
            int: node.integer,
            str: node.text,
        }
        assert argument.hint in readers, f"[model bug] {kind}.{argument.name}: {argument.hint}"
        return readers[argument.hint]()

    def _names(self, argument: Argument, role: Role, node: Node, kind: str) -> object:
        if argument.several:
            return tuple(self._name(role, each, kind) for each in node.elements("a list of names"))
        return self._name(role, node, kind)

    def _name(self, role: Role, node: Node, kind: str) -> str:
        name = node.name()
        self.uses.append(Use(role, name, kind, node))
        return name

    def _move(self, node: Node, kind: str) -> Move:
        parts = node.elements(MOVE)
        if len(parts) != 2:
            raise node.unexpected(MOVE)
        target = self._name(Role("variable", declares=True), parts[0], kind)
        value = parts[1].constant()
        if not isinstance(value, (str, bool, int, type(None))):
            raise parts[1].unexpected("a variable, one of a peer like '1.x', or a constant")
        found = move(target, value)
        match found.source:
            case Variable():
                self._name(Role("variable"), parts[1], kind)
            case PeerVariable(rank, name):
                self.uses.append(Use(Role("variable"), name, kind, parts[1], rank))
            case _:
                pass
        return found

    def condition(self, node: Node, kind: str) -> Condition:
        parts = node.elements('a condition ["left", "==", "right"]')
        if len(parts) != 3:
            raise node.unexpected('a condition ["left", "==", "right"]')
        comparison = parts[1].choice(tuple(COMPARISONS))
        left, right = self._expression(parts[0], kind), self._expression(parts[2], kind)
        return Condition(left, comparison, right)

    def _expression(self, node: Node, kind: str) -> Expression:
        if not isinstance(node.value, dict):
            return Value(node.constant())
        parts = node.fields(("var", "plus"), ("var",))
        plus = parts["plus"].integer() if "plus" in parts else 0
        return Variable(self._name(Role("variable"), parts["var"], kind), plus)


def _given(node: Node, kind: str, parts: Sequence[Node]) -> dict[str, Node]:
    """The parts of an operation by the name of the field that each is for."""
    arguments = arguments_of(OPERATIONS[kind])
    names = [argument.name for argument in arguments]
    by_name: Mapping[str, Node] = {}
    if parts and isinstance(parts[-1].value, dict) and "var" not in parts[-1].value:
        by_name = parts[-1].fields(names)
        parts = parts[:-1]
    if len(parts) > len(names):
        raise node.error(f"{kind} has {len(parts)} arguments; it takes {form(kind)}")
    given = dict(zip(names, parts, strict=False))
    for name, each in by_name.items():
        if name in given:
            raise each.error(f"{kind} has {name} twice; it takes {form(kind)}")
        given[name] = each
    for argument in arguments:
        if argument.required and argument.name not in given:
            raise node.error(f"{kind} lacks {argument.name}; it takes {form(kind)}")
    return given


def form(kind: str) -> str:
    """How an operation is written.

    >>> form("memset")
    '["memset", stream, {writes}]'
    """
    arguments = arguments_of(OPERATIONS[kind])
    required = [argument.name for argument in arguments if argument.required]
    optional = [argument.name for argument in arguments if not argument.required]
    rest = [f"{{{', '.join(optional)}}}"] if optional else []
    return f"[{', '.join([json.dumps(kind), *required, *rest])}]"


# --- back to JSON ------------------------------------------------------------------------------


def written_block(body: Sequence[Statement]) -> list[object]:
    """The statements as a vector has them; `ValueError` for values that JSON has not."""
    return [_written(statement) for statement in body]


def _written(statement: Statement) -> object:
    match statement:
        case If(condition, then, otherwise):
            other = {"else": written_block(otherwise)} if otherwise else {}
            return {"if": written_condition(condition), "then": written_block(then), **other}
        case Repeat(times, body, condition):
            return {"repeat": times, "do": written_block(body), **_while(condition)}
        case Forever(body, condition):
            return {"forever": written_block(body), **_while(condition)}
        case Try(body, handler):
            return {"try": written_block(body), "except": written_block(handler)}
        case _:
            return _written_operation(statement)


def _while(condition: Condition | None) -> dict[str, object]:
    return {} if condition is None else {"while": written_condition(condition)}


def _written_operation(operation: HostOperation) -> list[object]:
    values = {
        argument: getattr(operation, argument.name) for argument in arguments_of(type(operation))
    }
    written = [_value(value) for argument, value in values.items() if argument.required]
    optional = {
        argument.name: _value(value)
        for argument, value in values.items()
        if not argument.required and value != argument.default
    }
    return [operation.kind, *written, *([optional] if optional else [])]


def _value(value: object) -> object:
    match value:
        case Value(constant):
            return written_constant(constant)
        case Variable(name, 0):
            return {"var": name}
        case Variable(name, plus):
            return {"var": name, "plus": plus}
        case Condition():
            return written_condition(value)
        case tuple() if value and all(isinstance(each, Move) for each in value):
            return [_written_move(each) for each in value]
        case _:
            return written_constant(value)


def _written_move(each: Move) -> list[object]:
    if isinstance(each.source, Value):
        if isinstance(each.source.constant, str):
            raise ValueError(f"a vector can't hold the move {each}; expected no text as constant")
        return [each.target, written_constant(each.source.constant)]
    return [each.target, str(each.source)]


def written_condition(condition: Condition) -> list[object]:
    """A condition as a vector has it."""
    return [_value(condition.left), condition.comparison, _value(condition.right)]


def written_constant(value: object) -> object:
    """A constant as a vector has it.

    >>> written_constant((1, "$x"))
    [1, '$$x']
    """
    match value:
        case str():
            return f"${value}" if value.startswith("$") else value
        case tuple():
            return [written_constant(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            raise ValueError(f"a vector can't hold {value!r}; expected what JSON can write")
