"""The surface of the emulated device: events, streams, gates, facts of other processes, the end."""

import threading

import pytest

from eplb_model.ops import OPERATIONS
from eplb_model.world import World
from eplb_real.emulated import (
    DeviceAborted,
    EmulatedDevice,
    Fact,
    Free,
    Gated,
    Meetings,
    Misuse,
    NotAllowed,
    Turn,
    perform,
)
from eplb_real.emulated.queues import Await
from tests.real.free_run import DEADLINE, Told
from tests.small import kernel, meeting, rank, scenario


def world_of(*kernels, ranks=1, streams=("a", "b")) -> World:
    return scenario(*[rank([], streams=streams)] * ranks, kernels=kernels).world


def gated(*kernels, told=None, streams=("a", "b")) -> EmulatedDevice:
    world = world_of(*kernels, streams=streams)
    return EmulatedDevice(0, world, Meetings(world), told, Gated())


# --- gates -----------------------------------------------------------------------------------


def test_under_gates_nothing_ends_unless_it_is_granted():
    told = Told()
    device = gated(kernel("k", 2), told=told)
    device.launch("k", device.stream("a"))

    assert device.turns() == [Turn("a", None)]
    device.step("a")
    assert told.items == []
    device.step("a")
    assert told.items == [("0.a", "k")]
    assert told.starts == [("0.a", "k", 2)]


def test_a_step_that_is_not_allowed_says_why():
    device = gated(kernel("k", until="go"))
    device.launch("k", device.stream("a"))

    with pytest.raises(NotAllowed, match=r"^spins until the host sets go$"):
        device.step("a")
    with pytest.raises(NotAllowed, match=r"^has nothing to do$"):
        device.step("b")


def test_opened_gates_let_streams_go_on_by_themselves():
    world = world_of(kernel("k"))
    gates = Gated()
    with EmulatedDevice(0, world, Meetings(world), pace=gates) as device:
        device.launch("k", device.stream("a"))
        before = device.turns()

        gates.open()
        device.synchronize()

    assert before == [Turn("a", None)]


# --- events ----------------------------------------------------------------------------------


def test_g35_an_event_without_a_record_is_done_and_no_wait():
    device = gated()
    event = device.event()

    event.wait(device.stream("b"))
    event.synchronize()

    assert event.query()
    assert device.queues.items("b") == ()


def test_g34_a_later_record_leaves_an_earlier_wait_alone():
    device = gated()
    a, b = device.stream("a"), device.stream("b")
    event = a.record_event()
    event.wait(b)
    event.record(a)

    device.step("a")

    assert b.query()
    assert not event.query()


def test_a_synchronise_returns_once_the_record_fires():
    device = gated()
    event = device.stream("a").record_event()
    waiter = threading.Thread(target=event.synchronize, name="waiter")
    waiter.start()
    with device.monitor:
        assert device.monitor.wait_for(lambda: len(device.snapshot()) == 2, DEADLINE)
    standing = [str(each) for each in device.snapshot()]

    device.step("a")
    waiter.join(DEADLINE)

    assert standing == [
        "0.waiter (synchronize event): waits for what a held at the call",
        "0.a (record): may go on",
    ]
    assert not waiter.is_alive()


def test_a_stream_waits_for_all_that_another_one_holds():
    device = gated(kernel("k"))
    a, b = device.stream("a"), device.stream("b")
    device.launch("k", a)
    b.wait_stream(a)
    device.launch("k", b)

    assert device.turns() == [Turn("a", None)]
    assert [each.why for each in device.snapshot()] == ["", "waits for earlier work on a"]


def test_a_ticket_is_done_when_what_was_captured_has_left():
    device = gated(kernel("k"))
    a = device.stream("a")
    device.launch("k", a)
    tickets = [device.capture(a), device.capture(), device.capture(device.event())]
    device.launch("k", a)
    before = [ticket.done for ticket in tickets]

    device.step("a")
    for ticket in tickets:
        ticket.wait()

    assert before == [False, False, True]
    assert [ticket.done for ticket in tickets] == [True, True, True]


def test_g45_who_keeps_the_interpreter_lock_stops_every_other_thread():
    device = gated(kernel("k"))
    device.launch("k", device.stream("a"))
    kept = perform(device, "main", OPERATIONS["stream_synchronize"]("a", gil=True))
    other = device.outside("other")
    kept.step()
    kept.step()
    while_kept = (kept.blocked(), other.blocked())
    device.step("a")
    kept.step()

    assert while_kept == (
        "waits for what a held at the call",
        "needs the interpreter lock, which main holds",
    )
    assert (kept.done, other.blocked()) == (True, None)


