"""`CpuGpuEvent`: its contract, and every row of the table of misuse that needs no GPU.

b1..b4 and a1..a4 are its steps.  Threads are held by gates in them.
"""

import pickle
import threading

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.events import CpuGpuEvent
from eplb_real.streams import HostEvent
from tests.real.fakes import (
    DEADLINE,
    Events,
    Gate,
    GatedFlag,
    LoggedEvent,
    QueuedEvent,
    QueuedStream,
    ended,
    started,
)

NOT_CONSUMED = "the record before has not been consumed"
on_cpu = pytest.mark.skipif(torch.accelerator.is_available(), reason="for a machine without GPU")


def is_up(event):
    """Whether a record is there; consumes nothing."""
    return event._flag.is_set()


# --- the contract ----------------------------------------------------------------------------


def test_each_record_makes_a_fresh_event_and_each_wait_acts_on_the_one_recorded():
    events = Events()
    event = CpuGpuEvent(event_factory=events)

    for _ in range(3):
        event.record("compute")
        event.wait("side")

    assert events.calls == [[("record", "compute"), ("wait", "side")]] * 3
    assert not is_up(event)


def test_without_a_stream_the_device_event_is_left_to_take_the_current_one():
    events = Events()
    event = CpuGpuEvent(event_factory=events)

    event.record()
    event.wait()

    assert events.calls == [[("record",), ("wait",)]]


def test_a_wait_before_the_record_blocks_the_host_until_it():
    flag = GatedFlag()
    event = CpuGpuEvent(event_factory=Events(), flag_factory=lambda: flag)
    consumer, outcome = started("consumer", event.wait)
    assert flag.waiting.wait(DEADLINE)
    assert outcome == []

    event.record()

    assert ended(consumer)
    assert outcome == [None]


def test_two_threads_hand_over_eight_rounds_in_order():
    there, back = (CpuGpuEvent(event_factory=HostEvent, debug=True) for _ in range(2))
    seen = []

    def consume():
        for number in range(8):
            there.wait()
            seen.append(number)
            back.record()

    consumer, outcome = started("consumer", consume)
    for number in range(8):
        assert seen == list(range(number))
        there.record()
        back.wait(timeout=DEADLINE)

    assert ended(consumer)
    assert (outcome, seen) == ([None], list(range(8)))


def test_work_behind_the_wait_follows_work_before_the_record_on_a_delayed_stream():
    produced, consumed = QueuedStream(), QueuedStream()
    event, log = CpuGpuEvent(event_factory=QueuedEvent), []
    produced.enqueue(lambda: log.append("write"))

    event.record(produced)
    event.wait(consumed)  # the host is not held up
    consumed.enqueue(lambda: log.append("read"))
    consumed.pump()
    early = list(log)
    produced.pump()
    consumed.pump()

    assert (early, log) == ([], ["write", "read"])


def test_a_later_record_does_not_move_a_wait_that_was_made():
    produced, consumed = QueuedStream(), QueuedStream()
    event, log = CpuGpuEvent(event_factory=QueuedEvent), []
    event.record(produced)
    event.wait(consumed)
    consumed.enqueue(lambda: log.append("read"))

    produced.pump()
    event.record(produced)
    consumed.pump()

    assert log == ["read"]


def test_a_record_of_another_stream_than_the_works_loses_the_edge():
    copies, other, consumed = QueuedStream(), QueuedStream(), QueuedStream()
    event, log = CpuGpuEvent(event_factory=QueuedEvent), []
    copies.enqueue(lambda: log.append("write"))

    event.record(other)
    event.wait(consumed)
    consumed.enqueue(lambda: log.append("read"))
    for stream in (other, consumed, copies):
        stream.pump()

    assert log == ["read", "write"]


def test_a_wait_of_another_stream_than_the_works_loses_the_edge():
    copies, default, side = QueuedStream(), QueuedStream(), QueuedStream()
    event, log = CpuGpuEvent(event_factory=QueuedEvent), []
    copies.enqueue(lambda: log.append("write"))

    event.record(copies)
    event.wait(default)
    side.enqueue(lambda: log.append("read"))
    for stream in (default, side, copies):
        stream.pump()

    assert log == ["read", "write"]


# --- one producer, one consumer, at a bad moment ---------------------------------------------


def test_a_second_record_raises_and_leaves_the_first_to_be_consumed():
    events = Events()
    event = CpuGpuEvent(event_factory=events)
    event.record("compute")

    with pytest.raises(RuntimeError, match=NOT_CONSUMED):
        event.record("compute")
    event.wait("side")

    assert events.calls == [[("record", "compute"), ("wait", "side")]]


def test_a_second_wait_for_one_record_blocks():
    event = CpuGpuEvent(event_factory=Events())
    event.record()
    event.wait()

    with pytest.raises(TimeoutError):
        event.wait(timeout=0)


def test_a_record_between_a3_and_a4_raises_although_almost_consumed():
    gate = Gate()
    event = CpuGpuEvent(event_factory=Events(LoggedEvent(on_wait=gate.hold)))
    event.record()
    consumer, _ = started("consumer", event.wait)
    gate.wait_until_reached()

    with pytest.raises(RuntimeError, match=NOT_CONSUMED):
        event.record()
    gate.open()

    assert ended(consumer)
    event.record()


