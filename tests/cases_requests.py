"""Cases of requests between hosts, channels that end together, and numbered launches."""

from typing import Any

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.scenario import Forever, Scenario
from eplb_model.world import Meets
from tests.cases import case, kernel, launch, meeting, op, rank, scenario


def _send(value: str, peer: int = 1, group: str = "world", **more: str) -> Any:
    return op("isend", group, peer, Value(value), **more)


def _equals(name: str, value: str) -> Condition:
    return Condition(Variable(name), "==", Value(value))


@case("12 states: 1 ok")
def requests_of_a_pair_meet_in_order() -> Scenario:
    """The receiver ends only if it got the first value first."""
    first = op("assert", _equals("x", "one"))
    receives = [op("irecv", "world", 0, "x"), op("irecv", "world", 0, "y"), op("wait_requests")]
    return scenario(
        rank([_send("one"), _send("two")]),
        rank([*receives, first, op("assert", _equals("y", "two"))]),
    )


@case("4 states: 1 deadlock 0.t0 1.t0")
def two_sends_do_not_meet() -> Scenario:
    return scenario(
        rank([_send("a"), op("wait_requests")]), rank([_send("b", 0), op("wait_requests")])
    )


@case("4 states: 1 deadlock 0.t0 1.t0")
def a_receive_from_another_rank_does_not_meet_a_send() -> Scenario:
    """Rank 1 wants something of rank 2; rank 0 has sent something to rank 1."""
    receive = [op("irecv", "world", 2, "x"), op("wait_requests")]
    return scenario(rank([_send("a"), op("wait_requests")]), rank(receive), rank([]))


@case("2 states: 1 misuse")
def nobody_is_his_own_peer() -> Scenario:
    return scenario(rank([_send("a", 0)]), rank([]))


@case("2 states: 1 misuse")
def a_global_rank_outside_the_group_is_misuse() -> Scenario:
    pair = (1, 2)
    return scenario(
        rank([]), rank([_send("a", 0, "pair", peer_is="global")]), rank([]), groups={"pair": pair}
    )


@case("4 states: 1 ok")
def a_peer_is_a_rank_of_the_group() -> Scenario:
    return scenario(
        rank([]),
        rank([_send("a", 1, "pair")]),
        rank([op("irecv", "pair", 0, "x")]),
        groups={"pair": (1, 2)},
    )


@case("7 states: 1 ok")
def channels_that_end_together_leave_in_one_step() -> Scenario:
    exchange = kernel("n", 3, meets=Meets("channel", (1,), (1,), "n"), ends="together")
    return scenario(rank([launch("n")]), rank([launch("n")]), kernels=[exchange])


@case("17 states: 1 deadlock 0.t0 0.t1 0.a, 1 ok")
def a_blocking_copy_returns_while_another_thread_frees() -> Scenario:
    """The free waits for the spinner, which the copying thread ends once its copy has returned.

    So it hangs if the free comes before the call of the copy, and only then.
    """
    copies = [op("wait_flag", "spins"), op("copy", "h2d", "b", blocking=True), op("set", "go")]
    frees = [launch("spinner", "a"), op("set", "spins"), op("free")]
    return scenario(rank(copies, frees), kernels=[kernel("spinner", until="go")])


@case("5 states: ")
def an_awaited_launch_keeps_its_number_where_programs_loop() -> Scenario:
    """The kernel may end before the wait or after it; either way the loop is reached."""
    body = [launch("k"), op("await_resident", "k"), Forever(())]
    return scenario(rank(body), kernels=[kernel("k")])


@case("211 states: ")
def the_halves_of_a_meeting_keep_their_numbers_together_where_programs_loop() -> Scenario:
    """A receiving half waits for the peer's sending half of its own round to end."""
    halves = [launch("send"), launch("receive"), op("stream_synchronize", "a")]
    kernels = [kernel("send"), kernel("receive", meets=meeting("end", 1, with_="send"))]
    twice = [*halves, *halves, Forever(())]  # bounded also under a law that lets one run ahead
    return scenario(rank(twice), rank(twice), kernels=kernels)
