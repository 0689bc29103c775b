"""What a GPU does by itself, at once: pass what is satisfied, take in kernels, place CTAs.

Rules (specs/semantics.md#distributor; G5a, G6, G10-G17c):
- Work at the head of a stream is *ready* unless unsatisfied waits of other streams stand before it
  in the same hardware queue: one where the map is fixed, one for each queue where streams take
  queues as they need them.  Waits that are satisfied are passed, kernels that are ready arrive.
- Kernels are served in order of arrival, the more urgent priority first; nobody overtakes a gang
  that arrived earlier (G12, G14, G17a).
- Where everything fits at once (`World.roomy`) seats are counted and have no numbers.
- A gang takes all its seats or none and, while it waits, bars every later kernel.
- A regular kernel that waits keeps, from the regular kernels served after it, every group in which
  one of its clusters could be (G17, G17c); a gang passes it (G17b).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from eplb_model.outcome import Actor, Clauses
from eplb_model.placement import Occupants, holders_slots, most_in_one_group, seats
from eplb_model.state import Device, Run, State
from eplb_model.world import Kernel


def flow(state: State, rank: int) -> State:
    """Let everything happen on one GPU that happens at once."""
    state, placed = _pass_satisfied(state, rank), None
    if state.world.machine.switches.distributor == "arrival":
        for stream in state.world.streams_of(rank):
            if can_arrive(state, stream):
                state, placed = _take_in(state, stream)
    return _place(state, rank) if placed is None else placed


def arrive(state: State, stream: Actor) -> State:
    """The kernel at the head of a stream reaches the distributor (`distributor` set to `any`)."""
    return _take_in(state, stream)[1]


def can_arrive(state: State, stream: Actor) -> bool:
    """Whether the head of a stream is a ready kernel that the distributor has not got yet."""
    head = state.head(stream)
    return (
        head is not None
        and head.work.kernel is not None
        and state.run_of(stream) is None
        and is_ready(state, stream)
    )


def is_ready(state: State, stream: Actor) -> bool:
    """Whether no unsatisfied waits of other streams keep the head in its hardware queue (G6)."""
    return not shadowed_by(state, stream)


def shadowed_by(state: State, stream: Actor) -> tuple[Actor, ...]:
    """The streams whose unsatisfied waits keep this one's head back: one of them has to go on."""
    world = state.world
    waiting: dict[int, None] = {}
    for item in state.devices[stream.rank].queues[world.connections[stream.slot]]:
        if item.stream == stream.slot:
            break
        if item.work.holds_queue:
            waiting[item.stream] = None
            if len(waiting) == world.waits_that_hold[stream.slot]:
                return tuple(world.streams[slot] for slot in waiting)
    return ()


def resident(state: State, run: Run, rank: int) -> bytes:
    """The seats of a kernel's CTAs that have started and not ended."""
    if not any(run.ended):
        return run.seats
    classes = state.world.classes(kernel_of(state, run).name, rank)
    gone = {
        position
        for members, count in zip(classes, run.ended, strict=True)
        for position in members[:count]
    }
    return bytes(seat for position, seat in enumerate(run.seats) if position not in gone)


def kernel_of(state: State, run: Run) -> Kernel:
    """The kernel that a run is a launch of."""
    head = state.head(state.world.streams[run.stream])
    name = None if head is None else head.work.kernel
    assert name is not None, "[model bug] a run without its kernel"
    return state.world.kernels[name]


def occupants(state: State, rank: int, without: frozenset[int] = frozenset()) -> Occupants:
    """Who sits where on a GPU, in order of arrival; the streams in `without` are left out."""
    return tuple(
        (kernel_of(state, run).footprint, held)
        for run in state.devices[rank].arrived
        if run.stream not in without and (held := resident(state, run, rank))
    )


def _pass_satisfied(state: State, rank: int) -> State:
    moved = True
    while moved:
        moved = False
        for stream in state.world.streams_of(rank):
            head = state.head(stream)
            if (
                head is not None
                and head.work.automatic
                and is_ready(state, stream)
                and head.work.guard(state, stream, None) is None
            ):
                state = head.work.effect(state, stream, None)
                moved = True
    return state


