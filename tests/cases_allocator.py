"""Cases of the caching allocator: which block a tensor gets, and what may still use it."""

from dataclasses import replace
from typing import Any

from eplb_model.scenario import Scenario, Try
from tests.cases import TINY, Body, case, kernel, launch, op, put, rank, scenario, spinner


def alloc(tensor: str, stream: str = "a") -> Any:
    return op("alloc", tensor, stream)


def drop(tensor: str) -> Any:
    return op("drop", tensor)


def record(tensor: str, stream: str = "b") -> Any:
    return op("record_stream", tensor, stream)


def writes(tensor: str, stream: str, name: str = "k") -> Any:
    return launch(name, stream, writes=(tensor,))


def one(*bodies: Body, **others: Any) -> Scenario:
    return scenario(rank(*bodies), kernels=[kernel("k"), spinner(1)], **others)


# --- which block ---------------------------------------------------------------------------------


@case("11 states: 1 ok, 1 race")
def a1_a_dropped_block_is_handed_out_again() -> Scenario:
    """Its first tensor is still written by stream b."""
    return one([alloc("x1"), writes("x1", "b"), drop("x1"), alloc("x2"), writes("x2", "a")])


@case("10 states: 1 ok")
def a1_a_live_tensor_keeps_its_block() -> Scenario:
    return one([alloc("x1"), writes("x1", "b"), alloc("x2"), writes("x2", "a")])


@case("12 states: 1 ok")
def a1_a_block_stays_with_the_stream_it_was_allocated_on() -> Scenario:
    return one(
        [alloc("x1", "a"), writes("x1", "b"), drop("x1"), alloc("x2", "b"), writes("x2", "a")]
    )


@case("11 states: 1 ok")
def a1_work_of_the_stream_that_allocates_is_in_order() -> Scenario:
    return one([alloc("x1"), writes("x1", "a"), drop("x1"), alloc("x2"), writes("x2", "a")])


@case("14 states: 1 ok, 1 race")
def a1_the_lowest_free_block_goes_first() -> Scenario:
    """Of two: the one that stream b still writes."""
    return one(
        [alloc("x1"), alloc("x2"), writes("x1", "b"), drop("x2"), drop("x1"), alloc("x3"),
         writes("x3", "a")]
    )  # fmt: skip


@case("8 states: 1 deadlock 0.b")
def a5_work_in_a_stream_keeps_the_block_of_its_call() -> Scenario:
    """The name stands for another block when the copy runs: no race."""
    return one(
        [launch("spinner", "b"), alloc("x1", "b"), op("copy", "h2d", "b", writes=("x1",)),
         drop("x1"), alloc("x1", "a"), writes("x1", "a")]
    )  # fmt: skip


@case("9 states: 1 ok, 1 race")
def a5_the_host_uses_the_block_that_the_tensor_has_then() -> Scenario:
    return one([alloc("x1"), writes("x1", "b"), drop("x1"), alloc("x2"),
                op("access", reads=("x2",))])  # fmt: skip


# --- recorded streams ----------------------------------------------------------------------------


RECORDED = [alloc("x1"), writes("x1", "b"), record("x1"), drop("x1")]


@case("17 states: 2 ok")
def a2_a_recorded_stream_keeps_the_block_until_its_work_is_done() -> Scenario:
    """Then the block is handed out again; before, there is a new one."""
    return one([*RECORDED, alloc("x2"), writes("x2", "a")])


@case("14 states: 1 race")
def a2_what_the_stream_gets_after_the_drop_does_not_count() -> Scenario:
    """Stream b spins for ever, put there after the drop; the block is free, as its user on c sees.

    c was not recorded.
    """
    before = [alloc("x1"), writes("x1", "c", "spinner"), launch("k", "b"), record("x1"), drop("x1")]
    after = [launch("spinner", "b"), op("await_complete", "k"), alloc("x2"), writes("x2", "a")]
    return scenario(
        rank([*before, *after], streams=("a", "b", "c")), kernels=[kernel("k"), spinner(1)]
    )


