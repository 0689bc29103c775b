"""Edges between streams, and between streams and host threads."""

from dataclasses import replace
from typing import Any

from eplb_model.scenario import Scenario, Try
from eplb_model.world import Kernel, Meets, Stream
from tests.edges import ACCESS, Edge, copy, edge, if_, launch, one, op
from tests.small import TINY, kernel, meeting, rank, scenario


@edge
def work_of_a_stream_is_in_order() -> Edge:
    def then(stream: str) -> list[Any]:
        return [copy("s"), op("copy", "h2d", stream, blocking=True), ACCESS]

    return Edge(one(then("s")), one(then("t")))


@edge
def work_begins_when_the_work_before_it_has_ended() -> Edge:
    def then(stream: str) -> list[Any]:
        return [copy("s"), op("launch", "k", stream), op("await_resident", "k"), ACCESS]

    return Edge(one(then("s")), one(then("t")))


@edge
def work_comes_after_the_call_that_submits_it() -> Edge:
    return Edge(one([ACCESS, copy("s")]), one([ACCESS], [copy("s")]))


@edge
def a_stream_waits_for_a_record() -> Edge:
    recorded = [copy("s"), op("record_event", "e", "s")]
    waits = op("stream_wait_event", "t", "e")
    return Edge(one([*recorded, waits, copy("t")]), one([*recorded, copy("t")]))


@edge
def a_wait_before_the_record_is_none() -> Edge:
    record, wait = op("record_event", "e", "s"), op("stream_wait_event", "t", "e")
    return Edge(
        one([copy("s"), record, wait, copy("t")]), one([copy("s"), wait, record, copy("t")])
    )


@edge
def a_record_covers_only_what_was_submitted_before_it() -> Edge:
    record, wait = op("record_event", "e", "s"), op("stream_wait_event", "t", "e")
    return Edge(
        one([copy("s"), record, wait, copy("t")]), one([record, copy("s"), wait, copy("t")])
    )


@edge
def a_later_record_does_not_change_an_earlier_wait() -> Edge:
    record, wait = op("record_event", "e", "s"), op("stream_wait_event", "t", "e")
    first = op("record_event", "e", "s")
    return Edge(
        one([first, copy("s"), record, wait, copy("t")]),
        one([first, wait, copy("s"), record, copy("t")]),
    )


@edge
def a_stream_synchronise_waits_for_its_stream() -> Edge:
    return Edge(
        one([copy("s"), op("stream_synchronize", "s"), ACCESS]),
        one([copy("s"), op("stream_synchronize", "t"), ACCESS, copy("t")]),
    )


@edge
def a_device_synchronise_waits_for_all_streams() -> Edge:
    sync = op("device_synchronize")
    return Edge(one([copy("s"), sync, ACCESS]), one([sync, copy("s"), ACCESS]))


@edge
def an_event_synchronise_waits_for_the_record() -> Edge:
    record, sync = op("record_event", "e", "s"), op("event_synchronize", "e")
    return Edge(one([copy("s"), record, sync, ACCESS]), one([record, copy("s"), sync, ACCESS]))


@edge
def a_blocking_copy_returns_when_it_is_done() -> Edge:
    return Edge(one([copy("s", blocking=True), ACCESS]), one([copy("s"), ACCESS]))


@edge
def an_end_is_counted() -> Edge:
    return Edge(
        one([launch("s"), op("await_complete", "k"), ACCESS]),
        one([launch("s"), op("await_resident", "k"), ACCESS]),
    )


@edge
def a_start_is_counted() -> Edge:
    before = [copy("s"), op("record_event", "e", "s"), op("stream_wait_event", "t", "e")]
    start = op("launch", "k", "t")
    return Edge(
        one([*before, start, op("await_resident", "k"), ACCESS]), one([*before, start, ACCESS])
    )


@edge
def a_kernel_spins_until_a_flag_is_set() -> Edge:
    def spinning(until: str | None) -> Scenario:
        waits = [op("launch", "k", "s"), op("stream_synchronize", "s"), ACCESS]
        return one([ACCESS, op("set", "f")], waits, kernels=[kernel("k", until=until)])

    return Edge(spinning("f"), spinning(None))


def relayed_by_kernels(body: list[Any], *kernels: Kernel) -> Scenario:
    """Rank 1 tells rank 0, by the meeting of a second kernel, that its own first one has ended."""
    told = kernel("told", meets=meeting("first", "told"), ends="together")
    hears = [op("launch", "told", "t"), op("stream_synchronize", "t"), ACCESS]
    relay = [op("launch", "k", "s"), op("await_complete", "k"), op("launch", "told", "t")]
    ranks = (rank(body, hears, streams=("s", "t")), rank(relay, streams=("s", "t")))
    return scenario(*ranks, kernels=[*kernels, told])


def met(kept: Kernel, missing: Kernel) -> Edge:
    body = [ACCESS, op("launch", "k", "s")]
    return Edge(relayed_by_kernels(body, kept), relayed_by_kernels(body, missing))


@edge
def a_kernel_meets_the_first_cta_of_its_peers() -> Edge:
    return met(kernel("k", meets=meeting("first", "k")), kernel("k"))


@edge
def a_kernel_meets_the_grid_of_its_peers() -> Edge:
    return met(kernel("k", meets=meeting("grid", "k")), kernel("k"))


@edge
def a_kernel_meets_the_channels_that_it_serves() -> Edge:
    channels = meeting("channel", "k")
    return met(kernel("k", meets=channels), kernel("k", meets=channels, rounds=((),)))


