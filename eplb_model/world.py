"""What never changes during a run: machine, kernels, streams, the programs of every thread.

A `World` is a scenario made ready to run: names resolved, control flow flattened, repetitions
unrolled.  Rule: it is built once and compared by identity, so that a state may point to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eplb_model.machine import Machine
from eplb_model.outcome import Actor
from eplb_model.parts import (
    CURRENT,
    ENGINE,
    Grain,
    HostOperation,
    Kernel,
    Meets,
    Offer,
    Program,
    Rank,
    Stream,
    StreamKind,
    StreamOperation,
    current_place,
    group_place,
    reachable_offers,
    successors,
)
from eplb_model.placement import seats

if TYPE_CHECKING:
    from eplb_model.claims import Claim
    from eplb_model.state import State

__all__ = [
    "CURRENT",
    "ENGINE",
    "Grain",
    "HostOperation",
    "Kernel",
    "Meets",
    "Offer",
    "Program",
    "Rank",
    "Stream",
    "StreamKind",
    "StreamOperation",
    "World",
    "current_place",
    "group_place",
    "successors",
]


@dataclass(frozen=True, eq=False)
class World:
    """Everything fixed, with the look-ups that operations need."""

    machine: Machine
    kernels: Mapping[str, Kernel]
    ranks: tuple[Rank, ...]
    groups: Mapping[str, tuple[int, ...]]
    claims: tuple[Claim, ...] = ()  # what the scenario says of its variables
    forbids: frozenset[str] = frozenset()  # of scenario.FORBIDDEN: what is an error here

    @cached_property
    def actors(self) -> tuple[Actor, ...]:
        """Rank by rank, threads before streams: the order in which ties break."""
        return tuple(
            actor
            for rank in range(len(self.ranks))
            for actor in (*self.threads_of(rank), *self.streams_of(rank))
        )

    @cached_property
    def threads(self) -> tuple[Actor, ...]:
        names = [(r, p.name) for r, rank in enumerate(self.ranks) for p in rank.threads]
        return tuple(Actor(r, name, index, False) for index, (r, name) in enumerate(names))

    @cached_property
    def streams(self) -> tuple[Actor, ...]:
        names = [(r, s.name) for r, rank in enumerate(self.ranks) for s in rank.streams]
        return tuple(Actor(r, name, index, True) for index, (r, name) in enumerate(names))

    @cached_property
    def _threads_by_rank(self) -> tuple[tuple[Actor, ...], ...]:
        return _by_rank(self.threads, len(self.ranks))

    @cached_property
    def _streams_by_rank(self) -> tuple[tuple[Actor, ...], ...]:
        return _by_rank(self.streams, len(self.ranks))

    def threads_of(self, rank: int) -> tuple[Actor, ...]:
        return self._threads_by_rank[rank]

    def streams_of(self, rank: int) -> tuple[Actor, ...]:
        """Everything that does work on behalf of threads: the GPU's streams, then engines."""
        return self._streams_by_rank[rank]

    def streams_on(self, rank: int, device: int) -> tuple[Actor, ...]:
        """The streams of one GPU of a rank."""
        specs, streams = self.stream_specs, self.cuda_streams_of(rank)
        if all(specs[stream.slot].device == device for stream in streams):
            return streams
        return tuple(s for s in streams if specs[s.slot].device == device)

    def streams_named(self, rank: int, name: str) -> tuple[Actor, ...]:
        """The streams that a name in a program may stand for."""
        return self.cuda_streams_of(rank) if name == CURRENT else (self.stream(rank, name),)

    def default_stream(self, rank: int, device: int) -> Actor | None:
        """What a thread's current stream is until it sets one: the legacy one, else the first."""
        streams = self.streams_on(rank, device)
        legacy = (s for s in streams if self.stream_specs[s.slot].kind == "legacy")
        return next(legacy, streams[0] if streams else None)

    @cached_property
    def engines(self) -> tuple[Actor, ...]:
        """What does one-sided reads, on all ranks."""
        return tuple(a for a in self.streams if self.stream_specs[a.slot].kind == ENGINE)

    @cached_property
    def _cuda_streams_by_rank(self) -> tuple[tuple[Actor, ...], ...]:
        engines = set(self.engines)
        return tuple(
            tuple(a for a in streams if a not in engines) for streams in self._streams_by_rank
        )

    def cuda_streams_of(self, rank: int) -> tuple[Actor, ...]:
        """The streams of a GPU, without engines."""
        return self._cuda_streams_by_rank[rank]

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """By thread index."""
        return tuple(program for rank in self.ranks for program in rank.threads)

    @cached_property
    def _different_ranks(self) -> tuple[Rank, ...]:
        """The ranks, of those that share a description (`scenario.link`) one."""
        return tuple({id(rank): rank for rank in self.ranks}.values())

    @cached_property
    def operations(self) -> tuple[HostOperation, ...]:
        """All that any program says, the text of ranks that share one once."""
        return tuple(
            op for rank in self._different_ranks for program in rank.threads for op in program.code
        )

    @cached_property
    def stream_specs(self) -> tuple[Stream, ...]:
        """By stream index."""
        return tuple(stream for rank in self.ranks for stream in rank.streams)

    @cached_property
    def _stream_by_name(self) -> Mapping[tuple[int, str], Actor]:
        return {(actor.rank, actor.name): actor for actor in self.streams}

    @cached_property
    def _thread_by_name(self) -> Mapping[tuple[int, str], Actor]:
        return {(actor.rank, actor.name): actor for actor in self.threads}

    def stream(self, rank: int, name: str) -> Actor:
        return self._stream_by_name[rank, name]

    def thread(self, rank: int, name: str) -> Actor:
        return self._thread_by_name[rank, name]

    @cached_property
    def connections(self) -> tuple[int, ...]:
        """For each stream, its hardware queue among those of its rank (G6).

        No GPU shares one, and no engine; engines come last.
        """
        mapping: dict[Actor, int] = {}
        for rank in range(len(self.ranks)):
            first = 0
            streams = self.cuda_streams_of(rank)
            for device in sorted({self.stream_specs[s.slot].device for s in streams}):
                on_device = self.streams_on(rank, device)
                for index, stream in enumerate(on_device):
                    mapping[stream] = first + self._connection(index, len(on_device))
                first = 1 + max(mapping[stream] for stream in on_device)
            engines = (each for each in self.engines if each.rank == rank)
            mapping.update({engine: first + n for n, engine in enumerate(engines)})
        return tuple(mapping[stream] for stream in self.streams)

    def _connection(self, index: int, streams: int) -> int:
        """The hardware queue of the i-th stream of a GPU with so many."""
        match self.machine.switches.queue_map:
            case "together":
                return 0
            case "apart":
                return index
            case "round_robin":
                return index % self.machine.connections
            case _:  # nobody can be held back where there are enough for all
                return index if streams <= self.machine.connections else 0

    @cached_property
    def waits_that_hold(self) -> tuple[int, ...]:
        """For each stream, at how many waits of other streams it can't pass (G5a, G6).

        With queues that are taken as streams need them, that is as many as there are queues; where
        streams share a queue for good, the first wait in it is enough.
        """
        several = self.machine.switches.queue_map == "counted"
        queues = [(s.rank, q) for s, q in zip(self.streams, self.connections, strict=True)]
        shared = Counter(queues)
        return tuple(
            self.machine.connections if several and shared[queue] > 1 else 1 for queue in queues
        )

    @cached_property
    def slots(self) -> Mapping[tuple[int, str], int]:
        """Where in `State.memory` a name of a rank lives."""
        names = [(r, name) for r, rank in enumerate(self.ranks) for name in rank.memory]
        return {key: index for index, key in enumerate(names)}

    @cached_property
    def current_slots(self) -> tuple[int | None, ...]:
        """For each thread, where in memory its current device and streams are, if it sets any."""
        return tuple(self.slots.get((t.rank, current_place(t.name))) for t in self.threads)

    @cached_property
    def group_slots(self) -> tuple[int | None, ...]:
        """For each thread, where in memory its NCCL group is, if it ever opens or closes one."""
        return tuple(self.slots.get((t.rank, group_place(t.name))) for t in self.threads)

    @cached_property
    def event_slots(self) -> tuple[tuple[int, ...], ...]:
        """For each rank, where in memory its events are: the values that refer to marks."""
        return tuple(
            tuple(self.slots[r, name] for name, value in rank.memory.items() if _has_marks(value))
            for r, rank in enumerate(self.ranks)
        )

    @cached_property
    def kernel_ids(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.kernels)}

    @cached_property
    def launchable(self) -> frozenset[str]:
        """The kernels of which an empty GPU takes what has to be resident at once (G19)."""
        return frozenset(
            name for name, kernel in self.kernels.items() if _can_ever_fit(self.machine, kernel)
        )

    @cached_property
    def counted(self) -> frozenset[str]:
        """Kernels whose launches are numbered: they meet, are met, or are awaited."""
        names = {k.meets.kernel for k in self.kernels.values() if k.meets}
        names |= {k.name for k in self.kernels.values() if k.meets}
        return frozenset(names) | self.awaited

    @cached_property
    def _takers(self) -> frozenset[str]:
        """Kernels of which some launch takes variables from a peer."""
        return frozenset(
            kernel
            for op in self.operations
            if (kernel := getattr(op, "kernel", None)) is not None
            and any(hasattr(move.source, "rank") for move in getattr(op, "moves", ()))
        )

    def takers_from(self, kernel: str) -> frozenset[str]:
        """The kernels that take variables from peers and meet this one there."""
        return self._takers_from[kernel]

    @cached_property
    def _takers_from(self) -> Mapping[str, frozenset[str]]:
        return {
            name: frozenset(
                taker
                for taker in self._takers
                if (meets := self.kernels[taker].meets) is not None and meets.kernel == name
            )
            for name in self.kernels
        }

    @cached_property
    def awaited(self) -> frozenset[str]:
        """Kernels of which some thread waits for the n-th launch: their numbers stay."""
        offers = (offer for op in self.operations for offer in op.offers())
        return frozenset(name for what, name in offers if what == "await")

    @cached_property
    def names_buffers(self) -> bool:
        """Whether any operation says which buffers it reads or writes."""
        return any(getattr(op, "reads", ()) or getattr(op, "writes", ()) for op in self.operations)

    @cached_property
    def claimed(self) -> tuple[frozenset[str], ...]:
        """For each rank, the variables that some claim looks at."""
        return tuple(
            frozenset(name for claim in self.claims for name in claim.names(rank))
            for rank in range(len(self.ranks))
        )

    @cached_property
    def cyclic(self) -> bool:
        return any(program.cyclic for rank in self._different_ranks for program in rank.threads)

    def backwards(self, rank: int) -> bool:
        """Whether this rank starts the CTAs of a grid from the last index (switch `cta_order`)."""
        return self.machine.switches.cta_order == "opposed" and rank % 2 == 1

    @cached_property
    def _classes(self) -> Mapping[tuple[str, bool], tuple[tuple[int, ...], ...]]:
        return {
            (kernel.name, backwards): kernel.classes(backwards)
            for kernel in self.kernels.values()
            for backwards in (False, True)
        }

    def classes(self, kernel: str, rank: int) -> tuple[tuple[int, ...], ...]:
        """The interchangeable CTAs of a kernel on a rank, as positions in start order."""
        return self._classes[kernel, self.backwards(rank)]

    @cached_property
    def answers(self) -> dict[Hashable, tuple[State, Any]]:
        """By question, the state about which it was last asked, and its answer (`state.once`)."""
        return {}

    @cached_property
    def partners(self) -> dict[tuple[int, str, int], tuple[int, ...]]:
        """By rank, kernel and channel, whom it meets, once somebody has asked (`ops.meetings`)."""
        return {}

    @cached_property
    def offsets(self) -> dict[tuple[str, int], frozenset[int]]:
        """The same by kernel and channel alone, in numbers that count from the rank that asks."""
        return {}

    @cached_property
    def roomy(self) -> tuple[bool, ...]:
        """For each rank, whether its kernels fit all at once wherever they are placed.

        There nobody ever waits for SMs, so it does not matter which ones a kernel takes and its
        seats are only counted.
        """
        roomy = {id(rank): _is_roomy(self, rank) for rank in self._different_ranks}
        return tuple(roomy[id(rank)] for rank in self.ranks)

    @cached_property
    def reachable_offers(self) -> tuple[tuple[frozenset[Offer], ...], ...]:
        """Per thread and program counter: what its remaining text may still bring about."""
        different = {id(program): program for program in self.programs}
        offers = {key: reachable_offers(program) for key, program in different.items()}
        return tuple(offers[id(program)] for program in self.programs)


