"""Edges between host threads, of one rank and of several."""

from typing import Any

from eplb_model.ops.expression import Value
from eplb_model.scenario import Scenario
from tests.edges import ACCESS, Edge, edge, if_, late, one, op
from tests.small import rank, scenario


@edge
def steps_of_a_thread_are_in_order() -> Edge:
    waits = [op("wait_flag", "f"), ACCESS]
    return Edge(one([ACCESS, op("set", "f")], waits), one([op("set", "f"), ACCESS], waits))


@edge
def a_wait_returns_after_the_set() -> Edge:
    sets = [ACCESS, op("set", "f")]
    return Edge(one(sets, [op("wait_flag", "f"), ACCESS]), one(sets, [ACCESS]))


@edge
def a_set_of_a_set_flag_is_no_cause() -> Edge:
    sets, waits = [ACCESS, op("set", "f")], [op("wait_flag", "f"), ACCESS]
    return Edge(one(sets, waits), one(sets, waits, [op("set", "f")]), every=False)


@edge
def a_set_has_not_seen_an_earlier_set() -> Edge:
    sets = [ACCESS, op("set", "f")]
    return Edge(one(sets, [op("wait_flag", "f"), ACCESS]), one(sets, [op("set", "f"), ACCESS]))


@edge
def a_look_at_a_flag_has_seen_the_set() -> Edge:
    sets, looks = [ACCESS, op("set", "f")], op("is_set", "f", "x")
    return Edge(one(sets, [looks, if_("x", True, ACCESS)]), one(sets, [looks, ACCESS]), every=False)


@edge
def a_read_comes_after_the_write() -> Edge:
    writes = [ACCESS, op("put", "x", Value(1))]
    return Edge(one(writes, [if_("x", 1, ACCESS)]), one(writes, [op("put", "x", Value(2)), ACCESS]))


@edge
def a_lock_is_taken_after_its_release() -> Edge:
    locked = [op("acquire", "l"), ACCESS, op("release", "l")]
    return Edge(one(locked, locked), one(locked, [ACCESS]))


@edge
def a_lock_that_was_tried_and_taken_orders_too() -> Edge:
    locked = [op("acquire", "l"), ACCESS, op("release", "l")]
    tried = op("try_acquire", "l", "x")
    return Edge(
        one(locked, [tried, if_("x", True, ACCESS)]), one(locked, [tried, ACCESS]), every=False
    )


@edge
def a_thread_starts_after_its_start() -> Edge:
    def starting(*body: Any) -> Scenario:
        return scenario(late(rank(list(body), [ACCESS])))

    return Edge(starting(ACCESS, op("start", "b")), starting(op("start", "b"), ACCESS))


@edge
def a_join_returns_after_the_end() -> Edge:
    return Edge(one([op("join", "b"), ACCESS], [ACCESS]), one([ACCESS], [ACCESS, op("malloc")]))


@edge
def an_answer_comes_after_every_contribution() -> Edge:
    def relayed(*relay: list[Any]) -> Scenario:
        asks = rank([ACCESS, op("barrier", "g")], [op("barrier", "h"), ACCESS])
        return scenario(asks, rank(*relay), groups={"g": (0, 1), "h": (0, 1)})

    first, second = op("barrier", "g"), op("barrier", "h")
    return Edge(relayed([first, second]), relayed([first], [second]))


@edge
def a_receive_comes_after_the_send() -> Edge:
    def relayed(*waits: Any) -> Scenario:
        sends = [ACCESS, op("isend", "world", 1, Value(1))]
        receives = [op("irecv", "world", 1, "x"), op("wait_requests"), ACCESS]
        relay = [op("irecv", "world", 0, "y"), *waits, op("isend", "world", 0, Value(1))]
        return scenario(rank(sends, receives), rank(relay))

    return Edge(relayed(op("wait_requests")), relayed())


@edge
def the_messages_of_a_pair_are_in_order() -> Edge:
    """The second receive gets the 2 only if the 1 was sent before."""

    def relayed(*first: Any) -> Scenario:
        sends = [ACCESS, op("isend", "world", 1, Value(1))]
        hears = [op("irecv", "world", 1, "z"), op("wait_requests"), ACCESS]
        tells = if_("y", 2, op("isend", "world", 0, Value(1)))
        relay = [*first, op("irecv", "world", 0, "y"), op("wait_requests"), tells]
        return scenario(
            rank(sends, [op("isend", "world", 1, Value(2))], hears),
            rank([op("irecv", "world", 0, "x"), op("set", "f")], relay),
        )

    return Edge(relayed(op("wait_flag", "f")), relayed(), every=False)
