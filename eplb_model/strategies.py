"""Hypothesis strategies: small scenarios over the whole vocabulary, and schedules that follow them.

Rules:
- An operation takes part by being registered; a role or type that `_field` can't draw is refused.
- What is drawn is valid: names are declared, grids are whole clusters, a rank uses groups it is in.
- Draws shrink towards one rank, one thread, few statements, and kernels that meet nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, Literal, Protocol, TypeAlias, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from eplb_model.drawn import drawn_kernels, drawn_stream
from eplb_model.machine import MACHINES, Machine
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import COMPARISONS, Condition, Expression, Value, Variable
from eplb_model.ops.moves import move, peers_read
from eplb_model.ops.registry import Role, roles_of
from eplb_model.outcome import Action
from eplb_model.scenario import (
    Forever,
    If,
    RankPlan,
    Repeat,
    Scenario,
    Statement,
    ThreadPlan,
    Try,
    names_in,
)
from eplb_model.step import enabled, initial, step
from eplb_model.trace import schedule_text
from eplb_model.world import CURRENT, HostOperation, Kernel

Names: TypeAlias = Mapping[str, tuple[str, ...]]  # by role: what a text may use

WRITTEN_AS_BLOCKS = frozenset({"branch"})  # if, repeat and forever
NUMBERED = frozenset(k for k, op in OPERATIONS.items() if getattr(op, "numbered", False))
OFTEN = (*("launch",) * 9, "record_event", "stream_wait_event", "wait_flag", "set")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The most that is drawn of each thing; these keep plain searches under 2,000 states."""

    ranks: int = 3
    threads: int = 2
    streams: int = 2
    statements: int = 5  # of all threads of a rank together, blocks and their bodies included
    kernels: int = 3
    ctas: int = 5
    depth: int = 1  # of blocks within blocks


@st.composite
def scenarios(
    draw: st.DrawFn,
    sizes: Sizes | None = None,
    *,
    machine: Machine = MACHINES["tiny"],
    kinds: Sequence[str] | None = None,
    forever: bool = False,
) -> Scenario:
    """A valid scenario; ranks often run the same text, sometimes different ones.

    Parameters
    ----------
    sizes
        The most of each thing.
    machine
        The GPU of every rank.
    kinds
        The operations that may occur in statements, all by default.
    forever
        Whether unbounded loops may occur.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=3, database=None)
    ... @given(scenarios())
    ... def test_is_for_the_tiny_machine(scenario):
    ...     assert scenario.machine.name == "tiny"
    >>> test_is_for_the_tiny_machine()
    """
    sizes = sizes or Sizes()
    ranks = draw(st.integers(1, sizes.ranks))
    kernels = drawn_kernels(draw, sizes.kernels, sizes.ctas, ranks)
    groups = _groups(draw, ranks)
    same = draw(st.sampled_from((True, True, False)))
    texts = [0] * ranks if same else [draw(st.integers(0, 1)) for _ in range(ranks)]
    plans = {}
    for text in sorted(set(texts)):
        members = {rank for rank, each in enumerate(texts) if each == text}
        usable = tuple(name for name, group in groups.items() if members <= set(group))
        names = _names(kernels, ("world", *usable), sizes, range(ranks if same else 0))
        writer = _Writer(draw, names, tuple(kinds or _written_kinds()), forever, sizes)
        plans[text] = writer.plan()
    by_name = {kernel.name: kernel for kernel in kernels}
    return Scenario("generated", machine, by_name, tuple(plans[text] for text in texts), groups)


class Schedule(list[Action]):
    """A run that was drawn; it shows as the text that `assert_run` and `replay --schedule` take."""

    def __repr__(self) -> str:
        return repr(schedule_text(self))


class HasScenario(Protocol):
    """A vector, or a protocol that was built."""

    def scenario(self) -> Scenario:
        """The scenario under the defaults."""


@st.composite
def schedules(draw: st.DrawFn, what: Scenario | HasScenario, max_steps: int = 200) -> Schedule:
    """A run of a scenario, a vector or a built protocol: to its end, up to a bound, or cut off.

    Examples
    --------
    >>> from hypothesis import find
    >>> idle = Scenario("idle", MACHINES["tiny"], {}, ())
    >>> find(schedules(idle), lambda schedule: True)
    ''
    >>> from eplb_model.vector import load
    >>> hang = load("coop_vs_nccl_opposite_order")
    >>> find(schedules(hang), lambda schedule: len(schedule) == 2)
    '0.eplb 0.main'
    """
    scenario = what if isinstance(what, Scenario) else what.scenario()
    steps = draw(st.just(max_steps) | st.integers(0, max_steps))
    state = initial(scenario.world)
    taken = Schedule()
    while len(taken) < steps and (actions := enabled(state)):
        action = draw(st.sampled_from(actions))
        taken.append(action)
        state = step(state, action)
    return taken