def _take_in(state: State, stream: Actor) -> tuple[State, State]:
    """A kernel arrives: the state before and after what is there then is placed."""
    head = state.head(stream)
    name = None if head is None else head.work.kernel
    assert name is not None, "[model bug] nothing to take in"
    classes = state.world.classes(name, stream.rank)
    device = state.devices[stream.rank]
    run = Run(stream.slot, b"", (0,) * len(classes))
    arrived = (*device.arrived, run)
    state = state.with_device(stream.rank, Device(device.queues, arrived, *device[2:]))
    placed = _place(state, stream.rank)
    if len(device.arrived) and not state.waited and _waits(placed, stream):
        return state._replace(waited=True), placed._replace(waited=True)
    return state, placed


def _waits(state: State, stream: Actor) -> bool:
    run = state.run_of(stream)
    return run is not None and len(run.seats) < kernel_of(state, run).ctas


class _Candidate(NamedTuple):
    order: int  # of arrival
    run: Run
    kernel: Kernel
    priority: int


def _place(state: State, rank: int) -> State:
    """Give seats to whoever may have them, in the order of service."""
    if state.world.machine.switches.slip_in == "off":
        return _serve_once(state, rank, one_cluster_each=False)
    while True:
        served = _serve_once(state, rank, one_cluster_each=True)
        if served is state:
            return state
        state = served


def _serve_once(state: State, rank: int, one_cluster_each: bool) -> State:
    """Go through the waiting kernels once; who got nothing, and still waits, may bar others."""
    stuck: list[_Candidate] = []
    for each in _in_order_of_service(state, rank):
        before = state
        if not any(_bars(state, other, each) for other in stuck):
            below = _below(_keepers(state, stuck, each))
            state = _seat(state, rank, each, one_cluster_each, below)
        run = _still_there(state, each.run)
        if len(run.seats) < each.kernel.ctas and (state is before or not one_cluster_each):
            stuck.append(each._replace(run=run))
    return state


def _still_there(state: State, run: Run) -> Run:
    found = state.run_of(state.world.streams[run.stream])
    assert found is not None, "[model bug] a kernel vanished while it was placed"
    return found


def _seat(state: State, rank: int, each: _Candidate, one_cluster: bool, below: int | None) -> State:
    kernel, run = each.kernel, each.run
    wanted = kernel.ctas - len(run.seats)
    if state.world.roomy[rank]:
        return state.with_run(rank, Run(run.stream, run.seats + bytes(wanted), run.ended))
    if one_cluster and not kernel.gang:
        wanted = min(wanted, kernel.cluster)
    more = seats(
        state.world.machine,
        occupants(state, rank),
        kernel.footprint,
        kernel.cluster,
        wanted,
        kernel.gang,
        below,
    )
    return state.with_run(rank, Run(run.stream, run.seats + more, run.ended)) if more else state


def _in_order_of_service(state: State, rank: int) -> Iterator[_Candidate]:
    """Waiting kernels: by arrival up to the first gang, the most urgent of these first."""
    left = _waiting(state, rank)
    while len(left) > 1:
        gang = next((i for i, each in enumerate(left) if each.kernel.gang), len(left) - 1)
        first = min(left[: gang + 1], key=lambda each: (each.priority, each.order))
        left.remove(first)
        yield first
    yield from left


def _waiting(state: State, rank: int) -> list[_Candidate]:
    world = state.world
    strict = world.machine.switches.priority == "strict"
    return [
        _Candidate(order, run, kernel, world.stream_specs[run.stream].priority * strict)
        for order, run in enumerate(state.devices[rank].arrived)
        if len(run.seats) < (kernel := kernel_of(state, run)).ctas
    ]


def _bars(state: State, waiting: _Candidate, other: _Candidate) -> bool:
    """Whether a kernel that waits for SMs keeps another one, served after it, from all of them."""
    later = waiting.order < other.order
    if waiting.kernel.gang:
        return later
    in_clusters = waiting.kernel.cluster > 1  # a gang passes one without (G17b)
    blocks_gangs = state.world.machine.switches.clustered_waiter_blocks_gangs == "on"
    return later and in_clusters and other.kernel.gang and blocks_gangs