@edge
def an_eager_send_meets_nobody() -> Edge:
    send = Meets("first", (1,), (), "k")
    return met(kernel("k", meets=send), kernel("k", meets=replace(send, eager=True)))


@edge
def a_kernel_waits_for_the_end_of_its_peers_other_kernel() -> Edge:
    body, sends = [launch("s", "sends")], kernel("sends")
    receives = kernel("k", meets=Meets("end", (), (1,), "sends"))
    return Edge(
        relayed_by_kernels(body, sends, receives), relayed_by_kernels(body, sends, kernel("k"))
    )


@edge
def a_free_waits_for_the_device() -> Edge:
    return Edge(one([copy("s"), op("free"), ACCESS]), one([copy("s"), op("malloc"), ACCESS]))


@edge
def the_load_of_a_module_waits_for_the_device() -> Edge:
    load = op("load", "m")
    return Edge(one([copy("s"), load, ACCESS]), one([load, copy("s"), load, ACCESS]))


@edge
def a_first_launch_waits_for_the_device() -> Edge:
    kernels = {"kernels": [kernel("k", module="m")]}
    lazy, load = op("launch", "k", "t"), op("load", "m")
    return Edge(
        one([copy("s"), lazy, ACCESS], **kernels), one([load, copy("s"), lazy, ACCESS], **kernels)
    )


def under_a_spinner(call: Any, modules: tuple[str | None, str]) -> Scenario:
    """The last thread comes to its access only if nothing is left to load, else all is stuck."""
    mine, loaded = modules
    return one(
        [copy("s"), op("load", loaded)],
        [op("launch", "spins", "t")],
        [op("await_resident", "spins"), call, ACCESS, op("set", "f")],
        streams=("s", "t", "u"),
        kernels=[kernel("k", module=mine), kernel("spins", until="f")],
    )


@edge
def a_launch_has_seen_the_load_that_it_needs_no_more() -> Edge:
    call = op("launch", "k", "u")
    kept, missing = under_a_spinner(call, ("m", "m")), under_a_spinner(call, (None, "m"))
    return Edge(kept, missing, every=False)


@edge
def a_load_has_seen_the_load_before_it() -> Edge:
    kept = under_a_spinner(op("load", "m"), (None, "m"))
    return Edge(kept, under_a_spinner(op("malloc"), (None, "m")), every=False)


@edge
def the_legacy_default_stream_and_blocking_streams_wait_for_each_other() -> Edge:
    def streams(kind: Any) -> Scenario:
        specs = (Stream("s", 0, "legacy"), Stream("t", 0, kind))
        return one([copy("s"), copy("t")], streams=specs)

    return Edge(streams("blocking"), streams("nonblocking"))


@edge
def a_wait_holds_back_its_hardware_queue() -> Edge:
    def mapped(queue_map: str) -> Scenario:
        held = [copy("s"), op("record_event", "e", "s"), op("stream_wait_event", "t", "e")]
        machine = TINY.with_switch("queue_map", queue_map)
        return one([*held, copy("u")], streams=("s", "t", "u"), machine=machine)

    return Edge(mapped("together"), mapped("apart"))


@edge
def a_launch_into_a_full_stream_waits_for_room() -> Edge:
    def deep(depth: int) -> Scenario:
        later = op("launch", "other", "s")
        return one([launch("s"), later, later, ACCESS], machine=replace(TINY, queue_depth=depth))

    return Edge(deep(2), deep(4))


@edge
def a_two_thread_event_hands_over() -> Edge:
    def handed(stream: str) -> Scenario:
        return one(
            [launch("s"), op("cpu_gpu_event_record", "ready", stream)],
            [op("cpu_gpu_event_wait", "ready", "t"), launch("t")],
        )

    return Edge(handed("s"), handed("t"))


@edge
def a_two_thread_event_tells_the_host_too() -> Edge:
    record, waits = op("cpu_gpu_event_record", "ready", "s"), op("cpu_gpu_event_wait", "ready", "t")
    return Edge(one([ACCESS, record], [waits, ACCESS]), one([record, ACCESS], [waits, ACCESS]))


@edge
def an_event_object_was_made_before_it_is_loaded() -> Edge:
    """The consumer's copy comes under the spinner only if it waits for the other object."""

    def handed(until: str | None) -> Scenario:
        return one(
            [op("launch", "k", "s"), Try((op("cpu_gpu_event_record", "ready", "s"),), ())],
            [ACCESS, Try((op("cpu_gpu_event_record", "ready", "u"),), ())],
            [op("cpu_gpu_event_wait", "ready", "t"), copy("t", blocking=True), op("set", "f")],
            streams=("s", "t", "u"),
            kernels=[kernel("k", until=until)],
        )

    return Edge(handed("f"), handed(None), every=False)


@edge
def a_query_has_seen_the_end_of_a_record() -> Edge:
    asks = [copy("s"), op("record_event", "e", "s"), op("event_query", "e", "x")]
    return Edge(one([*asks, if_("x", True, ACCESS)]), one([*asks, ACCESS]), every=False)


@edge
def a_query_has_seen_the_end_of_a_stream() -> Edge:
    asks = [copy("s"), op("stream_query", "s", "x")]
    return Edge(one([*asks, if_("x", True, ACCESS)]), one([*asks, ACCESS]), every=False)


@edge
def a_query_has_seen_the_submission_of_what_is_not_done() -> Edge:
    puts = [ACCESS, op("copy", "h2d", "s")]
    asks = op("stream_query", "s", "x")
    return Edge(one(puts, [asks, if_("x", False, ACCESS)]), one(puts, [asks, ACCESS]), every=False)
