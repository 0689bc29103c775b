"""Chains: facts of a rank that come true in one order, so that one witness stands for all of them.

Rules (specs/all_ranks.md#the-cut-off):
- A kernel that is met and goes to one stream makes a chain: its launches start, CTA by CTA, and
  complete in the order of their numbers.
- Kernels of one stream make one chain together where one thread without branches launches them,
  in the same sequence on every rank.
- The calls of a host group make a chain: they pair by order.
- A chain takes a second witness where somebody waits for what it need not have done itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from eplb_model.ops.collectives import AllReduce, Barrier
from eplb_model.ops.groups import GroupStart
from eplb_model.ops.launch import Launch
from eplb_model.ops.threads import Branch, Die, Raise
from eplb_model.scenario import Scenario, names_in
from eplb_model.world import CURRENT, HostOperation, Kernel, Program, World


class Chain(NamedTuple):
    """Kernels, or a host group, whose facts have one order on every rank."""

    members: tuple[str, ...]
    witnesses: int
    host: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """The chains of a scenario, and the kernels that make none, each with place and reason."""

    chains: tuple[Chain, ...]
    objections: tuple[tuple[str, str], ...]


def representatives(scenario: Scenario, fixed: int) -> range:
    """One rank for every text: those with one of their own, and the first of the others."""
    return range(min(fixed + 1, len(scenario.ranks)))


def chains(scenario: Scenario, fixed: int) -> Linked:
    """The chains of what ranks wait for from one another."""
    world, ranks = scenario.world, representatives(scenario, fixed)
    met = sorted({k.meets.kernel for k in scenario.kernels.values() if k.meets is not None})
    streams = {kernel: [_streams(world, rank, kernel) for rank in ranks] for kernel in met}
    objections = tuple(
        (f"kernel {kernel} of rank {rank}", f"goes to {', '.join(sorted(names))}")
        for kernel, by_rank in streams.items()
        for rank, names in zip(ranks, by_rank, strict=True)
        if len(names) > 1 or CURRENT in names
    )
    by_streams: dict[tuple[frozenset[str], ...], list[str]] = {}
    for kernel in met:
        by_streams.setdefault(tuple(map(frozenset, streams[kernel])), []).append(kernel)
    kernels = scenario.kernels
    found = [
        Chain(members, max(_witnesses(kernels.values(), name) for name in members))
        for together in by_streams.values()
        for members in _merged(world, ranks, tuple(together))
    ]
    return Linked((*found, *_host_chains(world, ranks)), objections)


def every_run_does_all(scenario: Scenario, fixed: int) -> bool:
    """Whether a rank that has finished has done every meeting that any rank ever does."""
    ranks = representatives(scenario, fixed)
    programs = [each for rank in ranks for each in scenario.world.ranks[rank].threads]
    straight = all(_is_straight(each) for each in programs if any(map(_meets_others, each.code)))
    done = [_done(scenario.world, rank) for rank in ranks]
    return straight and all(each == done[0] for each in done)


def repeated_answers(scenario: Scenario, fixed: int) -> int:
    """How many all_reduces a run may do whose answers are looked at."""
    counts: Counter[str] = Counter()
    for rank in representatives(scenario, fixed):
        mine: Counter[str] = Counter()
        for op in _code(scenario.world, rank):
            if isinstance(op, AllReduce) and is_read(scenario.world, rank, op.into):
                mine[op.group] += 1
        counts |= mine
    return counts.total()


def is_read(world: World, rank: int, variable: str) -> bool:
    """Whether an operation or a claim of a rank looks at a variable."""
    return variable in world.claimed[rank] or any(
        role.name == "variable" and name == variable and field != "into"
        for op in _code(world, rank)
        for role, field, name in names_in(op)
    )


def _code(world: World, rank: int) -> Iterator[HostOperation]:
    for program in world.ranks[rank].threads:
        yield from program.code


def _streams(world: World, rank: int, kernel: str) -> set[str]:
    """The streams to which a kernel may go."""
    return {
        op.stream for op in _code(world, rank) if isinstance(op, Launch) and op.kernel == kernel
    }


def _merged(world: World, ranks: range, together: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Kernels that share their streams: one chain if every rank launches them alike, else each."""
    sequences = [_sequence(world, rank, together) for rank in ranks]
    if sequences[0] is not None and all(each == sequences[0] for each in sequences):
        return (together,)
    return tuple((kernel,) for kernel in together)


def _sequence(world: World, rank: int, kernels: tuple[str, ...]) -> list[str] | None:
    """The order in which a rank launches some kernels, if the text fixes it."""
    launched = {
        program: [op.kernel for op in program.code if isinstance(op, Launch)]
        for program in world.ranks[rank].threads
    }
    feeders = [program for program, names in launched.items() if not set(kernels).isdisjoint(names)]
    if len(feeders) != 1 or not _is_straight(feeders[0]):
        return None
    return [name for name in launched[feeders[0]] if name in kernels]


def _is_straight(program: Program) -> bool:
    """Whether a thread runs from the start and does each of its operations, unless it is stuck."""
    turns = (Branch, Die, Raise, GroupStart)  # a group that is dropped loses what it keeps
    plain = not any(isinstance(op, turns) or getattr(op, "raises", False) for op in program.code)
    return program.started and plain and not program.handlers


def _meets_others(op: HostOperation) -> bool:
    return isinstance(op, (Launch, AllReduce, Barrier))


def _done(world: World, rank: int) -> Counter[str]:
    """How often a rank does each meeting."""
    done: Counter[str] = Counter()
    for op in _code(world, rank):
        if isinstance(op, Launch) and op.kernel in world.counted:
            done[f"launch {op.kernel}"] += 1
        elif isinstance(op, (AllReduce, Barrier)):
            done[f"call {op.group}"] += 1
    return done


def _witnesses(kernels: Iterable[Kernel], name: str) -> int:
    """Two where a kernel waits on others for what its own rank may lack as well."""
    own = all(
        kernel.name == name and kernel.meets.grain != "end"
        for kernel in kernels
        if kernel.meets is not None and kernel.meets.kernel == name
    )
    return 1 if own else 2


def _host_chains(world: World, ranks: range) -> Iterator[Chain]:
    names = {
        op.group
        for rank in ranks
        for op in _code(world, rank)
        if isinstance(op, (AllReduce, Barrier))
    }
    yield from (Chain((f"group {name}",), 1, host=True) for name in sorted(names))