def _by_rank(actors: tuple[Actor, ...], ranks: int) -> tuple[tuple[Actor, ...], ...]:
    found: list[list[Actor]] = [[] for _ in range(ranks)]
    for actor in actors:
        found[actor.rank].append(actor)
    return tuple(map(tuple, found))


def _has_marks(value: Any) -> bool:
    return hasattr(value, "passed")


def _is_roomy(world: World, rank: Rank) -> bool:
    """One kernel at a time from each stream: the largest of each together leave room for any."""
    by_stream: dict[str, list[Kernel]] = {}
    for program in rank.threads:
        for op in program.code:
            for what, name in op.offers():
                if what == "launch":
                    stream: str = getattr(op, "stream")  # noqa: B009 (every launch has a stream)
                    every = [each.name for each in rank.streams]
                    for each in every if stream == CURRENT else [stream]:
                        by_stream.setdefault(each, []).append(world.kernels[name])
    largest = {s: max(kernel.ctas for kernel in kernels) for s, kernels in by_stream.items()}
    return all(
        _fits_beside(world.machine, kernel, sum(largest.values()) - largest[stream])
        for stream, kernels in by_stream.items()
        for kernel in kernels
    )


def _can_ever_fit(machine: Machine, kernel: Kernel) -> bool:
    wanted = kernel.ctas if kernel.gang else kernel.cluster
    return len(seats(machine, (), kernel.footprint, kernel.cluster, wanted, kernel.gang)) == wanted


def _fits_beside(machine: Machine, kernel: Kernel, held: int) -> bool:
    """Whether a kernel finds room wherever that many SMs are held: each spoils one cluster."""
    places = sum(size // kernel.cluster for size in machine.groups)
    fits = machine.limits.ctas_per_sm(kernel.footprint) > 0
    return fits and (places - held) * kernel.cluster >= kernel.ctas
