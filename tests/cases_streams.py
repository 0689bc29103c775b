"""Cases of streams, events, queues, and of the host calls that wait for them."""

from dataclasses import replace
from typing import Any

from eplb_model.machine import Machine
from eplb_model.scenario import Scenario
from eplb_model.world import Stream
from tests.cases import TINY, case, kernel, launch, op, put, rank, scenario, spinner

# --- streams, events, queues -----------------------------------------------------------------


@case("3 states: 1 deadlock 0.a")
def g2_a_stream_is_a_fifo() -> Scenario:
    """The small kernel fits, and waits for its turn."""
    return scenario(
        rank([launch("spinner", "a"), launch("k", "a")]), kernels=[spinner(1), kernel("k")]
    )


def g6_streams(machine: Machine, last: Any) -> Scenario:
    """Stream a spins, b waits for it, then comes something on c."""
    return scenario(
        rank(
            [
                launch("spinner", "a"),
                op("record_event", "e", "a"),
                op("stream_wait_event", "b", "e"),
                last,
            ],
            streams=("a", "b", "c"),
        ),
        kernels=[spinner(1), kernel("k")],
        machine=machine,
    )


@case("6 states: 1 deadlock 0.a 0.b")
def g6_streams_of_their_own_queue_do_not_wait_for_one_another() -> Scenario:
    return g6_streams(TINY, launch("k", "c"))


@case("5 states: 1 deadlock 0.a 0.b 0.c")
def g6_a_blocked_wait_stops_what_stands_behind_it_in_its_queue() -> Scenario:
    return g6_streams(TINY.with_switch("queue_map", "together"), launch("k", "c"))


@case("5 states: 1 deadlock 0.a 0.b 0.c")
def g6_it_stops_copies_too() -> Scenario:
    together = TINY.with_switch("queue_map", "together")
    return g6_streams(together, op("copy", "h2d", "c"))


def g5a_streams(queues: int, *waiting: str) -> Scenario:
    """Stream a spins, some wait for it, then a copy comes on d."""
    waits = [op("stream_wait_event", stream, "e") for stream in waiting]
    return scenario(
        rank(
            [
                launch("spinner", "a"),
                op("record_event", "e", "a"),
                *waits,
                op("copy", "h2d", "d"),
                op("stream_synchronize", "d"),
                op("set", "go"),
            ],
            streams=("a", "b", "c", "d"),
        ),
        kernels=[spinner(1)],
        machine=replace(TINY, connections=queues),
    )


@case("7 states: 1 deadlock 0.t0 0.a 0.b 0.c 0.d")
def g5a_as_many_streams_that_wait_as_there_are_queues_stop_all_others() -> Scenario:
    return g5a_streams(2, "b", "c")


@case("12 states: 1 ok")
def g5a_one_less_stops_nobody() -> Scenario:
    return g5a_streams(2, "b")


@case("13 states: 1 ok")
def g5a_two_waits_of_one_stream_take_one_queue() -> Scenario:
    return g5a_streams(2, "b", "b")


@case("13 states: 1 ok")
def g5a_with_a_queue_for_every_stream_nobody_is_stopped() -> Scenario:
    return g5a_streams(4, "b", "c")


@case("13 states: 1 ok")
def g5a_a_wait_that_comes_later_stops_nobody() -> Scenario:
    """The copy on d is there before the second wait."""
    return scenario(
        rank(
            [
                launch("spinner", "a"),
                op("record_event", "e", "a"),
                op("copy", "h2d", "d"),
                op("stream_wait_event", "b", "e"),
                op("stream_synchronize", "d"),
                op("set", "go"),
            ],
            streams=("a", "b", "c", "d"),
        ),
        kernels=[spinner(1)],
        machine=replace(TINY, connections=1),
    )


@case("6 states: 1 deadlock 0.a")
def g35_a_wait_on_an_unrecorded_event_does_not_block() -> Scenario:
    body = [op("stream_wait_event", "b", "e"), op("event_synchronize", "e")]
    return scenario(
        rank([*body, launch("spinner", "a"), op("record_event", "e", "a")]), kernels=[spinner(1)]
    )