@case("13 states: 1 ok, 1 race")
def a2_a_stream_that_was_not_recorded_is_not_waited_for() -> Scenario:
    body = [alloc("x1"), writes("x1", "b"), record("x1", "c"), drop("x1"), alloc("x2")]
    return scenario(
        rank([*body, writes("x2", "a")], streams=("a", "b", "c")), kernels=[kernel("k")]
    )


@case("14 states: 1 ok, 1 race")
def a2_a_record_counts_for_one_drop() -> Scenario:
    """The second tensor in the block has to be recorded afresh."""
    return one(
        [alloc("x1"), record("x1"), drop("x1"), alloc("x2"), writes("x2", "b"), drop("x2"),
         alloc("x3"), writes("x3", "a")]
    )  # fmt: skip


@case("8 states: 1 race")
def a4_to_record_the_stream_that_allocated_changes_nothing() -> Scenario:
    """Stream a spins, and its block is handed out, as its user on c sees."""
    before = [launch("spinner", "a"), alloc("x1"), writes("x1", "c", "spinner"), record("x1", "a")]
    after = [drop("x1"), alloc("x2"), writes("x2", "b")]
    return scenario(
        rank([*before, *after], streams=("a", "b", "c")), kernels=[kernel("k"), spinner(1)]
    )


# --- what blocks ---------------------------------------------------------------------------------


@case("13 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def a3_a_new_block_needs_the_context_lock() -> Scenario:
    """The other thread frees, and waits for a flag that comes after the allocation."""
    return one(
        [launch("spinner"), op("set", "ready"), op("free")],
        [op("wait_flag", "ready"), alloc("x1"), op("set", "go")],
    )


@case("15 states: 1 ok")
def a3_a_free_block_needs_no_lock() -> Scenario:
    return one(
        [alloc("x1"), drop("x1"), launch("spinner"), op("set", "ready"), op("free")],
        [op("wait_flag", "ready"), alloc("x2"), op("set", "go")],
    )


def full_queue(*middle: Any) -> Scenario:
    """One thread sits in a launch into a full stream, until the other has dropped its tensor."""
    return one(
        [alloc("x1"), *middle, launch("spinner", "a"), op("set", "ready"), launch("spinner", "a")],
        [op("wait_flag", "ready"), drop("x1"), op("set", "go")],
        machine=replace(TINY, queue_depth=1),
    )


@case("16 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def g4_a_drop_records_events_and_a_launch_into_a_full_stream_holds_them_back() -> Scenario:
    return full_queue(record("x1"))


@case("15 states: 1 ok")
def a_drop_without_recorded_streams_records_no_event() -> Scenario:
    return full_queue()


# --- errors --------------------------------------------------------------------------------------


def caught(*body: Any) -> Scenario:
    """x is 1 if the body raises."""
    return one([Try(tuple(body), (put("x", 1),))])


@case("5 states: 1 ok x=1")
def a_dropped_tensor_can_not_be_used() -> Scenario:
    return caught(alloc("x1"), drop("x1"), writes("x1", "a"))


@case("5 states: 1 ok x=1")
def a_dropped_tensor_can_not_be_copied() -> Scenario:
    return caught(alloc("x1"), drop("x1"), op("copy", "d2h", "a", reads=("x1",)))


@case("5 states: 1 ok x=1")
def a_dropped_tensor_can_not_be_filled() -> Scenario:
    return caught(alloc("x1"), drop("x1"), op("memset", "a", writes=("x1",)))


@case("5 states: 1 ok x=1")
def a_dropped_tensor_can_not_be_accessed() -> Scenario:
    return caught(alloc("x1"), drop("x1"), op("access", reads=("x1",)))


@case("5 states: 1 ok x=1")
def a_tensor_is_dropped_once() -> Scenario:
    return caught(alloc("x1"), drop("x1"), drop("x1"))


@case("5 states: 1 ok x=1")
def a_dropped_tensor_can_not_be_recorded() -> Scenario:
    return caught(alloc("x1"), drop("x1"), record("x1"))


@case("4 states: 1 ok x=1")
def a_tensor_has_one_block() -> Scenario:
    return caught(alloc("x1"), alloc("x1"))
