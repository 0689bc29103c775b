"""A plan in, statements out: each communicator, with nothing to do, with errors, and as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from eplb_model.check import Search, check
from eplb_model.communicators.commit import committed as reference
from eplb_model.communicators.local_moves import committed
from eplb_model.communicators.meeting import Fence
from eplb_model.communicators.names import held, tag, weights
from eplb_model.communicators.plan import EMPTY, Ids, Plan, plan
from eplb_model.communicators.registry import COMMUNICATORS, Fault, lowered
from eplb_model.communicators.torch_xccl import transfer as xccl
from eplb_model.communicators.wire import arrivals, fetched, operations
from eplb_model.ops.collectives import Barrier
from eplb_model.ops.copies import Copy
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.variables import Assert
from eplb_model.rearrangements import Rearrangement, rearrangements
from eplb_model.scenario import RankPlan, Scenario, Statement, ThreadPlan, Try
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.trace import phrase
from eplb_model.world import Meets, Stream
from tests.small import TINY, kernel

NAMES = tuple(COMMUNICATORS)
MEET = ("nixl_staged", "nixl_zero_copy")
SWAP = ((0, 1, 2, 3), (0, 3, 2, 1))  # rows 1 of both ranks change places
LOCAL = ((0, 1, 2, 3), (1, 0, 2, 3))  # rank 0 moves rows, rank 1 does nothing


def phrases(name: str, maps: tuple[Ids, Ids], rank: int, *, at: int | None = None) -> Any:
    """What a rank does for layer 0, and with a fault in that operation."""
    faults = () if at is None else (Fault(rank, 0, at),)
    transfer = lowered(name, plan(*maps, ranks=2), maps[0], faults=faults)
    return [phrase(each) for each in transfer(rank, 0)]  # type: ignore[arg-type]  # no blocks


EXCHANGE = "moves staged_1 <- 1.held_0_1"
JOINED = [
    "record_event before_exchange side",
    "stream_wait_event internal before_exchange",
    f"launch exchange internal reads weights_0 writes buffer {EXCHANGE}",
    "record_event after_exchange internal",
    "stream_wait_event side after_exchange",
]
SWAPPED = {
    "torch_gloo": [
        "copy d2h side blocking reads weights_0 writes sent moves sent_0 <- held_0_1",
        "isend eplb_cpu 1 sent_0",
        "irecv eplb_cpu 1 received_0",
        "wait_requests",
        "copy h2d side reads received writes buffer moves staged_1 <- received_0",
    ],
    "torch_nccl": JOINED,
    "torch_xccl": JOINED,
    "pynccl": [f"launch exchange side reads weights_0 writes buffer {EXCHANGE}"],
    "nixl_staged": [
        "copy d2d side reads weights_0 writes send_buffer moves packed_1_0 <- held_0_1",
        "stream_synchronize side",
        "barrier eplb_cpu",
        "read 1 send_buffer receive_buffer nixl moves fetched_1_0 <- 1.packed_0_0",
        "wait_reads nixl",
        "copy d2d side reads receive_buffer writes buffer moves staged_1 <- fetched_1_0",
    ],
    "nixl_zero_copy": [
        f"read 1 weights_0 buffer nixl {EXCHANGE}",
        "wait_reads nixl",
        "barrier eplb_cpu",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_swap_of_rows_is_lowered_to_these_statements(name):
    assert phrases(name, SWAP, 0) == SWAPPED[name]


@pytest.mark.parametrize("name", NAMES)
def test_without_sends_and_receives_only_those_that_meet_take_part(name):
    waits = ["stream_synchronize side"] if name == "nixl_staged" else []
    meeting = [*waits, "barrier eplb_cpu"] if name in MEET else []
    moves = "moves staged_0 <- held_0_1, staged_1 <- held_0_0"

    assert phrases(name, LOCAL, 1) == meeting
    assert phrases(name, LOCAL, 0) == [
        f"copy d2d side reads weights_0 writes buffer {moves}",
        *meeting,
    ]


FAILED_RECEIVE = {  # operation 0 is the send, 1 the receive
    "torch_gloo": [*SWAPPED["torch_gloo"][:2], "raise request 1 of layer 0 failed"],
    "torch_nccl": ["raise operation 1 of layer 0 was refused"],
    "torch_xccl": ["raise operation 1 of layer 0 was refused"],
    "pynccl": ["raise operation 1 of layer 0 failed; the group is open"],
    "nixl_staged": [*SWAPPED["nixl_staged"][:3], "raise a read of layer 0 failed"],
    "nixl_zero_copy": ["raise operation 1 of layer 0 failed"],
}
FAILED_AFTER_ALL = {
    "torch_gloo": [*SWAPPED["torch_gloo"][:3], "raise request 2 of layer 0 failed"],
    "nixl_staged": [*SWAPPED["nixl_staged"][:4], "raise a read of layer 0 failed"],
    "nixl_zero_copy": [SWAPPED["nixl_zero_copy"][0], "raise operation 2 of layer 0 failed"],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_receive_that_raises_leaves_this_behind(name):
    assert phrases(name, SWAP, 0, at=1) == FAILED_RECEIVE[name]


@pytest.mark.parametrize("name", FAILED_AFTER_ALL)
def test_an_error_after_all_operations_leaves_them_unwaited(name):
    assert phrases(name, SWAP, 0, at=2) == FAILED_AFTER_ALL[name]


def test_a_row_that_can_not_be_packed_raises_before_the_barrier():
    assert phrases("nixl_staged", SWAP, 0, at=0) == ["raise row 0 of layer 0 does not fit"]


def test_what_a_refused_operation_leaves_goes_out_with_the_next_layer():
    """Rank 0 has the send of layer 0 in its list; rank 1 takes it for that of layer 1."""
    transfer = lowered("torch_nccl", plan(*SWAP, ranks=2), SWAP[0], faults=[Fault(0, 0, 1)])
    first, second = ([phrase(each) for each in transfer(rank, 1)] for rank in (0, 1))  # type: ignore[arg-type]

    both = "reads weights_0, weights_1 writes buffer moves staged_1 <- 1.held_1_1"
    assert first[2] == f"launch exchange internal {both}"
    late = "reads weights_1 writes buffer moves staged_1 <- 0.held_0_1"
    assert second[2] == f"launch exchange internal {late}"


@pytest.mark.parametrize(("fence", "place"), [("before", 0), ("after", 2), ("none", None)])
def test_the_ranks_of_zero_copy_reads_meet_where_the_fence_says(fence: Fence, place: int | None):
    found = list(lowered("nixl_zero_copy", plan(*SWAP, ranks=2), SWAP[0], fence=fence)(0, 0))
    barriers = [n for n, each in enumerate(found) if isinstance(each, Barrier)]

    assert barriers == ([] if place is None else [place])


# --- numbers of ranks --------------------------------------------------------------------------


def test_x6_a_peer_that_is_no_member_as_a_global_rank_raises_when_it_is_added():
    share = plan(*SWAP, ranks=2).shares[1]

    assert [phrase(each) for each in xccl(share, 0, members=(2, 3))] == [  # type: ignore[arg-type]
        "raise global rank 0 is not in the group [2, 3]"
    ]


def test_x6_another_member_s_number_reaches_that_one():
    """In the group of global ranks 2, 0, 1 everybody wants a row of the next rank of the group."""
    shares = plan([0, 1, 2], [1, 2, 0], ranks=3).shares
    lists = [operations(share, 0) for share in shares]
    members = (2, 0, 1)

    right = [str(each) for rank in range(3) for each in arrivals(lists, rank, members)]
    wrong = [
        str(each)
        for rank in range(3)
        for each in arrivals(lists, rank, members, peer_is_global=True)
    ]

    assert right == ["staged_0 <- 0.held_0_0", "staged_0 <- 1.held_0_0", "staged_0 <- 2.held_0_0"]
    assert wrong != right


def test_x5_a_read_by_expert_takes_the_last_row_and_a_send_the_first():
    old = (5, 5, 0, 1)
    planned = plan(old, (5, 5, 5, 1), ranks=2)
    lists = [operations(share, 0) for share in planned.shares]

    assert [str(each) for each in arrivals(lists, 1)] == ["staged_0 <- 0.held_0_0"]
    assert [str(e) for e in fetched(planned.shares[1], 0, old, 2)] == ["staged_0 <- 0.held_0_1"]


# --- runs --------------------------------------------------------------------------------------


def exchanging(
    name: str,
    maps: Rearrangement,
    layers: int = 1,
    *,
    vote: bool = True,
    asserts: bool = False,
    **more: Any,
) -> Scenario:
    """Every rank transfers, waits for its stream, meets the others, and commits, layer by layer."""
    planned = maps.plan
    transfer = lowered(name, planned, maps.old, **more)

    def body(rank: int) -> Iterator[Statement]:
        for layer in range(layers):
            yield Try(tuple(transfer(rank, layer)), ())
            yield StreamSynchronize("side")
            yield from [Barrier("ep_cpu")] if vote else []
            moves = committed(planned.shares[rank], layer)
            yield Copy("d2d", "compute", reads=("buffer",), writes=(weights(layer),), moves=moves)
            yield StreamSynchronize("compute")
            if asserts:
                yield from _as_the_new_map_says(maps, rank, layer)

    ranks = tuple(
        RankPlan(
            (ThreadPlan("main", tuple(body(rank))),),
            tuple(map(Stream, ("side", "internal", "compute"))),
            {
                held(layer, row): tag(layer, expert)
                for layer in range(layers)
                for row, expert in enumerate(maps.by_rank(maps.old)[rank])
            }
            | {f"staged_{row}": None for row in range(maps.rows)},
        )
        for rank in range(maps.ranks)
    )
    offsets = tuple(range(1, maps.ranks))
    meets = Meets("channel", offsets, offsets, "exchange", eager=False) if offsets else None
    everyone = tuple(range(maps.ranks))
    return Scenario(
        name,
        TINY,
        {"exchange": kernel("exchange", meets=None if _some_are_idle(planned) else meets)},
        ranks,
        {"ep_cpu": everyone, "eplb_cpu": everyone},
    )


def _as_the_new_map_says(maps: Rearrangement, rank: int, layer: int) -> Iterator[Assert]:
    for row, expert in enumerate(maps.by_rank(maps.new)[rank]):
        yield Assert(Condition(Variable(held(layer, row)), "==", Value(tag(layer, expert))))


def _some_are_idle(planned: Plan) -> bool:
    """A rank without sends and receives launches nothing, so it can't be met."""
    return not all(share.sends or share.receives for share in planned.shares)