def test_a_waiter_keeps_the_object_that_it_loaded_in_a2():
    device = gated()
    pair = device.named_pair("ready")
    first = perform(device, "producer", OPERATIONS["cpu_gpu_event_record"]("ready", "a"))
    first.finish()
    (loaded,) = device.queues.items("a")
    wait = perform(device, "consumer", OPERATIONS["cpu_gpu_event_wait"]("ready", "b"))
    wait.step()  # a1
    wait.step()  # a2
    pair.event = device.unrecorded("ready")  # as another producer's b2 does

    wait.finish()

    assert [item.work for item in device.queues.items("b")] == [Await(loaded, "ready")]


def test_each_thread_has_a_current_stream_of_its_own():
    device = gated()
    device.set_current_stream(device.stream("b"))
    seen = []
    thread = threading.Thread(target=lambda: seen.append(device.current_stream()))
    thread.start()
    thread.join(DEADLINE)

    assert device.current_stream() == device.stream("b")
    assert seen == [device.stream("a")]


# --- accesses --------------------------------------------------------------------------------


def test_two_accesses_in_progress_at_once_are_told_once():
    told = Told()
    device = gated(kernel("k"), told=told)
    device.launch("k", device.stream("a"), writes=("w",))
    device.launch("k", device.stream("b"), reads=("w",))
    device.step("a")

    assert told.overlaps == [(("0.a", "0.b"), "w")]


def test_accesses_that_an_event_orders_do_not_overlap():
    told = Told()
    device = gated(kernel("k"), told=told)
    a, b = device.stream("a"), device.stream("b")
    device.launch("k", a, writes=("w",))
    b.wait_stream(a)
    device.launch("k", b, reads=("w",))
    for stream in ("a", "a", "b"):
        device.step(stream)

    assert told.overlaps == []
    assert told.items == [("0.a", "k"), ("0.a", "record"), ("0.b", "k")]


# --- facts of other processes ----------------------------------------------------------------


def test_two_processes_meet_by_the_facts_they_tell_each_other():
    world = world_of(kernel("k", 2, meets=meeting("first", "k")), ranks=2)
    to_one: list[Fact] = []
    to_zero: list[Fact] = []
    zero = EmulatedDevice(0, world, Meetings(world, to_one.append), pace=Gated())
    one = EmulatedDevice(1, world, Meetings(world, to_zero.append), pace=Gated())
    zero.launch("k", zero.stream("a"))
    one.launch("k", one.stream("a"))
    apart = (zero.turns(), one.turns())

    for fact in (*to_one, *to_one, *reversed(to_zero)):  # twice, or in any order
        (one if fact.rank == 0 else zero).meetings.tell(fact)

    assert apart == ([], [])
    assert (zero.turns(), one.turns()) == ([Turn("a", None)], [Turn("a", None)])
    assert to_one == [Fact(0, "k", 0, "launched", 2), Fact(0, "k", 0, "started", 2)]


def test_what_is_told_is_not_published_again():
    world = world_of(kernel("k"), ranks=2)
    published: list[Fact] = []

    Meetings(world, published.append).tell(Fact(1, "k", 0, "started", 1))

    assert published == []


# --- the end ---------------------------------------------------------------------------------


def test_abort_ends_every_stream_and_every_host_call():
    before = set(threading.enumerate())
    world = world_of(kernel("k", until="go"))
    device = EmulatedDevice(0, world, Meetings(world), pace=Free())
    device.launch("k", device.stream("a"))
    errors = []

    def wait() -> None:
        try:
            device.synchronize()
        except DeviceAborted as error:
            errors.append(str(error))

    waiter = threading.Thread(target=wait, name="waiter")
    waiter.start()
    with device.monitor:
        assert device.monitor.wait_for(lambda: len(device.snapshot()) == 2, DEADLINE)
    device.abort()
    waiter.join(DEADLINE)

    assert errors == ["waiter: synchronize"]
    assert set(threading.enumerate()) == before
    with pytest.raises(DeviceAborted):
        device.malloc()


def test_fifty_devices_leave_no_thread_behind():
    before = set(threading.enumerate())
    world = world_of(kernel("k", 4))
    for seed in range(50):
        with EmulatedDevice(0, world, Meetings(world), pace=Free(seed)) as device:
            device.launch("k", device.stream("a"))
            device.launch("k", device.stream("b"))
            device.synchronize()

    assert set(threading.enumerate()) == before


def test_a_grid_that_can_never_be_resident_fails_at_the_call():
    device = gated(kernel("k", 5, launch="cooperative"))

    with pytest.raises(Misuse, match=r"^k: a grid of 5 can't be resident$"):
        device.launch("k", device.stream("a"))


def test_an_unknown_stream_is_named():
    with pytest.raises(KeyError, match="no stream 'c'; known: a, b"):
        gated().stream("c")