def _keepers(
    state: State, waiting: Sequence[_Candidate], other: _Candidate
) -> tuple[_Candidate, ...]:
    """The waiting regular kernels that keep SMs from another one, served after them (G17c)."""
    if other.kernel.gang:
        return ()
    always = state.world.machine.switches.empty_waiter_blocks == "on"
    return tuple(each for each in waiting if not each.kernel.gang and (always or each.run.seats))


def _below(keepers: Sequence[_Candidate]) -> int | None:
    """They keep every group in which one of their clusters could be; smaller ones are free."""
    return min((each.kernel.cluster for each in keepers), default=None)


def why_not_placed(state: State, stream: Actor) -> tuple[str, Clauses]:
    """Why the kernel at the head of a stream has CTAs without seats, and who could free it."""
    world, rank = state.world, stream.rank
    ahead: list[_Candidate] = []
    for each in _in_order_of_service(state, rank):
        if each.run.stream == stream.slot:
            for other in ahead:
                if _bars(state, other, each):
                    return _behind(world.streams[other.run.stream], other.kernel)
            keepers = _keepers(state, ahead, each)
            for other in keepers:
                if other.kernel.cluster <= min(world.machine.groups):
                    return _behind(world.streams[other.run.stream], other.kernel)
            return _no_room(state, stream, each, keepers)
        ahead.append(each)
    raise AssertionError(f"[model bug] {stream} does not wait for SMs")


def _behind(stream: Actor, kernel: Kernel) -> tuple[str, Clauses]:
    what = "gang" if kernel.gang else "partly placed kernel"
    return f"stands behind the waiting {what} {kernel.name} of {stream}", ((stream,),)


def _no_room(
    state: State, stream: Actor, each: _Candidate, keepers: tuple[_Candidate, ...]
) -> tuple[str, Clauses]:
    kernel, machine = each.kernel, state.world.machine
    there = occupants(state, stream.rank)
    if kernel.gang:
        free = holders_slots(machine, there, kernel.footprint)
        need = f"needs {kernel.ctas} slots at once, {free} are free"
    elif kernel.cluster > 1:
        most = most_in_one_group(machine, there, kernel.footprint)
        need = f"needs {kernel.cluster} free SMs in one GPC at once, the most in one is {most}"
    else:
        need = f"needs a free slot for CTA {len(each.run.seats)} of {kernel.ctas}"
    if kernel.gang and kernel.cluster > 1:
        need += f" (in clusters of {kernel.cluster})"
    below, kept_for = _below(keepers), [state.world.streams[k.run.stream] for k in keepers]
    if below is not None:
        names = ", ".join(f"{other.kernel.name}" for other in keepers)
        need += f" in a group of fewer than {below} SMs, the others are kept for {names}"
    holders = _holders(state, stream)
    held = ", ".join(
        f"{kernel_of(state, run).name} holds {len(resident(state, run, stream.rank))}"
        for run in holders
    )
    blocking = _blocking_sets(state, stream, each, holders, below)
    clauses = tuple((*clause, *(k for k in kept_for if k not in clause)) for clause in blocking)
    return f"{need}; {held}" if held else need, clauses


def _holders(state: State, stream: Actor) -> list[Run]:
    return [
        run
        for run in state.devices[stream.rank].arrived
        if run.stream != stream.slot and resident(state, run, stream.rank)
    ]


def _blocking_sets(
    state: State, stream: Actor, each: _Candidate, holders: list[Run], below: int | None
) -> Clauses:
    """The smallest sets of holders that keep the kernel out even if all others leave.

    One member of each has to leave: a conjunction of alternatives, exact because room only grows
    when somebody leaves.
    """
    streams = state.world.streams
    everyone = frozenset(run.stream for run in holders)
    found: list[frozenset[int]] = []
    for size in range(len(holders) + 1):
        for chosen in map(frozenset, combinations(sorted(everyone), size)):
            if any(smaller <= chosen for smaller in found):
                continue
            there = occupants(state, stream.rank, without=everyone - chosen)
            kernel = each.kernel
            wanted = kernel.ctas if kernel.gang else kernel.cluster
            machine, footprint = state.world.machine, kernel.footprint
            if not seats(machine, there, footprint, kernel.cluster, wanted, kernel.gang, below):
                found.append(chosen)
    return tuple(tuple(streams[index] for index in sorted(each_set)) for each_set in found)