def rows_at_the_end(scenario: Scenario, maps: Rearrangement, seed: int) -> list[tuple[Any, ...]]:
    """The tags of all rows of layer 0 after one run."""
    random, state = Random(seed), initial(scenario.world)
    while actions := enabled(state):
        state = step(state, random.choice(actions))
    assert not state.unfinished(), state.unfinished()
    return [tuple(_rows(state, rank, maps.rows)) for rank in range(maps.ranks)]


def _rows(state: State, rank: int, rows: int) -> Iterator[Any]:
    for row in range(rows):
        yield state.read(rank, held(0, row))


@pytest.mark.parametrize("name", NAMES)
@given(rearrangements(least_ranks=2))
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_after_transfer_and_commit_every_row_holds_what_the_reference_says(name, maps):
    """The new map; where nobody holds the expert, what the buffer held; an emptied row is kept."""
    tags = [[tag(0, e) for e in rows] for rows in maps.by_rank(maps.old)]
    expected = reference(tags, maps.plan)

    for seed in range(3):
        assert rows_at_the_end(exchanging(name, maps), maps, seed) == list(expected)


STALE = Rearrangement((0, 1, 2, EMPTY), (1, 0, 2, 9), 2)  # nobody holds 9


@pytest.mark.parametrize("name", NAMES)
def test_a_primary_row_that_nobody_fills_takes_what_the_buffer_held(name):
    described = exchanging(name, STALE)
    old = described.ranks[1]
    initial_values = {**old.initial, "staged_1": "a row of before"}
    ranks = (described.ranks[0], RankPlan(old.threads, old.streams, initial_values))
    stale = Scenario("stale", TINY, described.kernels, ranks, described.groups)

    assert rows_at_the_end(stale, STALE, 0)[1] == (tag(0, 2), "a row of before")


