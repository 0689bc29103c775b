"""Edges that the caching allocator makes, and those that it does not."""

from typing import Any

from eplb_model.scenario import Scenario
from tests.edges import Edge, edge, if_, one, op


def write(tensor: str, stream: str) -> Any:
    return op("launch", "k", stream, writes=(tensor,))


def reuse(*before_the_drop: Any, stream: str = "t") -> Scenario:
    """The block of one tensor, written by a stream, is handed out to another one and written."""
    return one(
        [op("alloc", "x", "s"), write("x", stream), *before_the_drop, op("drop", "x"),
         op("alloc", "y", "s"), write("y", "s")]
    )  # fmt: skip


@edge
def a_stream_is_in_order_with_the_blocks_of_its_pool() -> Edge:
    return Edge(reuse(stream="s"), reuse(stream="t"))


@edge
def a_block_that_was_recorded_is_handed_out_after_what_it_waits_for() -> Edge:
    return Edge(reuse(op("record_stream", "x", "t")), reuse())


@edge
def a_wait_of_the_allocating_stream_orders_the_reuse() -> Edge:
    waits = op("record_event", "e", "t"), op("stream_wait_event", "s", "e")
    return Edge(reuse(*waits), reuse())


@edge
def a_drop_comes_before_the_next_alloc_of_its_block() -> Edge:
    """The second thread gets the block after the drop, and so after what the first waited for."""

    def handed_over(*waits: Any) -> Scenario:
        drops = [op("alloc", "x", "s"), write("x", "t"), *waits, op("drop", "x")]
        dawdles = [op("malloc")] * 6  # so that it often comes second
        return one(drops, [*dawdles, op("alloc", "y", "s"), write("y", "s")])

    return Edge(handed_over(op("stream_synchronize", "t")), handed_over(), every=False)


def given(use: Any, *waits: Any) -> Scenario:
    """One thread gives a tensor the block that a stream has written; another uses it, or errs."""
    gives = [op("alloc", "x", "s"), write("x", "t"), *waits, op("drop", "x"), op("alloc", "y", "s")]
    return one(gives, [use])


@edge
def a_host_uses_a_tensor_after_its_alloc() -> Edge:
    reads = op("access", reads=("y",))
    return Edge(given(reads, op("stream_synchronize", "t")), given(reads), every=False)


@edge
def work_on_a_tensor_is_submitted_after_its_alloc() -> Edge:
    return Edge(
        given(write("y", "s"), op("stream_synchronize", "t")), given(write("y", "s")), every=False
    )


@edge
def a_passed_over_block_has_seen_the_submission_only() -> Edge:
    """The new block is another one: nothing meets.  A third tensor gets the old block."""

    def further(*middle: Any) -> Scenario:
        return one(
            [op("alloc", "x", "s"), op("alloc", "z", "s"), write("z", "t"),
             op("record_stream", "x", "t"), op("drop", "x"), *middle,
             op("alloc", "y", "s"), write("y", "s")]
        )  # fmt: skip

    return Edge(further(), further(op("drop", "z")), every=False)


@edge
def a_query_of_what_was_recorded_is_no_alloc() -> Edge:
    """Without a drop the block is the same; a query that finds the stream busy orders nothing."""
    asks = op("stream_query", "t", "q")

    def asked(busy: bool) -> Scenario:
        return one(
            [op("alloc", "x", "s"), write("x", "t"), asks, if_("q", not busy, write("x", "s"))]
        )

    return Edge(asked(busy=False), asked(busy=True), every=False)
