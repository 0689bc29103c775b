"""Cases of NCCL groups, current devices and streams, and time limits."""

from dataclasses import replace
from typing import Any

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.scenario import If, RankPlan, Scenario, Statement, Try
from eplb_model.world import Kernel, Meets, Stream
from tests.cases import TINY, case, kernel, launch, op, put, rank, scenario, spinner

START, END, DROP = op("group_start"), op("group_end"), op("group_end", drop=True)
BOUNDARY = op("group_boundary")


def nccl(name: str = "n", *offsets: int, **others: Any) -> Kernel:
    """What NCCL launches: a kernel that meets channel by channel."""
    return kernel(name, meets=Meets("channel", offsets, offsets, name), **others)


def grouped(*body: Statement, **others: Any) -> Scenario:
    return scenario(rank(list(body), x=0), kernels=[nccl(), kernel("k")], **others)


# --- groups ------------------------------------------------------------------------------------


@case("5 states: 1 ok")
def a_launch_in_a_group_is_submitted_at_its_end() -> Scenario:
    return scenario(rank([START, launch("n"), END]), kernels=[nccl()])


@case("3 states: 1 deadlock 0.t0")
def what_is_kept_never_starts_before_the_end() -> Scenario:
    return grouped(START, launch("n"), op("await_resident", "n"), END)


@case("6 states: 1 ok x=0")
def only_what_meets_channel_by_channel_is_kept() -> Scenario:
    return grouped(START, launch("k"), op("await_complete", "k"), DROP)


@case("5 states: 1 deadlock 0.t0")
def an_inner_end_submits_nothing() -> Scenario:
    return grouped(START, START, launch("n"), END, op("await_resident", "n"))


@case("7 states: 1 ok x=0")
def the_outer_end_submits() -> Scenario:
    return grouped(START, START, launch("n"), END, END)


@case("2 states: 1 misuse")
def an_end_without_a_start_is_misuse() -> Scenario:
    return grouped(END)


@case("5 states: 1 misuse")
def an_end_that_has_submitted_closes_the_group() -> Scenario:
    return grouped(START, END, op("malloc"), END)


@case("7 states: 1 ok x=0")
def a_batch_is_submitted_once_and_the_group_closed() -> Scenario:
    return grouped(START, launch("n"), END, BOUNDARY)


@case("3 states: 1 violation")
def an_open_group_at_a_boundary_is_a_violation() -> Scenario:
    return grouped(START, BOUNDARY)


@case("4 states: 1 ok x=0")
def a_closed_group_at_a_boundary_is_none() -> Scenario:
    return grouped(START, END, BOUNDARY)


@case("4 states: 1 violation")
def a_raise_leaves_the_group_open() -> Scenario:
    return grouped(Try((START, op("raise")), (BOUNDARY,)))


@case("8 states: 1 ok x=0")
def a_dropped_batch_is_gone_and_the_group_closed() -> Scenario:
    """Both levels are closed; the second batch is empty."""
    return grouped(START, START, launch("n"), DROP, BOUNDARY, START, END)


@case("2 states: 1 ok x=0")
def where_nothing_is_open_there_is_nothing_to_drop() -> Scenario:
    return grouped(DROP)


@case("3 states: 1 ok x=0")
def an_open_group_at_the_end_of_a_thread_is_no_finding() -> Scenario:
    return grouped(START, launch("n"))


@case("14 states: 1 ok")
def a_group_of_one_thread_keeps_nothing_of_another() -> Scenario:
    """The launch of the second thread gets on, whatever the first has open."""
    return scenario(
        rank([START, op("await_complete", "n"), END], [launch("n"), BOUNDARY]), kernels=[nccl()]
    )


@case("6 states: 1 deadlock 0.a")
def what_is_kept_is_submitted_in_the_order_of_the_calls() -> Scenario:
    """The spinning one was called first: the other stands behind it."""
    spins = nccl("spins", until="go")
    return scenario(rank([START, launch("spins"), launch("n"), END]), kernels=[spins, nccl()])


@case("18 states: 1 ok")
def launches_are_numbered_when_they_are_submitted() -> Scenario:
    """The launch inside the group comes second, so the first end is that of the other thread's."""
    inside = [START, launch("n"), op("wait_flag", "first"), END]
    return scenario(
        rank(inside, [launch("n"), op("await_complete", "n"), op("set", "first")]), kernels=[nccl()]
    )