SWAPPING = Rearrangement(*SWAP, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_swap_through_a_communicator_holds_on_every_schedule(name):
    report = check(exchanging(name, SWAPPING, layers=2, asserts=True), Search(max_states=60_000))

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


@pytest.mark.parametrize(
    ("name", "more", "verdict"),
    [
        *((name, {}, "ok") for name in NAMES),
        ("nixl_zero_copy", {"fence": "before"}, "violation"),
        ("nixl_zero_copy", {"fence": "none"}, "violation"),
    ],
)
def test_without_a_vote_only_an_unfenced_read_takes_a_row_that_is_new_already(name, more, verdict):
    """A sender may write its weights once its own transfer is over, and has been read by then."""
    report = check(exchanging(name, SWAPPING, vote=False, asserts=True, **more), Search())

    assert report.verdict == verdict


def test_zero_copy_reads_that_are_let_go_race_with_the_copy_out():
    """Both ranks' transfers raise behind their reads, and they go on as if nothing were."""
    faults = (Fault(0, 0, 2), Fault(1, 0, 2))
    report = check(exchanging("nixl_zero_copy", SWAPPING, faults=faults), Search())

    assert report.verdict == "race"
    assert report.finding is not None
    assert "polling until the read of rank" in report.finding.details[-1]


def test_gloo_keeps_the_rows_of_the_layer_before_when_a_request_fails():
    faults = (Fault(0, 1, 2), Fault(1, 1, 2))
    scenario = exchanging("torch_gloo", SWAPPING, layers=2, faults=faults)
    state = initial(scenario.world)
    while actions := enabled(state):
        state = step(state, actions[0])

    assert state.read(0, held(0, 1)) == tag(0, 3)
    assert state.read(0, held(1, 1)) == tag(0, 3)  # of layer 0, in the weights of layer 1


@pytest.mark.parametrize(("fence", "verdict"), [("before", "ok"), ("none", "race")])
def test_a_pack_that_is_read_before_it_is_made_races(fence: Fence, verdict: str):
    """The vote after the transfer keeps layers apart, so only the barrier is asked for here."""
    report = check(exchanging("nixl_staged", SWAPPING, fence=fence), Search())

    assert report.verdict == verdict