def test_where_a3_raises_the_flag_stays_set_and_every_later_record_raises():
    event = CpuGpuEvent(event_factory=Events(LoggedEvent(on_wait=fail)))
    event.record()

    for _ in range(2):  # trying again is of no use
        with pytest.raises(OSError, match="device lost"):
            event.wait()

    with pytest.raises(RuntimeError, match=NOT_CONSUMED):
        event.record()


def test_where_b3_raises_a_waiter_blocks_and_a_record_can_be_tried_again():
    events = Events(LoggedEvent(on_record=fail))
    event = CpuGpuEvent(event_factory=events)

    with pytest.raises(OSError, match="device lost"):
        event.record("compute")
    with pytest.raises(TimeoutError):
        event.wait(timeout=0)
    event.record("compute")
    event.wait("side")

    assert events.calls == [[], [("record", "compute"), ("wait", "side")]]


def test_a_consumer_killed_between_a1_and_a4_leaves_the_flag_set():
    event = CpuGpuEvent(event_factory=Events(LoggedEvent(on_wait=die)))
    event.record()
    consumer, _ = started("consumer", event.wait)
    assert ended(consumer)

    with pytest.raises(RuntimeError, match=NOT_CONSUMED):
        event.record()


def test_without_a_producer_a_bounded_wait_says_what_it_waited_for_and_changes_nothing():
    event = CpuGpuEvent(event_factory=Events())

    with pytest.raises(TimeoutError) as raised:
        event.wait(timeout=0)
    event.record()
    event.wait(timeout=0)

    assert str(raised.value) == (
        "wait(): no record() within 0 s; MainThread waited for the producer"
    )
    assert not is_up(event)


def test_a_flag_that_somebody_else_set_is_not_taken_for_a_record():
    flag = threading.Event()
    event = CpuGpuEvent(event_factory=Events(), flag_factory=lambda: flag)
    flag.set()

    with pytest.raises(RuntimeError, match="not by record"):
        event.wait()


# --- a third thread --------------------------------------------------------------------------


def test_two_waiters_both_return_for_one_record():
    both = threading.Barrier(2)
    meet = LoggedEvent(on_wait=lambda: both.wait(DEADLINE))
    event = CpuGpuEvent(event_factory=Events(meet))
    waiters = [started(name, event.wait) for name in ("one", "other")]

    event.record()

    assert all(ended(thread) for thread, _ in waiters)
    assert [outcome for _, outcome in waiters] == [[None], [None]]


def test_a_slow_second_waiter_erases_the_next_record():
    gate = Gate()
    holds = iter([gate.hold, lambda: None])
    first = LoggedEvent(on_wait=lambda: next(holds)())  # noqa: PLW0108 - the next at each call
    event = CpuGpuEvent(event_factory=Events(first))
    event.record()
    slow, _ = started("slow", event.wait)
    gate.wait_until_reached()
    event.wait()
    event.record()

    gate.open()

    assert ended(slow)
    assert not is_up(event)  # the second record is lost


def test_two_producers_hand_the_waiter_an_event_without_a_record_and_leave_a_stale_flag():
    before_b2, before_b3 = Gate(), Gate()
    late, quick = LoggedEvent(on_record=before_b3.hold), LoggedEvent()

    def made():
        if threading.current_thread().name != "late":
            return quick
        before_b2.hold()
        return late

    event = CpuGpuEvent(event_factory=made)
    producer, _ = started("late", event.record)
    before_b2.wait_until_reached()
    event.record()
    before_b2.open()
    before_b3.wait_until_reached()
    event.wait()
    seen = list(late.calls)
    before_b3.open()

    assert ended(producer)
    assert seen == [("wait",)]  # nothing recorded: a wait for nothing
    assert quick.calls == [("record",)]
    assert is_up(event)  # a record that nobody will wait for


def test_debug_refuses_a_third_thread_and_names_both():
    event = CpuGpuEvent(event_factory=Events(), debug=True)
    event.record()
    event.wait()

    outcomes = {}
    for side in ("record", "wait"):
        thread, outcome = started("third", getattr(event, side))
        assert ended(thread)
        outcomes[side] = str(outcome[0])

    assert outcomes == {
        side: f"{side}(): called by third, before by MainThread; "
        "expected one thread that records and one that waits"
        for side in ("record", "wait")
    }


def test_without_debug_threads_may_follow_one_another():
    event = CpuGpuEvent(event_factory=Events())
    producer, outcome = started("producer", event.record)
    assert ended(producer)
    event.wait()
    event.record()

    assert outcome == [None]


# --- the machine -----------------------------------------------------------------------------


def test_it_cannot_be_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(CpuGpuEvent(event_factory=HostEvent))


@on_cpu
def test_without_an_accelerator_it_asks_for_an_event_factory():
    with pytest.raises(RuntimeError, match=r"expected CpuGpuEvent\(event_factory=\.\.\.\)"):
        CpuGpuEvent()


@on_cpu
def test_the_cpu_event_of_torch_cannot_be_recorded_and_leaves_the_flag_clear():
    event = CpuGpuEvent(event_factory=torch.Event)

    with pytest.raises(RuntimeError):
        event.record()

    assert not is_up(event)


def fail():
    raise OSError("device lost")


def die():
    raise SystemExit
