"""Kernels on the device: when CTAs end, whom they have to meet, when a launch counts as complete.

Rules (specs/semantics.md#run-kernel; G32, N2, N3, N8, E9-E11):
- A CTA needs a seat first; it ends some time after its meeting is possible.
- Meetings only become possible, never impossible again: a peer counts as there once it has
  started, also after it has ended.
- The n-th launch of a kernel on one rank meets the n-th launch on the others.
- Kernels that end `together` let go of all their seats in one step, those of channels of all that
  can end; the others CTA by CTA, of interchangeable CTAs the one that started first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import tee
from typing import ClassVar

from eplb_model.distributor import arrive, why_not_placed
from eplb_model.ops.meetings import Meeting, offsets, partners
from eplb_model.ops.moves import Move, Moves, PeerVariable, moved
from eplb_model.ops.registry import StreamStep, stream_operation
from eplb_model.ops.tensors import Buffer
from eplb_model.ops.thread_state import group_of
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import Count, Run, State, once, put
from eplb_model.world import Kernel, Meets, Offer, World

MANY = 16  # ranks; among more, who is absent is looked for together, for all of them


@stream_operation
@dataclass(frozen=True, slots=True)
class RunKernel(StreamStep):
    """Stream: CTAs of a kernel end, or the kernel reaches the distributor.

    specs/semantics.md#run-kernel
    """

    kind: ClassVar[str] = "run_kernel"
    runs: str
    number: int = 0
    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()
    moves: Moves = ()

    @property
    def kernel(self) -> str | None:
        return self.runs

    def choices(self, state: State, me: Actor) -> tuple[int | None, ...]:  # type: ignore[override]  # narrower than object
        run = state.run_of(me)
        if run is None or not run.seats or len(run.ended) == 1:
            return (None,)
        if _leaves_as_one(state.world.kernels[self.runs]):
            return (None,)
        classes = state.world.classes(self.runs, me.rank)
        return tuple(c for c, members in enumerate(classes) if run.ended[c] < len(members))

    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:
        run = state.run_of(me)
        if run is None:
            return None  # it reaches the distributor
        kernel = state.world.kernels[self.runs]
        if not _has_seats(state, me, kernel, run, choice):
            return Wait(lambda: why_not_placed(state, me))
        if kernel.until is not None and not state.read(me.rank, kernel.until):
            return Wait(lambda: _spins(state, me.rank, kernel))
        absent = next(_absent(state, me.rank, self, kernel, run, choice), None)
        if absent is None:
            return None
        return Wait(lambda: _why_absent(state, me.rank, self, kernel, run, choice))

    def effect(self, state: State, me: Actor, choice: int | None) -> State:
        run = state.run_of(me)
        if run is None:
            return arrive(state, me)
        kernel = state.world.kernels[self.runs]
        if _leaves_as_one(kernel):
            classes = state.world.classes(self.runs, me.rank)
            started = len(run.seats)
            ended = tuple(sum(1 for p in members if p < started) for members in classes)
        else:
            ended = _one_more(run, choice)
            while kernel.ends == "together" and _may_end(
                state, me, self, kernel, run, ended, choice
            ):
                ended = _one_more(Run(run.stream, run.seats, ended), choice)
        if sum(ended) == kernel.ctas:
            return _complete(state, me, self)
        return state.with_run(me.rank, Run(run.stream, run.seats, ended))


def completed(state: State, rank: int, kernel: str, number: int) -> bool:
    """Whether the n-th launch on a rank has ended."""
    return bool(state.count_of(rank, kernel).completed >> number & 1)


def started(state: State, rank: int, kernel: str, number: int, position: int) -> bool:
    """Whether the CTA at this position in start order of the n-th launch has ever been resident."""
    if completed(state, rank, kernel, number):
        return True
    run = _find(state, rank, kernel, number)
    return run is not None and len(run.seats) > position


def fully_started(state: State, rank: int, kernel: str, number: int) -> bool:
    """Whether all CTAs of the n-th launch have been resident: its started-counter is full."""
    return started(state, rank, kernel, number, state.world.kernels[kernel].ctas - 1)


def who_may(state: State, rank: int, offer: Offer) -> tuple[Actor, ...]:
    """The running threads of a rank whose remaining text may bring something about.

    For a thread that has not been started these are the ones that may start it.
    """
    offers = state.world.reachable_offers
    wanted, asked, found = [offer], {offer}, set()
    while wanted:
        sought = wanted.pop()
        for actor in state.world.threads_of(rank):
            thread = state.threads[actor.slot]
            if thread.status == "ended" or sought not in offers[actor.slot][thread.pc]:
                continue
            if thread.status == "running":
                found.add(actor)
            elif (start := ("start", actor.name)) not in asked:
                asked.add(start)
                wanted.append(start)
    return tuple(sorted(found))


def too_late(state: State, rank: int, offer: Offer) -> str:
    """The threads that could have brought something about, had they not ended early; or nothing."""
    offers = state.world.reachable_offers
    ended = [
        f"{actor}, which could have, has ended ({thread.failure.text})"
        for actor in state.world.threads_of(rank)
        if (thread := state.threads[actor.slot]).failure is not None
        and offer in offers[actor.slot][thread.pc]
    ]
    return "".join(f"; {each}" for each in ended)


def _find(state: State, rank: int, kernel: str, number: int) -> Run | None:
    for run in state.devices[rank].arrived:
        head = state.head(state.world.streams[run.stream])
        work = None if head is None else head.work
        if isinstance(work, RunKernel) and (work.runs, work.number) == (kernel, number):
            return run
    return None


def _leaves_as_one(kernel: Kernel) -> bool:
    """Whether all CTAs leave in one step; those of channels only with those that can end too."""
    by_channel = kernel.meets is not None and kernel.meets.grain == "channel"
    return kernel.ends == "together" and not by_channel


def _one_more(run: Run, choice: int | None) -> tuple[int, ...]:
    return put(run.ended, choice or 0, run.ended[choice or 0] + 1)


def _may_end(
    state: State,
    me: Actor,
    work: RunKernel,
    kernel: Kernel,
    run: Run,
    ended: tuple[int, ...],
    choice: int | None,
) -> bool:
    """Whether the next CTA of the class could end as well, after those that have ended."""
    later = Run(run.stream, run.seats, ended)
    members = state.world.classes(kernel.name, me.rank)[choice or 0]
    return (
        ended[choice or 0] < len(members)
        and _has_seats(state, me, kernel, later, choice)
        and next(_absent(state, me.rank, work, kernel, later, choice), None) is None
    )


def _has_seats(state: State, me: Actor, kernel: Kernel, run: Run, choice: int | None) -> bool:
    """Whether the CTAs that this step would end are resident."""
    held = len(run.seats)
    if held < _needed(state, me, kernel):
        return False
    if _leaves_as_one(kernel):
        return held > sum(run.ended)
    members = state.world.classes(kernel.name, me.rank)[choice or 0]
    return members[run.ended[choice or 0]] < held


def _needed(state: State, me: Actor, kernel: Kernel) -> int:
    """How many CTAs have to have started before any may end: those that meet for the others."""
    match kernel.meets:
        case Meets(grain="grid"):
            return kernel.ctas
        case Meets(grain="first") if state.world.backwards(me.rank):
            return kernel.ctas
        case _:
            return 1


def _absent(
    state: State, rank: int, work: RunKernel, kernel: Kernel, run: Run, choice: int | None
) -> Iterator[int]:
    """The peers that are not there yet, for the CTA (or the kernel) that this step would end."""
    if kernel.meets is None:
        return
    index = _channel(state.world, rank, kernel, run, choice)
    wanted = Meeting(kernel.meets.grain, kernel.meets.kernel, work.number, index)
    ranks = len(state.world.ranks)
    met = offsets(state.world, kernel, index) if ranks > MANY else ()
    if 2 * len(met) < ranks:
        peers = partners(state.world, rank, kernel, index)
        yield from (peer for peer in peers if not is_there(state, peer, wanted))
        return
    absent = copy(once(state, wanted, lambda: tee(_all_absent(state, wanted), 1)[0]))
    yield from (peer for peer in absent if (peer - rank) % ranks in met)


def _all_absent(state: State, wanted: Meeting) -> Iterator[int]:
    """The ranks that have not done what a meeting asks; most who ask read the first ones alone."""
    everyone = range(len(state.world.ranks))
    return (rank for rank in everyone if not is_there(state, rank, wanted))


def meeting(state: State, me: Actor, choice: int | None) -> Meeting | None:
    """What the next step of a resident kernel asks of its partners; None if it meets nobody."""
    head, run = state.head(me), state.run_of(me)
    work = None if head is None else head.work
    if run is None or not isinstance(work, RunKernel):
        return None
    kernel = state.world.kernels[work.runs]
    if kernel.meets is None:
        return None
    index = _channel(state.world, me.rank, kernel, run, choice)
    return Meeting(kernel.meets.grain, kernel.meets.kernel, work.number, index)


def _channel(world: World, rank: int, kernel: Kernel, run: Run, choice: int | None) -> int:
    """The channel of the CTA that a step would end; 0 if the kernel does not meet by channel."""
    if kernel.meets is None or kernel.meets.grain != "channel":
        return 0
    position = world.classes(kernel.name, rank)[choice or 0][run.ended[choice or 0]]
    return kernel.ctas - 1 - position if world.backwards(rank) else position


def is_there(state: State, peer: int, wanted: Meeting) -> bool:
    """Whether a rank has done what a meeting asks of it; it stays so."""
    grain, kernel, number, index = wanted
    ctas = state.world.kernels[kernel].ctas
    if grain == "end":
        return completed(state, peer, kernel, number)
    if grain == "grid":
        return fully_started(state, peer, kernel, number)
    if index >= ctas:
        return False
    position = ctas - 1 - index if state.world.backwards(peer) else index
    return started(state, peer, kernel, number, position)


def _spins(state: State, rank: int, kernel: Kernel) -> tuple[str, Clauses]:
    assert kernel.until is not None
    setters = who_may(state, rank, ("flag", kernel.until))
    nobody = "" if setters else ", which nobody is left to set"
    return f"spins until the host sets {kernel.until}{nobody}", (setters,)


def _why_absent(
    state: State, rank: int, work: RunKernel, kernel: Kernel, run: Run, choice: int | None
) -> tuple[str, Clauses]:
    assert kernel.meets is not None
    clauses, places = [], []
    for peer in _absent(state, rank, work, kernel, run, choice):
        where = whereabouts(state, peer, kernel.meets.kernel, work.number)
        clauses.append(where)
        places.append(f"rank {peer}" if where else f"rank {peer}, which will not launch it")
    held = len(run.seats) - sum(run.ended)
    what = {
        "channel": f"channel by channel it waits for {kernel.meets.kernel} on",
        "first": f"waits for CTA 0 of {kernel.meets.kernel} on",
        "grid": f"waits for the whole grid of {kernel.meets.kernel} on",
        "end": f"waits for the end of {kernel.meets.kernel} on",
    }[kernel.meets.grain]
    slots = f"{held} SM slot{'' if held == 1 else 's'}"
    return f"holds {slots}; {what} {', '.join(places)}", tuple(clauses)


def whereabouts(state: State, rank: int, kernel: str, number: int) -> tuple[Actor, ...]:
    """Who has to move for a launch to show up: its stream, or the threads that may launch it."""
    for queue in state.devices[rank].queues:
        for item in queue:
            work = item.work
            if isinstance(work, RunKernel) and (work.runs, work.number) == (kernel, number):
                return (state.world.streams[item.stream],)
    keepers = _keepers(state, rank, kernel)
    return tuple(sorted({*keepers, *who_may(state, rank, ("launch", kernel))}))


def _keepers(state: State, rank: int, kernel: str) -> Iterator[Actor]:
    """The threads that keep a launch of a kernel in an open group and may end that group."""
    for thread in set(state.world.threads_of(rank)) & set(who_may(state, rank, ("group_end", ""))):
        if any(each.kernel == kernel for each in group_of(state, thread).kept):
            yield thread


def _complete(state: State, me: Actor, work: RunKernel) -> State:
    state = moved(_handed_over(state, me, work), me, work.moves)
    device = state.devices[me.rank]
    arrived = tuple(run for run in device.arrived if run.stream != me.slot)
    state = state.with_device(me.rank, device._replace(arrived=arrived)).pop(me)
    if work.runs not in state.world.counted:
        return state
    count = state.count_of(me.rank, work.runs)
    state = state.with_count(
        me.rank, work.runs, count._replace(completed=count.completed | 1 << work.number)
    )
    return forget_meetings(state, work.runs) if state.world.cyclic else state


def _handed_over(state: State, me: Actor, work: RunKernel) -> State:
    """What running peers take from this rank has moved at the latest when this kernel ends."""
    takers = state.world.takers_from(work.runs)
    for peer in state.world.streams if takers else ():
        head = state.head(peer)
        theirs = None if head is None else head.work
        if peer.rank == me.rank or not isinstance(theirs, RunKernel):
            continue
        if theirs.runs not in takers or theirs.number != work.number:
            continue
        mine = [each for each in theirs.moves if _takes_from(each, me.rank)]
        if mine and state.run_of(peer) is not None:
            left = tuple(each for each in theirs.moves if each not in mine)
            state = _with_head(moved(state, peer, mine), peer, replace(theirs, moves=left))
    return state


def _takes_from(each: Move, rank: int) -> bool:
    return isinstance(each.source, PeerVariable) and each.source.rank == rank


def _with_head(state: State, stream: Actor, work: RunKernel) -> State:
    device = state.devices[stream.rank]
    connection = state.world.connections[stream.slot]
    queue = device.queues[connection]
    at = next(i for i, item in enumerate(queue) if item.stream == stream.slot)
    queue = put(queue, at, queue[at]._replace(work=work))
    return state.with_device(
        stream.rank, device._replace(queues=put(device.queues, connection, queue))
    )


def forget_meetings(state: State, kernel: str) -> State:
    """Where programs loop: take launch numbers down once every rank has passed the first one.

    Not those of a kernel of which some thread names the n-th launch.
    """
    everyone = range(len(state.world.ranks))
    family = _family(state.world.kernels.values(), kernel)
    if family & state.world.awaited:
        return state
    while all(state.count_of(rank, name).completed & 1 for rank in everyone for name in family):
        for rank in everyone:
            for name in sorted(family):
                count = state.count_of(rank, name)
                state = state.with_count(
                    rank, name, Count(count.launched - 1, count.completed >> 1)
                )
            state = _renumber(state, rank, family)
    return state


def _family(kernels: Collection[Kernel], name: str) -> frozenset[str]:
    """The kernels whose launches pair by number with those of a kernel, directly or not."""
    pairs = [{k.name, k.meets.kernel} for k in kernels if k.meets]
    family = {name}
    for _ in pairs:
        family.update(*(pair for pair in pairs if pair & family))
    return frozenset(family)


def _renumber(state: State, rank: int, family: frozenset[str]) -> State:
    device = state.devices[rank]
    queues = tuple(
        tuple(
            item._replace(work=replace(item.work, number=item.work.number - 1))
            if isinstance(item.work, RunKernel) and item.work.runs in family
            else item
            for item in queue
        )
        for queue in device.queues
    )
    return state.with_device(rank, device._replace(queues=queues))