@case("9 states: 1 deadlock 0.c")
def g34_a_later_record_leaves_an_earlier_wait_alone() -> Scenario:
    """The wait is for the record on the idle stream a, not for the later one behind the spinner."""
    return scenario(
        rank(
            [
                op("record_event", "e", "a"),
                op("stream_wait_event", "b", "e"),
                launch("spinner", "c"),
                op("record_event", "e", "c"),
            ],
            streams=("a", "b", "c"),
        ),
        kernels=[spinner(1)],
    )


@case("13 states: 1 ok")
def an_event_orders_two_streams() -> Scenario:
    """The reader waits for the writer: no race."""
    return scenario(
        rank(
            [
                launch("k", "a", writes=("w",)),
                op("record_event", "e", "a"),
                op("stream_wait_event", "b", "e"),
                launch("k", "b", reads=("w",)),
            ]
        ),
        kernels=[kernel("k")],
    )


@case("6 states: 1 ok, 1 race")
def without_the_wait_it_is_a_race() -> Scenario:
    return scenario(
        rank([launch("k", "a", writes=("w",)), launch("k", "b", reads=("w",))]),
        kernels=[kernel("k")],
    )


@case("6 states: 1 ok x=False, 1 ok x=True")
def an_event_query_says_whether_the_record_is_done() -> Scenario:
    body = [op("record_event", "e", "a"), op("event_query", "e", "x")]
    return scenario(rank(body))


@case("45 states: 1 deadlock 0.a 1.t0 1.a 2.t0 2.a")
def a_synchronisation_waits_for_what_the_stream_held() -> Scenario:
    """The other stream is none of its business; its own kernel keeps it for ever."""
    return scenario(
        rank([launch("spinner", "a"), op("stream_synchronize", "b"), put("x", 1)]),
        rank([launch("spinner", "a"), op("stream_synchronize", "a"), put("x", 1)]),
        rank([launch("spinner", "a"), op("device_synchronize"), put("x", 1)]),
        kernels=[spinner(1)],
    )


@case("3 states: 1 deadlock 0.a 0.b")
def g9_the_legacy_stream_waits_for_blocking_streams() -> Scenario:
    return scenario(
        rank(
            [launch("spinner", "a"), launch("k", "b")],
            streams=(Stream("a", kind="blocking"), Stream("b", kind="legacy")),
        ),
        kernels=[spinner(1), kernel("k")],
    )


@case("4 states: 1 deadlock 0.a")
def g9_the_legacy_stream_does_not_wait_for_nonblocking_streams() -> Scenario:
    return scenario(
        rank(
            [launch("spinner", "a"), launch("k", "b")],
            streams=(Stream("a"), Stream("b", kind="legacy")),
        ),
        kernels=[spinner(1), kernel("k")],
    )


# --- host calls that wait, and their locks ---------------------------------------------------


@case("6 states: 1 deadlock 0.t0 0.a")
def g3_a_stream_takes_four_launches_and_the_fifth_call_waits() -> Scenario:
    return scenario(rank([launch("spinner")] * 5), kernels=[spinner(1)])


@case("5 states: 1 deadlock 0.a")
def g3_the_limit_is_four() -> Scenario:
    return scenario(rank([launch("spinner")] * 4), kernels=[spinner(1)])


@case("3 states: 1 deadlock 0.t0 0.a")
def a_copy_within_the_device_needs_room_in_its_stream() -> Scenario:
    return scenario(
        rank([launch("spinner"), op("copy", "d2d", "a")]),
        kernels=[spinner(1)],
        machine=replace(TINY, queue_depth=1),
    )