def _written_kinds() -> tuple[str, ...]:
    return tuple(kind for kind in (*OFTEN, *OPERATIONS) if kind not in WRITTEN_AS_BLOCKS)


def _names(
    kernels: Sequence[Kernel], groups: tuple[str, ...], sizes: Sizes, peers: Sequence[int]
) -> Names:
    """What the roles may name.  Only tensors and buffers share names: memory knows names only."""
    spun_on = tuple(dict.fromkeys(kernel.until for kernel in kernels if kernel.until))
    return {
        "kernel": tuple(kernel.name for kernel in kernels),
        "stream": _numbered(("compute", "side"), sizes.streams, "stream"),
        "thread": _numbered(("main", "eplb"), sizes.threads, "thread"),
        "group": groups,
        "module": ("module0",),
        "event": ("event0", "event1"),
        "cpu_gpu_event": ("ready",),
        "flag": (*spun_on, "flag1"),
        "variable": ("x", "y"),
        "lock": ("lock",),
        "tensor": ("weights", "staging"),
        "buffers": ("weights", "staging"),
        "engine": ("rdma",),
        "moves": ("x", "y", *(f"{rank}.{name}" for rank in peers for name in "xy")),
    }


def _numbered(first: tuple[str, ...], count: int, further: str) -> tuple[str, ...]:
    return (*first[:count], *(f"{further}{n}" for n in range(len(first), count)))


# --- groups ---------------------------------------------------------------------------------


def _groups(draw: st.DrawFn, ranks: int) -> dict[str, tuple[int, ...]]:
    """Besides `world`, sometimes one group of some ranks, in some order."""
    if not draw(st.sampled_from((False, False, True))):
        return {}
    members = draw(st.lists(st.integers(0, ranks - 1), unique=True, min_size=1))
    return {"some": tuple(members)}


# --- programs --------------------------------------------------------------------------------


class _Writer:
    """Writes the text of one rank; used and thrown away."""

    def __init__(
        self, draw: st.DrawFn, names: Names, kinds: tuple[str, ...], forever: bool, sizes: Sizes
    ) -> None:
        self._draw = draw
        self._names = names
        self._kinds = kinds
        self._sizes = sizes
        self._left = 0  # statements that may still be written
        self._blocks = (If, Repeat, Try, *((Forever,) if forever else ()))

    def plan(self) -> RankPlan:
        streams = self._names["stream"][: 1 + self._up_to(self._sizes.streams - 1)]
        threads = self._names["thread"][: 1 + self._up_to(self._sizes.threads - 1)]
        self._names = {**self._names, "stream": (*streams, *streams, CURRENT), "thread": threads}
        self._left = self._sizes.statements
        bodies = [self._body(thread, self._sizes.depth, least=1) for thread in threads]
        waits = len(threads) > 1 and self._draw(st.sampled_from((False, False, True)))
        if waits:  # for `start`
            bodies[0].insert(self._up_to(len(bodies[0])), OPERATIONS["start"](threads[-1]))
        for declaration in self._declarations(bodies):
            body = bodies[self._up_to(len(bodies) - 1)]
            body.insert(self._up_to(len(body)), declaration)
        return RankPlan(
            tuple(
                ThreadPlan(name, tuple(body), not (waits and name == threads[-1]))
                for name, body in zip(threads, bodies, strict=True)
            ),
            tuple(drawn_stream(self._draw, name) for name in streams),
            self._draw(st.sampled_from(({}, {"x": 0}))),
        )

    def _up_to(self, last: int) -> int:
        return self._draw(st.integers(0, last))

    def _body(self, thread: str, depth: int, least: int = 0, most: int = 3) -> list[Statement]:
        most = min(most, self._left)
        size = self._draw(st.integers(min(least, most), most))
        self._left -= size
        return [self._statement(thread, depth) for _ in range(size)]

    def _statement(self, thread: str, depth: int) -> Statement:
        if not depth or self._draw(st.sampled_from((True, True, True, True, False))):
            return self._operation(thread)
        block = self._draw(st.sampled_from(self._blocks))
        if block is Try:
            return Try(self._inner(thread, depth), self._inner(thread, depth))
        if block is If:
            return If(self._condition(), self._inner(thread, depth), self._inner(thread, depth))
        until = self._condition() if self._draw(st.booleans()) else None
        if block is Forever:
            return Forever(self._forever(thread, depth), until)
        return Repeat(self._draw(st.integers(0, 3)), self._inner(thread, depth), until)

    def _inner(self, thread: str, depth: int) -> tuple[Statement, ...]:
        return tuple(self._body(thread, depth - 1, most=2))

    def _forever(self, thread: str, depth: int) -> tuple[Statement, ...]:
        """A body without what is numbered in the text: there is no n-th of it in a loop."""
        kinds = self._kinds
        self._kinds = tuple(kind for kind in kinds if kind not in NUMBERED) or ("malloc",)
        body = self._inner(thread, depth)
        self._kinds = kinds
        return body

    def _operation(self, thread: str) -> HostOperation:
        names = {**self._names, "thread": tuple(n for n in self._names["thread"] if n != thread)}
        usable = tuple(kind for kind in self._kinds if _can_be_written(kind, names))
        cls = OPERATIONS[self._draw(st.sampled_from(usable))]
        operation: HostOperation = cls(
            **{each.name: self._draw(_field(cls, each, names)) for each in fields(cls)}
        )
        return operation

    def _condition(self) -> Condition:
        return self._draw(_conditions(self._names["variable"]))

    def _declarations(self, bodies: Sequence[Sequence[Statement]]) -> list[HostOperation]:
        """What is missing to bring every name to life that the bodies use."""
        used: dict[tuple[str, str], bool] = {}
        for body in bodies:
            for operation in _operations_in(body):
                for role, _, name in names_in(operation):
                    key = (role.name, name)
                    used[key] = used.get(key, role.name not in _DECLARED_BY) or role.declares
                for peer in peers_read(getattr(operation, "moves", ())):
                    used.setdefault(("variable", peer.name), False)
        return [
            self._declaring(role, name) for (role, name), declared in used.items() if not declared
        ]

    def _declaring(self, role: str, name: str) -> HostOperation:
        kind, field = _DECLARED_BY[role]
        cls = OPERATIONS[kind]
        names = {**self._names, "variable": ()}  # it must not use what is not declared either
        values = {
            each.name: name if each.name == field else self._draw(_field(cls, each, names))
            for each in fields(cls)
        }
        operation: HostOperation = cls(**values)
        return operation


