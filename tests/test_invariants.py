"""What holds in every state of every generated scenario."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import assume, given

from eplb_model.ops.allocator import Blocks
from eplb_model.ops.events import Record
from eplb_model.ops.marks import Await, Event
from eplb_model.ops.two_thread_event import TwoThreadEvent
from eplb_model.outcome import Actor
from eplb_model.state import DONE, Mark, Pending, Run, State
from eplb_model.world import Kernel
from tests.generated import any_scenario, explored, kinds_of_ends, often, some_states, transitions

# --- invariants of states --------------------------------------------------------------------


def seated(state: State) -> Iterator[tuple[int, Run, Kernel]]:
    """The runs of ranks where it matters which SMs a kernel takes (the others count seats)."""
    return (each for each in runs(state) if not state.world.roomy[each[0]])


def runs(state: State) -> Iterator[tuple[int, Run, Kernel]]:
    for rank, device in enumerate(state.devices):
        for run in device.arrived:
            head = state.head(state.world.streams[run.stream])
            assert head is not None
            yield rank, run, state.world.kernels[head.work.kernel or ""]


def sms_held(rank: int, run: Run, kernel: Kernel, world) -> Counter[int]:
    """CTAs per SM, counted from the run alone: started, and not among the first of their class."""
    seats = dict(enumerate(run.seats))
    for members, ended in zip(world.classes(kernel.name, rank), run.ended, strict=True):
        for position in members[:ended]:
            del seats[position]
    return Counter(seats.values())


@often
@given(any_scenario)
def test_no_sm_holds_more_than_its_limits_allow(scenario):
    limits = scenario.machine.limits
    for state in some_states(scenario):
        held: dict[tuple[int, int], list[Kernel]] = {}
        for rank, run, kernel in seated(state):
            for sm, ctas in sms_held(rank, run, kernel, state.world).items():
                assert sm < scenario.machine.sms
                held.setdefault((rank, sm), []).extend([kernel] * ctas)
        for residents in held.values():
            prints = [kernel.footprint for kernel in residents]
            assert len(prints) <= limits.ctas
            assert sum(-(-each.threads // 32) for each in prints) <= limits.warps
            assert sum(each.registers for each in prints) <= limits.registers
            assert sum(each.shared_bytes + 1_024 for each in prints) <= limits.shared_bytes


@often
@given(any_scenario)
def test_clusters_start_whole_and_on_different_sms(scenario):
    for state in some_states(scenario):
        for _, run, kernel in seated(state):
            assert len(run.seats) % kernel.cluster == 0
            for at in range(0, len(run.seats), kernel.cluster):
                assert len(set(run.seats[at : at + kernel.cluster])) == kernel.cluster


@often
@given(any_scenario)
def test_where_everything_fits_only_the_number_of_seats_matters(scenario):
    assume(any(scenario.world.roomy))
    counted = explored(scenario)
    exact = replace(scenario)  # linked anew
    vars(exact.world)["roomy"] = (False,) * len(scenario.ranks)

    placed = explored(exact)

    assert kinds_of_ends(placed).keys() == kinds_of_ends(counted).keys()
    assert {numbers_of_seats(s) for s in placed.states} == {
        numbers_of_seats(s) for s in counted.states
    }


def numbers_of_seats(state: State) -> tuple[object, ...]:
    """The state, whatever its world, with every seat at SM 0."""
    devices = tuple(
        device._replace(
            arrived=tuple(run._replace(seats=bytes(len(run.seats))) for run in device.arrived)
        )
        for device in state.devices
    )
    return state._replace(devices=devices)[1:]


@often
@given(any_scenario)
def test_a_gang_has_all_its_seats_or_none(scenario):
    for state in some_states(scenario):
        for _, run, kernel in runs(state):
            assert not kernel.gang or len(run.seats) in (0, kernel.ctas)


@often
@given(any_scenario)
def test_nobody_who_arrived_behind_a_pending_gang_has_a_seat(scenario):
    for state in some_states(scenario):
        pending: set[int] = set()
        for rank, run, kernel in runs(state):
            assert rank not in pending or not run.seats
            if kernel.gang and not run.seats:
                pending.add(rank)


@often
@given(any_scenario)
def test_every_pending_mark_points_at_work_of_its_rank(scenario):
    for state in some_states(scenario):
        for rank, mark, of_an_event in marks_referred_to(state):
            stream = state.world.streams[mark.stream]
            work = [item.work for item in state.items(stream)]
            assert stream.rank == rank
            assert 1 <= mark.ahead <= len(work)
            assert not of_an_event or isinstance(work[mark.ahead - 1], Record)


def marks_referred_to(state: State) -> Iterator[tuple[int, Mark, bool]]:
    """The marks, not yet done, that waits, events and threads hold; which are of events."""
    marks: list[tuple[int, Mark | None, bool]] = []
    for rank, device in enumerate(state.devices):
        for queue in device.queues:
            waits = [item.work for item in queue if isinstance(item.work, Await)]
            marks += [(rank, wait.mark, bool(wait.event)) for wait in waits]
        for thread in state.world.threads_of(rank):
            local = state.threads[thread.slot].local
            if isinstance(local, Pending):
                marks += [(rank, mark, False) for mark in local.marks]
    for (rank, _), slot in state.world.slots.items():
        marks += [(rank, *held) for held in marks_in(state.memory[slot])]
    for rank, mark, of_an_event in marks:
        if mark is not None and mark != DONE:
            yield rank, mark, of_an_event


def marks_in(value: object) -> list[tuple[Mark | None, bool]]:
    match value:
        case Event(mark):
            return [(mark, True)]
        case TwoThreadEvent():
            return [(mark, True) for _, mark in value.objects]
        case Blocks(blocks):
            return [(mark, False) for block in blocks for mark in block.marks]
        case _:
            return []


@often
@given(any_scenario)
def test_a_stream_is_a_queue(scenario):
    for state, action, after in transitions(scenario):
        for stream in state.world.streams:
            before, now = (work_in(each, stream) for each in (state, after))
            passed = [n for n in range(len(before) + 1) if now[: len(before) - n] == before[n:]]
            assert passed
            if action.actor.is_stream:
                assert len(now) <= len(before)


def work_in(state: State, stream: Actor) -> list[str]:
    """What a stream holds, head first; a wait stays the same wait once its mark is done."""
    return [
        f"await {item.work.event}" if isinstance(item.work, Await) else str(item.work)
        for item in state.items(stream)
    ]


@often
@given(any_scenario)
def test_nobody_holds_a_lock_of_the_process_without_being_in_a_call(scenario):
    for state in some_states(scenario):
        for device in state.devices:
            for holder in (device.context, device.making, device.gil):
                assert holder < 0 or state.threads[holder].status == "running"
