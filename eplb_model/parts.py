"""What a world is made of: operations, kernels, streams, programs, ranks.

`eplb_model.world` hands all of these on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from eplb_model.machine import Footprint
from eplb_model.outcome import Actor, Wait

if TYPE_CHECKING:
    from eplb_model.state import State

# An offer names something that an operation may bring about: ("flag", "ready"), say.
Offer: TypeAlias = tuple[str, str]


class HostOperation(Protocol):
    """One instruction of a host thread.  A blocking call may take several steps."""

    kind: ClassVar[str]

    def guard(self, state: State, me: Actor) -> Wait | None: ...
    def effect(self, state: State, me: Actor) -> State: ...
    def offers(self) -> tuple[Offer, ...]: ...
    def written_variables(self) -> frozenset[str]: ...


class StreamOperation(Protocol):
    """Work in a stream; a step of the stream is its end, or a part of its end.

    `automatic` work is passed by the GPU itself as soon as its guard lets it; work with a `kernel`
    has to be placed; work that `holds_queue` keeps back what was submitted behind it (G6).
    """

    kind: ClassVar[str]
    automatic: ClassVar[bool]

    @property
    def kernel(self) -> str | None: ...
    @property
    def holds_queue(self) -> bool: ...

    def passed(self, stream: int) -> StreamOperation: ...
    def written_variables(self) -> frozenset[str]: ...

    def choices(self, state: State, me: Actor) -> tuple[int | None, ...]: ...
    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None: ...
    def effect(self, state: State, me: Actor, choice: int | None) -> State: ...


Grain = Literal["first", "grid", "channel", "end"]

CURRENT = "current"  # as the name of a stream: the current one of the thread that calls


@dataclass(frozen=True, slots=True)
class Meets:
    """Whom a kernel has to meet before it can end.  specs/semantics.md#meetings

    `sends` and `receives` are offsets: to rank + offset, from rank - offset, modulo the ranks.
    `kernel` is the kernel that the peers must have there (another one for a receive that waits
    for the peer's send).  With `eager`, a send ends without its receiver (N16).
    """

    grain: Grain
    sends: tuple[int, ...]
    receives: tuple[int, ...]
    kernel: str
    eager: bool = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel as it is launched: grid, cluster, footprint, whom it meets, when it ends."""

    name: str
    launch: Literal["regular", "cooperative"]
    ctas: int
    cluster: int
    footprint: Footprint
    meets: Meets | None = None
    ends: Literal["each", "together"] = "each"
    until: str | None = None  # a flag of the host without which it spins
    module: str | None = None  # loaded at first use
    # For each CTA in channel order, the rounds (offsets) its channel serves; empty: no channels.
    rounds: tuple[tuple[int, ...], ...] = ()

    @property
    def gang(self) -> bool:
        return self.launch == "cooperative"

    def classes(self, backwards: bool) -> tuple[tuple[int, ...], ...]:
        """Positions in start order of the CTAs that are interchangeable, class by class."""
        if not self.rounds:
            return (tuple(range(self.ctas)),)
        by_rounds: dict[tuple[int, ...], list[int]] = {}
        for position in range(self.ctas):
            index = self.ctas - 1 - position if backwards else position
            by_rounds.setdefault(self.rounds[index], []).append(position)
        return tuple(tuple(by_rounds[rounds]) for rounds in sorted(by_rounds))


StreamKind = Literal["nonblocking", "blocking", "legacy"]
ENGINE: Literal["engine"] = "engine"  # what does one-sided reads: no stream of the GPU


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of one rank.  A lower priority number is more urgent, as in CUDA (G18)."""

    name: str
    priority: int = 0
    kind: StreamKind | Literal["engine"] = "nonblocking"
    device: int = 0  # which GPU of the process it is on; an engine is on none


@dataclass(frozen=True, slots=True)
class Program:
    """What one host thread runs.  `handlers` are (first, last, target): innermost first."""

    name: str
    code: tuple[HostOperation, ...]
    handlers: tuple[tuple[int, int, int], ...] = ()
    started: bool = True
    cyclic: bool = False


@dataclass(frozen=True, slots=True)
class Rank:
    """One process with its GPU; streams of further GPUs run beside it (`Stream.device`)."""

    threads: tuple[Program, ...]
    streams: tuple[Stream, ...]
    memory: Mapping[str, Any] = field(default_factory=dict)  # initial values, by name


def successors(program: Program, pc: int) -> tuple[int, ...]:
    """The program counters that may follow `pc`, exceptions included."""
    op = program.code[pc]
    after = getattr(op, "targets", None)
    following = [pc + 1] if after is None else list(after(pc))
    following += [target for first, last, target in program.handlers if first <= pc <= last]
    return tuple(following)


def reachable_offers(program: Program) -> tuple[frozenset[Offer], ...]:
    """Per program counter: what the text from there on may still bring about."""
    size = len(program.code)
    offers: list[frozenset[Offer]] = [frozenset() for _ in range(size + 1)]
    changed = True
    while changed:
        changed = False
        for pc in range(size - 1, -1, -1):
            found = frozenset(program.code[pc].offers()).union(
                *(offers[after] for after in successors(program, pc))
            )
            if found != offers[pc]:
                offers[pc], changed = found, True
    return tuple(offers)


def current_place(thread: str) -> str:
    """Where memory has the current device and streams of a thread; no program can name it."""
    return f"(current of {thread})"


def group_place(thread: str) -> str:
    """Where memory has the NCCL group of a thread; no program can name it."""
    return f"(group of {thread})"