@case("37 states: 1 deadlock 0.t0 0.a, 1 deadlock 0.t0 0.t1 0.a")
def g4_a_launch_into_a_full_stream_keeps_events_from_being_made() -> Scenario:
    """But not a launch on another stream."""
    return scenario(
        rank(
            [launch("spinner", "a"), launch("spinner", "a"), put("x", 0)],
            [op("record_event", "e", "b")],
            [launch("k", "b")],
        ),
        kernels=[spinner(1), kernel("k")],
        machine=replace(TINY, queue_depth=1),
    )


@case("14 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g4_a_launch_into_a_full_stream_keeps_memory_from_being_made() -> Scenario:
    return scenario(
        rank(
            [launch("spinner", "a"), op("set", "ready"), launch("spinner", "a")],
            [op("wait_flag", "ready"), op("malloc"), op("set", "go")],
        ),
        kernels=[spinner(1)],
        machine=replace(TINY, queue_depth=1),
    )


@case("37 states: 1 ok")
def g4_an_event_that_is_there_is_recorded_during_a_launch_into_a_full_stream() -> Scenario:
    return scenario(
        rank(
            [
                op("record_event", "e", "b"),
                launch("spinner", "a"),
                op("set", "ready"),
                launch("spinner", "a"),
            ],
            [op("wait_flag", "ready"), op("record_event", "e", "b"), op("set", "go")],
        ),
        kernels=[spinner(1)],
        machine=replace(TINY, queue_depth=1),
    )


@case("32 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g44a_a_free_that_waits_holds_back_event_records() -> Scenario:
    return scenario(
        rank(
            [
                op("record_event", "e", "b"),
                launch("spinner"),
                op("set", "ready"),
                op("free"),
            ],
            [op("wait_flag", "ready"), op("record_event", "e", "b"), op("set", "go")],
        ),
        kernels=[spinner(1)],
    )


@case("19 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g44a_a_free_that_waits_holds_back_the_first_record_of_an_event() -> Scenario:
    return scenario(
        rank(
            [launch("spinner"), op("set", "ready"), op("free")],
            [op("wait_flag", "ready"), op("record_event", "e", "b"), op("set", "go")],
        ),
        kernels=[spinner(1)],
    )


@case("19 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g44_free_holds_the_context_lock_while_it_waits() -> Scenario:
    """The other thread launches first, or never; free waits for the flag that it would set."""
    return scenario(
        rank(
            [launch("spinner"), op("set", "ready"), op("free")],
            [op("wait_flag", "ready"), launch("k", "b"), op("set", "go")],
        ),
        kernels=[spinner(1), kernel("k")],
    )


@case("23 states: 1 ok")
def a_synchronisation_holds_no_lock() -> Scenario:
    return scenario(
        rank(
            [launch("spinner"), op("set", "ready"), op("device_synchronize")],
            [op("wait_flag", "ready"), launch("k", "b"), op("set", "go")],
        ),
        kernels=[spinner(1), kernel("k")],
    )


@case("12 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g45_a_synchronisation_that_keeps_the_gil_stops_the_other_threads() -> Scenario:
    return scenario(
        rank([launch("spinner"), op("stream_synchronize", "a", gil=True)], [op("set", "go")]),
        kernels=[spinner(1)],
    )


@case("3 states: 1 deadlock 0.t0 0.a")
def g40_the_first_use_of_a_module_waits_for_the_device() -> Scenario:
    return scenario(
        rank([launch("spinner", "a"), launch("k", "b"), op("set", "go")]),
        kernels=[spinner(1), kernel("k", module="m")],
    )


@case("11 states: 1 ok")
def a_module_that_was_loaded_before_does_not() -> Scenario:
    return scenario(
        rank([op("load", "m"), launch("spinner", "a"), launch("k", "b"), op("set", "go")]),
        kernels=[spinner(1), kernel("k", module="m")],
    )


@case("3 states: 1 deadlock 0.t0 0.a")
def a_pageable_copy_to_the_host_waits_for_its_stream() -> Scenario:
    return scenario(
        rank([launch("spinner"), op("copy", "d2h", "a", "pageable"), op("set", "go")]),
        kernels=[spinner(1)],
    )
