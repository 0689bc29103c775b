"""Edges of NCCL groups, of current streams, and of devices."""

from typing import Any

from eplb_model.scenario import Scenario
from eplb_model.world import Meets, Stream
from tests.edges import ACCESS, Edge, copy, edge, launch, one, op
from tests.small import kernel

NCCL = {"kernels": [kernel("n", meets=Meets("channel", (), (), "n"))]}


@edge
def what_a_group_keeps_begins_after_its_end() -> Edge:
    end = op("group_end")
    return Edge(
        one([op("group_start"), launch("s", "n"), ACCESS, end], **NCCL),
        one([op("group_start"), launch("s", "n"), end, ACCESS], **NCCL),
    )


@edge
def what_a_group_submits_is_in_the_order_of_its_streams() -> Edge:
    def then(stream: str) -> Scenario:
        batch = [launch("s", "n"), launch(stream, "n"), op("group_end")]
        return one([op("group_start"), *batch], **NCCL)

    return Edge(then("s"), then("t"))


@edge
def a_record_covers_what_a_group_has_submitted() -> Edge:
    batch, end = [op("group_start"), launch("s", "n")], op("group_end")
    record = op("record_event", "e", "s")
    waits = [op("stream_wait_event", "t", "e"), copy("t")]
    return Edge(
        one([*batch, end, record, *waits], **NCCL), one([*batch, record, end, *waits], **NCCL)
    )


@edge
def the_current_stream_waits() -> Edge:
    def on(stream: str) -> Scenario:
        recorded = [copy("s"), op("record_event", "e", "s")]
        waits = [op("set_stream", stream), op("stream_wait_event", "current", "e")]
        return one([*recorded, *waits, copy("t")], streams=("s", "t", "u"))

    return Edge(on("t"), on("u"))


@edge
def a_current_stream_is_of_one_thread() -> Edge:
    def by(*sets: Any) -> Scenario:
        recorded = [copy("s"), op("record_event", "e", "s"), op("set_stream", "t"), op("set", "f")]
        waits = [op("wait_flag", "f"), *sets, op("stream_wait_event", "current", "e"), copy("t")]
        return one(recorded, waits)

    return Edge(by(op("set_stream", "t")), by())


@edge
def a_synchronise_covers_the_current_device() -> Edge:
    def on(device: int) -> Scenario:
        body = [copy("t"), op("set_device", device), op("device_synchronize"), ACCESS]
        return one(body, streams=("s", Stream("t", device=1)), kernels=())

    return Edge(on(1), on(0))


@edge
def a_synchronise_with_the_current_stream_is_one_with_that_stream() -> Edge:
    def on(stream: str) -> Scenario:
        return one(
            [copy("t"), op("set_stream", stream), op("stream_synchronize", "current"), ACCESS]
        )

    return Edge(on("t"), on("s"))
