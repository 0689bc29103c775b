"""Edges between one-sided reads and the rest, and those that tags make."""

from typing import Any

from eplb_model.ops.expression import Value
from eplb_model.ops.moves import move
from eplb_model.scenario import Scenario
from tests.edges import ACCESS, Edge, copy, edge, if_, launch, one, op
from tests.small import kernel, rank, scenario


def _read(peer: int = 1, source: str = "theirs", target: str = "buffer") -> Any:
    return op("read", peer, source, target, "rdma")


def _copy_with_tag(tag: int | None) -> Any:
    return copy("s", moves=(move("x", tag),))


def _pair(reads: list[Any], writes: list[Any]) -> Scenario:
    """Rank 0 reads the buffer of rank 1, which writes it."""
    return scenario(
        rank(reads, streams=("s",)), rank(writes, streams=("s",)), kernels=[kernel("k")]
    )


_OF_THE_PEER = _read(1, "buffer", "mine")
_POLL, _MEET = op("wait_reads", "rdma"), op("barrier", "world")
_SYNC = op("stream_synchronize", "s")


@edge
def a_poll_returns_after_the_read() -> Edge:
    return Edge(
        scenario(rank([_read(), _POLL, ACCESS]), rank([])),
        scenario(rank([_read(), ACCESS]), rank([])),
    )


@edge
def a_poll_has_seen_every_read_of_its_engine() -> Edge:
    first, second = _read(), _read(target="other")
    return Edge(
        scenario(rank([first, second, _POLL, ACCESS]), rank([])),
        scenario(rank([first, op("wait_reads", "another"), second, ACCESS]), rank([])),
    )


@edge
def a_read_begins_after_it_is_posted() -> Edge:
    return Edge(
        scenario(rank([ACCESS, _read()]), rank([])), scenario(rank([_read(), ACCESS]), rank([]))
    )


@edge
def a_read_waits_for_a_stream_only_through_the_host() -> Edge:
    return Edge(
        scenario(rank([copy("s"), _SYNC, _read()]), rank([])),
        scenario(rank([copy("s"), op("record_event", "e", "s"), _read()]), rank([])),
    )


@edge
def a_device_synchronise_has_not_seen_a_read() -> Edge:
    synchronise = op("device_synchronize")
    return Edge(
        scenario(rank([_read(), synchronise, _POLL, ACCESS]), rank([])),
        scenario(rank([_read(), synchronise, ACCESS]), rank([])),
    )


@edge
def a_read_comes_after_what_the_peer_wrote_before_a_barrier() -> Edge:
    return Edge(
        _pair([_MEET, _OF_THE_PEER], [launch("s"), _SYNC, _MEET]),
        _pair([_MEET, _OF_THE_PEER], [launch("s"), _MEET]),
    )


@edge
def a_fence_after_the_read_keeps_the_peer_from_writing() -> Edge:
    return Edge(
        _pair([_OF_THE_PEER, _POLL, _MEET], [_MEET, launch("s")]),
        _pair([_OF_THE_PEER, _MEET, _POLL], [_MEET, launch("s")]),
    )


@edge
def who_reads_a_tag_comes_after_the_work_that_moved_it() -> Edge:
    copies, empties = _copy_with_tag(1), _copy_with_tag(None)
    return Edge(
        one([copies], [if_("x", 1, ACCESS)]), one([empties], [if_("x", None, ACCESS)]), every=False
    )


@edge
def a_tag_comes_after_what_the_host_put_into_it() -> Edge:
    """The second copy takes a 1 only if the host has put it, after its access."""
    takes = op("copy", "h2d", "t", moves=(move("x", "y"),))
    reads = [takes, if_("x", 1, ACCESS)]
    return Edge(
        one([ACCESS, op("put", "y", Value(1))], reads),
        one([op("put", "y", Value(1)), ACCESS], reads),
        every=False,
    )