@case("22 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def the_end_of_a_group_waits_for_the_context_lock() -> Scenario:
    """If the free comes first, it waits for the spinner that is to end after the group."""
    frees = [launch("spinner", "a"), op("free")]
    ends = [op("await_resident", "spinner"), START, launch("n", "b"), END, op("set", "go")]
    return scenario(rank(ends, frees), kernels=[spinner(1), nccl()])


@case("6 states: 1 deadlock 0.t0 0.a")
def the_end_of_a_group_waits_for_room() -> Scenario:
    """The second launch of the batch finds the stream full, takes the lock and waits."""
    short = replace(TINY, queue_depth=1)
    spins = nccl("spins", until="go")
    return scenario(
        rank([START, launch("spins"), launch("n"), END, op("set", "go")]),
        kernels=[spins, nccl()],
        machine=short,
    )


@case("6 states: 1 ok")
def an_error_at_the_end_closes_the_group_and_loses_the_rest() -> Scenario:
    huge = nccl("huge", launch="cooperative")
    huge = replace(huge, ctas=99)
    body = Try((START, launch("huge"), launch("n"), END), (BOUNDARY,))
    return scenario(rank([body]), kernels=[huge, nccl()])


@case("11 states: 1 ok")
def a_peer_waits_for_the_thread_that_keeps_the_launch() -> Scenario:
    return scenario(rank([START, launch("n"), END]), rank([launch("n")]), kernels=[nccl("n", 1)])


@case("8 states: 1 deadlock 1.a")
def a_peer_of_a_batch_that_is_dropped_waits_for_ever() -> Scenario:
    return scenario(rank([START, launch("n"), DROP]), rank([launch("n")]), kernels=[nccl("n", 1)])


# --- current devices and streams ---------------------------------------------------------------

TWO = (Stream("zero"), Stream("one", device=1), Stream("other", device=1))


def on_two(*bodies: list[Statement]) -> RankPlan:
    return rank(*bodies, streams=TWO)


@case("3 states: 1 misuse")
def a_launch_into_a_stream_of_another_device_is_misuse() -> Scenario:
    first = launch("tiny", "zero")
    return scenario(
        on_two([op("access"), launch("tiny", "one"), first]),
        kernels=[kernel("tiny", footprint="tiny")],
    )


@case("6 states: 1 ok")
def nccl_selects_its_device_itself() -> Scenario:
    return scenario(
        on_two([launch("n", "one"), launch("n", "one")]), kernels=[nccl(footprint="tiny")]
    )


@case("4 states: 1 ok")
def after_set_device_it_is_none() -> Scenario:
    body = [op("set_device", 1), launch("tiny", "one")]
    return scenario(on_two(body), kernels=[kernel("tiny", footprint="tiny")])


@case("2 states: 1 misuse")
def a_device_that_the_rank_has_not_got_is_misuse() -> Scenario:
    return scenario(on_two([op("set_device", 2)]))


@case("11 states: 3 misuse")
def a_device_is_set_for_one_thread_only() -> Scenario:
    sets = [op("set_device", 1), op("set", "f")]
    launches = [op("wait_flag", "f"), launch("tiny", "one")]
    return scenario(
        on_two([*sets, launch("tiny", "one"), op("join", "t1")], launches),
        kernels=[kernel("tiny", footprint="tiny")],
    )


def stuck_on(*before: Statement, streams: Any = TWO) -> Scenario:
    """A copy to the current stream, behind a wait for what never ends on stream `held`."""
    held = [*streams, Stream("held")]
    body = [
        launch("spins", "held"),
        op("record_event", "e", "held"),
        *before,
        op("stream_wait_event", "current", "e"),
        op("copy", "h2d", "current"),
    ]
    spins = kernel("spins", footprint="tiny", until="go")
    return scenario(rank(body, streams=held), kernels=[spins])


@case("5 states: 1 deadlock 0.zero 0.held")
def a_thread_starts_on_the_default_stream_of_device_0() -> Scenario:
    return stuck_on()


@case("5 states: 1 deadlock 0.legacy 0.held")
def the_legacy_stream_is_the_default_one() -> Scenario:
    return stuck_on(streams=(Stream("first"), Stream("legacy", kind="legacy")))


@case("6 states: 1 deadlock 0.one 0.held")
def a_device_has_a_current_stream_of_its_own() -> Scenario:
    return stuck_on(op("set_device", 1))


@case("6 states: 1 deadlock 0.other 0.held")
def a_stream_brings_its_device() -> Scenario:
    return stuck_on(op("set_stream", "other"))


@case("8 states: 1 deadlock 0.other 0.held")
def a_device_remembers_its_stream() -> Scenario:
    return stuck_on(op("set_stream", "other"), op("set_device", 0), op("set_device", 1))


@case("9 states: 1 ok")
def a_synchronise_is_for_the_current_device() -> Scenario:
    """The kernel on device 0 spins until the synchronise with device 1 is over."""
    body = [
        launch("spins", "zero"),
        op("set_device", 1),
        op("device_synchronize"),
        op("set", "go"),
        op("access"),
    ]
    spins = kernel("spins", footprint="tiny", until="go")
    return scenario(on_two(body), kernels=[spins])


@case("6 states: 1 deadlock 0.zero 0.one")
def devices_share_no_hardware_queue() -> Scenario:
    """On one queue the copy would stand behind the wait."""
    spins = kernel("spins", footprint="tiny", until="go")
    body = [
        launch("spins", "zero"),
        op("record_event", "e", "zero"),
        op("stream_wait_event", "one", "e"),
        op("copy", "h2d", "third"),
    ]
    streams = (Stream("zero"), Stream("one"), Stream("third", device=1))
    return scenario(
        rank(body, streams=streams),
        kernels=[spins],
        machine=TINY.with_switch("queue_map", "together"),
    )


@case("4 states: 1 deadlock 0.zero")
def legacy_streams_of_two_devices_do_not_wait_for_each_other() -> Scenario:
    spins = kernel("spins", footprint="tiny", until="go")
    streams = (Stream("zero", kind="legacy"), Stream("one", kind="blocking", device=1))
    body = [launch("spins", "zero"), op("copy", "h2d", "one")]
    return scenario(rank(body, streams=streams), kernels=[spins])


# --- time limits -------------------------------------------------------------------------------


def _reports(body: Statement) -> list[Statement]:
    return [Try((body, put("x", 1)), (put("x", 2),))]


BARRIER = op("barrier", "world", timeout=True)
REDUCE = op("all_reduce", "world", Value(1), "y", timeout=True)


@case("8 states: 1 ok x=2")
def a_time_limit_expires_where_a_member_can_not_come() -> Scenario:
    return scenario(rank(_reports(BARRIER)), rank([op("malloc")]))


@case("8 states: 1 ok x=2")
def so_does_that_of_an_all_reduce() -> Scenario:
    return scenario(rank(_reports(REDUCE)), rank([op("malloc"), op("die"), REDUCE]))


@case("13 states: 1 ok x=1")
def no_time_limit_expires_while_a_member_may_still_come() -> Scenario:
    return scenario(rank(_reports(BARRIER)), rank([op("malloc"), op("barrier", "world")]))


@case("2 states: 1 deadlock 0.t0 1.t0")
def a_member_that_is_stuck_itself_may_still_come() -> Scenario:
    return scenario(rank(_reports(BARRIER)), rank([op("wait_flag", "f"), op("barrier", "world")]))


@case("4 states: 1 deadlock 0.t0")
def without_a_time_limit_it_waits_for_ever() -> Scenario:
    return scenario(rank([op("barrier", "world")]), rank([op("malloc")]))


@case("14 states: 1 ok")
def a_call_that_has_expired_takes_back_what_it_brought() -> Scenario:
    """Whether there was one or not: in the end nothing tells the runs apart."""
    body = [
        op("is_set", "f", "y"),
        If(Condition(Variable("y"), "==", Value(False)), (Try((BARRIER,), ()),)),
        put("y", None),
    ]
    return scenario(rank(body, [op("set", "f")]), rank([]))


@case("8 states: 1 ok x=2")
def a_wait_for_requests_expires_where_nobody_can_meet_one() -> Scenario:
    waits = op("wait_requests", timeout=True)
    body = [op("isend", "world", 1, Value(1)), *_reports(waits)]
    return scenario(rank(body), rank([op("malloc")]))


@case("10 states: 1 ok x=2")
def requests_of_a_wait_that_has_expired_are_taken_back() -> Scenario:
    waits = op("wait_requests", timeout=True)
    body = [op("isend", "world", 1, Value(1)), Try((waits,), (op("wait_requests"), put("x", 2)))]
    return scenario(rank(body), rank([op("malloc")]))


@case("15 states: 1 ok x=1")
def requests_that_can_still_be_met_do_not_expire() -> Scenario:
    waits = op("wait_requests", timeout=True)
    body = [op("isend", "world", 1, Value(1)), *_reports(waits)]
    met = op("assert", Condition(Variable("z"), "==", Value(1)))
    receives = [op("irecv", "world", 0, "z"), op("wait_requests"), met]
    return scenario(rank(body), rank(receives))
