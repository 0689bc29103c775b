"""A scenario: a machine, kernels, a program for every thread of every rank, and what to expect.

Rules:
- Programs are lists of statements: operations and the few blocks below.  `assemble` flattens them;
  bounded repetition is unrolled, so a program without `Forever` never goes back.
- Every name that an operation uses gets its place in memory from the operation's roles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from eplb_model.machine import FOOTPRINTS, Machine
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.launch import DEVICE_COPY, MEMSET, loaded
from eplb_model.ops.marks import UNRECORDED, Event
from eplb_model.ops.moves import Move, PeerVariable, peers_read
from eplb_model.ops.registry import Role, roles_of
from eplb_model.ops.tensors import Tensor
from eplb_model.ops.thread_state import Current, NcclGroup
from eplb_model.outcome import Verdict, When
from eplb_model.world import (
    CURRENT,
    ENGINE,
    HostOperation,
    Kernel,
    Program,
    Rank,
    Stream,
    World,
    current_place,
    group_place,
)

if TYPE_CHECKING:
    from eplb_model.claims import Claim


@dataclass(frozen=True, slots=True)
class If:
    """Take one of two ways."""

    condition: Condition
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """Do the body `times` times, or until the condition fails before a round."""

    times: int
    body: tuple[Statement, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Forever:
    """Do the body for ever, or until the condition fails before a round."""

    body: tuple[Statement, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """Where an operation of the body raises, go on with the handler."""

    body: tuple[Statement, ...]
    handler: tuple[Statement, ...]


Statement: TypeAlias = HostOperation | If | Repeat | Forever | Try


def operations_in(body: Iterable[Statement]) -> Iterator[HostOperation]:
    """The operations of a text, in the order in which they are written, branches and loops once."""
    for statement in body:
        match statement:
            case If(_, then, otherwise):
                yield from operations_in((*then, *otherwise))
            case Repeat(_, inner) | Forever(inner):
                yield from operations_in(inner)
            case Try(inner, handler):
                yield from operations_in((*inner, *handler))
            case _:
                yield statement


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """One host thread as it is written; `started` is false for threads that `start` starts."""

    name: str
    body: tuple[Statement, ...]
    started: bool = True


@dataclass(frozen=True, slots=True)
class RankPlan:
    """One process as it is written: threads, streams in order of creation, initial variables."""

    threads: tuple[ThreadPlan, ...]
    streams: tuple[Stream, ...]
    initial: Mapping[str, Any] = field(default_factory=dict)


class Planned(NamedTuple):
    """What a protocol makes of parameters: the plan of every rank, and what it says of itself."""

    ranks: tuple[RankPlan, ...]
    claims: tuple[Claim, ...] = ()
    forbids: frozenset[str] = frozenset()


def planned(made: tuple[RankPlan, ...] | Planned) -> Planned:
    """The same for a protocol that says nothing of itself."""
    return made if isinstance(made, Planned) else Planned(made)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a vector says its check must answer."""

    verdict: Verdict
    when: When | None = None
    serialised: str | None = None
    states: Mapping[str, int] = field(default_factory=dict)  # by search: "plain", "settled"
    steps: int | None = None  # of the shortest schedule to the finding
    waiting: tuple[str, ...] | None = None
    circle: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scenario:
    """Everything one check needs."""

    name: str
    machine: Machine
    kernels: Mapping[str, Kernel]
    ranks: tuple[RankPlan, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    about: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    fixes: str | None = None
    expect: Expectation | None = None
    claims: tuple[Claim, ...] = ()
    forbids: frozenset[str] = frozenset()  # of FORBIDDEN

    @cached_property
    def world(self) -> World:
        """The scenario made ready to run."""
        return link(self)

    def on(self, machine: Machine) -> Scenario:
        """The same scenario on another machine, or on one with other switches."""
        return replace(self, machine=machine)


def link(scenario: Scenario) -> World:
    """Flatten the programs and give every name its place.

    Raises `ValueError` for a rank whose GPUs the model can't keep apart.
    """
    kernels = dict(scenario.kernels)
    for name in (MEMSET, DEVICE_COPY):
        kernels.setdefault(name, Kernel(name, "regular", 1, 1, FOOTPRINTS["tiny"]))
    known: dict[int, Rank] = {}  # ranks with one plan share what is made of it
    ranks = []
    for number, plan in enumerate(scenario.ranks):
        if scenario.claims or id(plan) not in known:
            known[id(plan)] = _linked(scenario, number, plan)
        ranks.append(known[id(plan)])
    ranks = _with_what_peers_read(ranks)
    everyone = tuple(range(len(ranks)))
    groups = {"world": everyone, **scenario.groups}
    fixed = tuple(ranks), groups, scenario.claims, scenario.forbids
    world = World(scenario.machine, kernels, *fixed)
    first = {id(described): rank for rank, described in reversed([*enumerate(ranks)])}
    for rank in sorted(first.values()):  # of ranks that share a description, the first
        _check_devices(world, rank)
    return world


def _linked(scenario: Scenario, number: int, plan: RankPlan) -> Rank:
    """The programs of a rank, flat, and a place for every name that they use."""
    threads = tuple(assemble(thread) for thread in plan.threads)
    memory: dict[str, Any] = {}
    for kernel in scenario.kernels.values():
        if kernel.module is not None:
            memory[loaded(kernel.module)] = False
        if kernel.until is not None:
            memory[kernel.until] = False
    for program in threads:
        for op in program.code:
            memory.update({n: v for n, v in _places(op) if n not in memory})
        memory.update(_own_places(program))
    for claim in scenario.claims:
        memory.update({n: None for n in claim.names(number) if n not in memory})
    return Rank(threads, (*plan.streams, *_engines(threads)), {**memory, **plan.initial})


# What a program may do by the rules of the machine, and a scenario may call an error.
FORBIDDEN = (UNRECORDED,)


def _engines(threads: Sequence[Program]) -> Iterator[Stream]:
    """The engines that programs name, in order of first use: they are not declared."""
    names = [
        name
        for program in threads
        for op in program.code
        for role, _, name in names_in(op)
        if role.name == "engine"
    ]
    return (Stream(name, kind=ENGINE) for name in dict.fromkeys(names))


def _with_what_peers_read(ranks: Sequence[Rank]) -> list[Rank]:
    """The ranks with a place for every variable that a peer's work reads there."""
    wanted: list[dict[str, Any]] = [{} for _ in ranks]
    different = {id(rank): rank for rank in ranks}.values()
    for rank in different:
        for op in (op for program in rank.threads for op in program.code):
            for peer in peers_read(getattr(op, "moves", ())):
                wanted[peer.rank][peer.name] = initial_value("variable")
    return [
        replace(rank, memory={**more, **rank.memory}) if more.keys() - rank.memory.keys() else rank
        for rank, more in zip(ranks, wanted, strict=True)
    ]


IN_MEMORY = ("flag", "variable", "lock", "event", "cpu_gpu_event", "tensor")  # roles of names


def initial_value(role: str) -> Any:
    """What memory has at first under a name of a role; few programs have a `CpuGpuEvent`."""
    match role:
        case "flag":
            return False
        case "event":
            return Event()
        case "tensor":
            return Tensor()
        case "cpu_gpu_event":
            from eplb_model.ops.two_thread_event import TwoThreadEvent  # noqa: PLC0415

            return TwoThreadEvent()
        case _:
            return None


def names_in(op: HostOperation) -> Iterator[tuple[Role, str, str]]:
    """(role, field, name) for every name that an operation uses, its expressions included."""
    for each in fields(op):  # type: ignore[arg-type]  # every operation is a dataclass
        value = getattr(op, each.name)
        if isinstance(value, (Condition, Variable, Value)):
            yield from ((Role("variable"), each.name, name) for name in value.variables)
            continue
        for role in roles_of(type(op)).get(each.name, ()):
            if role.name == "moves":
                yield from _names_in_moves(value)
                continue
            for name in value if isinstance(value, tuple) else (value,):
                yield role, each.name, name


def _names_in_moves(moves: Sequence[Move]) -> Iterator[tuple[Role, str, str]]:
    """The variables of this rank that moves write, and those that they read."""
    for each in moves:
        yield Role("variable", declares=True), "moves", each.target
        if not isinstance(each.source, PeerVariable):
            yield from ((Role("variable"), "moves", name) for name in each.source.variables)


def _places(op: HostOperation) -> Iterator[tuple[str, Any]]:
    for role, _, name in names_in(op):
        if role.name in IN_MEMORY:
            yield name, initial_value(role.name)
        if role.name == "tensor":
            from eplb_model.ops.allocator import BLOCKS, Blocks  # noqa: PLC0415 (few have tensors)

            yield BLOCKS, Blocks()
        elif role.name == "module":
            yield loaded(name), False


def _own_places(program: Program) -> Iterator[tuple[str, Any]]:
    """What a thread carries along, if its program ever touches it."""
    kinds = {op.kind for op in program.code}
    if kinds & {"set_device", "set_stream"}:
        yield current_place(program.name), Current()
    if kinds & {"group_start", "group_end", "group_boundary"}:
        yield group_place(program.name), NcclGroup()


def _check_devices(world: World, rank: int) -> None:
    """Only one GPU of a rank has SMs: kernels of several must never have to wait for any."""
    described = world.ranks[rank]
    several = any(stream.device for stream in described.streams)
    if several and not world.roomy[rank]:
        raise ValueError(
            f"rank {rank} has streams on several devices and kernels that may have to wait for "
            "SMs; expected kernels that always fit together, or copies and events alone"
        )
    named = {getattr(op, "stream", None) for each in described.threads for op in each.code}
    if CURRENT in named and world.default_stream(rank, 0) is None:
        raise ValueError(
            f"rank {rank} uses the current stream and has no stream on device 0, where every "
            "thread starts; expected one"
        )


def assemble(plan: ThreadPlan) -> Program:
    """Flatten a thread's statements; the n-th wait for a kernel is for its n-th launch."""
    assembler = _Assembler()
    assembler.block(plan.body)
    code = tuple(_numbered(assembler.code))
    handlers = tuple(assembler.handlers)
    return Program(plan.name, code, handlers, plan.started, assembler.cyclic)


class _Assembler:
    """Code under construction.  Branches to a place not known yet are patched when it is."""

    def __init__(self) -> None:
        self.code: list[HostOperation] = []
        self.handlers: list[tuple[int, int, int]] = []
        self.cyclic = False

    def block(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, statement: Statement) -> None:
        match statement:
            case If(condition, then, otherwise):
                test = self._branch(condition)
                self.block(then)
                if otherwise:
                    skip = self._branch(None)
                    self._land(test)
                    self.block(otherwise)
                    self._land(skip)
                else:
                    self._land(test)
            case Repeat(times, body, condition):
                exits = []
                for _ in range(times):
                    if condition is not None:
                        exits.append(self._branch(condition))
                    self.block(body)
                for test in exits:
                    self._land(test)
            case Forever(body, condition):
                self.cyclic = True
                top = len(self.code)
                exit_ = self._branch(condition) if condition is not None else None
                self.block(body)
                self.code.append(OPERATIONS["branch"](None, top))
                if exit_ is not None:
                    self._land(exit_)
            case Try(body, handler):
                first = len(self.code)
                self.block(body)
                last = len(self.code) - 1
                skip = self._branch(None)
                self.handlers.append((first, last, len(self.code)))
                self.block(handler)
                self._land(skip)
            case _:
                self.code.append(statement)

    def _branch(self, condition: Condition | None) -> int:
        self.code.append(OPERATIONS["branch"](condition, -1))
        return len(self.code) - 1

    def _land(self, at: int) -> None:
        branch: Any = self.code[at]
        self.code[at] = replace(branch, otherwise=len(self.code))


def _numbered(code: Sequence[HostOperation]) -> Iterator[HostOperation]:
    seen: Counter[tuple[str, str]] = Counter()
    for op in code:
        if getattr(op, "numbered", False):
            what = (op.kind, op.kernel)  # type: ignore[attr-defined]  # what is numbered names one
            numbered: Any = replace(op, number=seen[what])  # type: ignore[type-var]  # a dataclass
            seen[what] += 1
            yield numbered
        else:
            yield op
