"""Cases of tags that work of streams moves, and of one-sided reads."""

from dataclasses import replace
from typing import Any

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.moves import move
from eplb_model.scenario import RankPlan, Scenario
from eplb_model.world import Meets
from tests.cases import Body, case, kernel, launch, op, put, rank, scenario


def _moves(*pairs: tuple[str, Any]) -> Any:
    return tuple(move(target, source) for target, source in pairs)


def _copy(*pairs: tuple[str, Any], stream: str = "a", **more: Any) -> Any:
    return op("copy", "h2d", stream, moves=_moves(*pairs), **more)


def _read(*pairs: tuple[str, Any], peer: int = 1) -> Any:
    return op("read", peer, "theirs", "mine", "rdma", moves=_moves(*pairs))


def _holding(body: Body, **initial: Any) -> RankPlan:
    return replace(rank(body), initial=initial)


def _is(name: str, value: object) -> Condition:
    return Condition(Variable(name), "==", Value(value))


@case("6 states: 1 ok x=1")
def a_copy_moves_its_tags_when_it_ends() -> Scenario:
    return scenario(rank([_copy(("x", 1)), op("stream_synchronize", "a")]))


@case("6 states: 1 ok x=0, 1 ok x=1")
def a_tag_is_taken_when_the_work_ends_not_when_it_is_submitted() -> Scenario:
    """The copy ends before the host assigns y, or after it."""
    return scenario(_holding([_copy(("x", "y")), put("y", 1)], y=0))


@case("3 states: 1 ok x=1")
def the_moves_of_one_piece_of_work_are_done_in_order() -> Scenario:
    return scenario(_holding([_copy(("y", 1), ("x", "y"))], y=0))


@case("6 states: 1 ok x=2")
def a_stream_moves_tags_in_its_order() -> Scenario:
    return scenario(rank([_copy(("x", 1)), _copy(("x", 2))]))


@case("3 states: 1 ok x=1")
def a_copy_within_the_device_moves_tags_too() -> Scenario:
    return scenario(rank([op("copy", "d2d", "a", moves=_moves(("x", 1)))]))


@case("3 states: 1 ok x=7")
def a_kernel_takes_a_tag_from_a_peer() -> Scenario:
    one = _holding([launch("k", moves=_moves(("x", "1.y")))], y=3)
    return scenario(one, _holding([], y=7), kernels=[kernel("k")])


@case("16 states: 1 ok x=7")
def what_a_peer_takes_has_moved_when_the_first_of_two_kernels_that_meet_ends() -> Scenario:
    """Rank 1 overwrites its row once its own kernel has ended; rank 0 has the old one anyhow."""
    n = kernel("n", meets=Meets("channel", (1,), (1,), "n"))
    overwrites = [launch("n"), op("stream_synchronize", "a"), put("y", 9)]
    return scenario(
        rank([launch("n", moves=_moves(("x", "1.y")))]), _holding(overwrites, y=7), kernels=[n]
    )


@case("5 states: 1 ok x=7")
def a_posted_read_is_polled_until_it_is_done() -> Scenario:
    body = [_read(("x", "1.y")), op("wait_reads", "rdma"), op("assert", _is("x", 7))]
    return scenario(rank(body), _holding([], y=7))


@case("6 states: 1 ok x=1, 1 violation")
def who_does_not_poll_goes_on_while_the_read_runs() -> Scenario:
    return scenario(rank([_read(("x", 1)), op("assert", _is("x", None))]), rank([]))


@case("6 states: 1 ok x=2")
def an_engine_reads_in_order() -> Scenario:
    return scenario(rank([_read(("x", 1)), _read(("x", 2))]), rank([]))


@case("10 states: 1 ok x=1, 1 violation")
def a_device_synchronise_waits_for_no_engine() -> Scenario:
    """So the assertion may come before the end of the read."""
    body = [_read(("x", 1)), op("device_synchronize"), op("assert", _is("x", None))]
    return scenario(rank(body), rank([]))


@case("10 states: 1 ok x=1")
def an_engine_shares_no_hardware_queue() -> Scenario:
    """The stream waits for a spinner that nobody stops; the read ends all the same."""
    body = [
        launch("spinner", "b"),
        op("record_event", "e", "b"),
        op("stream_wait_event", "a", "e"),
        _read(("x", 1)),
        op("wait_reads", "rdma"),
        op("set", "go"),
    ]
    together = scenario(rank(body), rank([]), kernels=[kernel("spinner", until="go")])
    return together.on(together.machine.with_switch("queue_map", "together"))


@case("9 states: 1 ok, 1 race")
def a_read_conflicts_with_a_write_of_the_peer() -> Scenario:
    """The peer's copy writes what is read."""
    return scenario(rank([_read()]), rank([_copy(writes=("theirs",))]))


@case("6 states: 1 ok, 1 race")
def a_read_conflicts_with_a_copy_out_of_its_target() -> Scenario:
    return scenario(rank([_copy(reads=("mine",)), _read()]), rank([]))


@case("9 states: 1 ok")
def two_reads_of_one_row_do_not_conflict() -> Scenario:
    return scenario(
        rank([op("read", 2, "row", "mine", "rdma")]),
        rank([op("read", 2, "row", "mine", "rdma")]),
        rank([]),
    )


@case("2 states: 1 misuse")
def a_read_of_a_rank_that_is_none_is_misuse() -> Scenario:
    return scenario(rank([_read(peer=1)]))


@case("6 states: 1 ok x=1, 1 violation")
def an_early_look_at_a_tag_may_see_the_old_one() -> Scenario:
    return scenario(rank([_copy(("x", 1)), op("assert", _is("x", None))]))


@case("18 states: 1 ok x=7, 1 violation")
def a_peer_may_write_what_a_kernel_takes_before_it_takes_it() -> Scenario:
    takes = [launch("k", moves=_moves(("x", "1.y"))), op("stream_synchronize", "a")]
    one = rank([*takes, op("assert", _is("x", 7))])
    return scenario(one, _holding([put("y", 9)], y=7), kernels=[kernel("k")])


@case("17 states: 1 ok x=7, 3 violation")
def a_peer_may_look_before_a_kernel_that_meets_hands_its_tag_over() -> Scenario:
    n = kernel("n", meets=Meets("channel", (1,), (1,), "n"))
    looks = op("assert", _is("x", None))
    takes = rank([launch("n", moves=_moves(("x", "1.y")))], [looks])
    return scenario(takes, _holding([launch("n")], y=7), kernels=[n])