# Roles whose names some operation has to bring to life: that operation, and the field that does.
_DECLARED_BY: Mapping[str, tuple[str, str]] = {
    "event": ("record_event", "event"),
    "tensor": ("alloc", "tensor"),
    "variable": ("put", "variable"),
}


def _operations_in(body: Sequence[Statement]) -> Iterator[HostOperation]:
    """Every operation of a text, blocks entered; a block's condition as `assert` would use it."""
    for statement in body:
        match statement:
            case If(condition, then, otherwise):
                yield OPERATIONS["assert"](condition)
                yield from _operations_in((*then, *otherwise))
            case Repeat(_, inner, test) | Forever(inner, test):
                if test is not None:
                    yield OPERATIONS["assert"](test)
                yield from _operations_in(inner)
            case Try(inner, handler):
                yield from _operations_in((*inner, *handler))
            case _:
                yield statement


# --- fields ----------------------------------------------------------------------------------


@cache
def _hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _can_be_written(kind: str, names: Names) -> bool:
    """Whether there is a name for every role of an operation."""
    return all(
        _known(role, names) for roles in roles_of(OPERATIONS[kind]).values() for role in roles
    )


def _known(role: Role, names: Names) -> tuple[str, ...]:
    assert role.name in names, f"[model bug] strategies.py has no names for role {role.name!r}"
    return names[role.name]


def _field(cls: type, field: Field[Any], names: Names) -> st.SearchStrategy[Any]:
    """What may stand in a field of an operation, by its role or its type."""
    hint = _hints(cls)[field.name]
    roles = roles_of(cls)[field.name]
    if roles and roles[0].name == "moves":
        return _moves(names["moves"]) if names["variable"] else st.just(())
    if roles:
        known = st.sampled_from(_known(roles[0], names))
        if get_origin(get_args(hint)[0]) is tuple:
            return st.just(()) | st.lists(known, max_size=1).map(tuple)
        return known
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint in (bool, int) and field.name != "number":
        return st.booleans() if hint is bool else st.integers(0, 1)
    if hint == Expression:
        return _expressions(names["variable"])
    if hint == Condition:
        return _conditions(names["variable"])
    assert field.default is not MISSING, (
        f"[model bug] strategies.py can't draw {cls.__name__}.{field.name}: {hint}"
    )
    return st.just(field.default)


@cache
def _moves(sources: tuple[str, ...]) -> st.SearchStrategy[Any]:
    one = st.builds(move, st.sampled_from(("x", "y")), st.sampled_from((*sources, 1, None)))
    return st.just(()) | st.lists(one, max_size=2).map(tuple)


@cache
def _expressions(variables: tuple[str, ...]) -> st.SearchStrategy[Value | Variable]:
    constants = st.sampled_from((1, 0, 2, True, False, None)).map(Value)
    if not variables:
        return constants
    plus = st.sampled_from((0, 0, 1, -1))
    return constants | st.builds(Variable, st.sampled_from(variables), plus)


@cache
def _conditions(variables: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    sides = _expressions(variables)
    return st.builds(Condition, sides, st.sampled_from(tuple(COMPARISONS)), sides)
