"""Cases of claims, of what members of a collective must bring equal, and of forbidden waits."""

from typing import Any

from eplb_model.claims import Agree, Stated, StatedKind
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.marks import UNRECORDED
from eplb_model.scenario import Scenario
from tests.cases import case, op, put, rank, scenario

FORBID = frozenset({UNRECORDED})


def _is(kind: StatedKind, name: str, value: Any, on: int | None = None) -> Stated:
    """The claim that a variable has a value; its sentence is the claim itself."""
    condition = Condition(Variable(name), "==", Value(value))
    return Stated(kind, condition, f"{kind} {condition}", None if on is None else (on,))


def _votes(*steps: int | None) -> list[Any]:
    return [rank([op("barrier", "world", agree=Value(step))]) for step in steps]


@case("7 states: 1 ok")
def members_that_bring_the_same_step_pair() -> Scenario:
    return scenario(*_votes(1, 1))


@case("4 states: 1 violation")
def members_that_bring_different_steps_do_not_pair() -> Scenario:
    return scenario(*_votes(1, 2))


@case("7 states: 1 ok")
def a_member_that_brings_null_says_nothing_about_the_step() -> Scenario:
    return scenario(*_votes(None, 2))


@case("4 states: 1 violation")
def reduced_values_may_differ_where_their_sizes_may_not() -> Scenario:
    return scenario(
        *(rank([op("all_reduce", "world", Value(n), "x", "sum", agree=Value(n))]) for n in (2, 3))
    )


@case("2 states: 1 violation")
def a_forbidden_wait_on_an_unrecorded_event_raises() -> Scenario:
    wait = [op("stream_wait_event", "b", "e"), op("record_event", "e", "a")]
    return scenario(rank(wait), forbids=FORBID)


@case("2 states: 1 violation")
def a_forbidden_synchronise_with_an_unrecorded_event_raises() -> Scenario:
    wait = [op("event_synchronize", "e"), op("record_event", "e", "a")]
    return scenario(rank(wait), forbids=FORBID)


@case("5 states: 1 ok")
def a_wait_on_a_record_that_is_done_is_not_forbidden() -> Scenario:
    wait = [op("record_event", "e", "a"), op("stream_wait_event", "b", "e")]
    return scenario(rank(wait), forbids=FORBID)


@case("245 states: 16 misuse, 2 ok, 4 violation")
def a_wait_for_an_object_that_was_replaced_and_not_recorded_is_forbidden() -> Scenario:
    """Two producers: one has replaced the object, the other sets the flag."""
    record = [op("cpu_gpu_event_record", "c", "a")]
    wait = [op("cpu_gpu_event_wait", "c", "b")]
    return scenario(rank(record, record, wait), forbids=FORBID)


@case("2 states: 1 violation")
def an_always_claim_ends_a_run_at_the_first_state_without_it() -> Scenario:
    body = [put("x", 1), put("x", 0)]
    return scenario(rank(body, x=0), claims=(_is("always", "x", 0),))


@case("1 states: 1 violation")
def an_always_claim_is_asked_of_the_initial_state() -> Scenario:
    return scenario(rank([put("x", 0)]), claims=(_is("always", "x", 0),))


@case("6 states: 1 ok x=1")
def a_claim_on_one_rank_is_not_about_the_others() -> Scenario:
    claims = (_is("always", "x", 0, on=1),)
    return scenario(rank([put("x", 1)]), rank([put("y", 1), put("y", 2)], x=0), claims=claims)


@case("3 states: 1 ok x=0")
def a_claim_about_the_end_is_not_about_what_was_before() -> Scenario:
    return scenario(rank([put("x", 1), put("x", 0)]), claims=(_is("at_end", "x", 0),))


@case("2 states: 1 violation")
def a_claim_about_the_end_is_broken_by_a_run_that_ends_otherwise() -> Scenario:
    return scenario(rank([put("x", 1)]), claims=(_is("at_end", "x", 0),))


@case("2 states: 1 deadlock 0.t0")
def a_deadlock_is_no_end() -> Scenario:
    body = [put("x", 1), op("wait_flag", "f")]
    return scenario(rank(body), claims=(_is("at_end", "x", 0),))


@case("2 states: 1 violation")
def a_run_that_ends_comes_to_nothing_else() -> Scenario:
    return scenario(rank([put("x", 1)]), claims=(_is("eventually", "x", 0),))


@case("3 states: 1 ok x=0")
def a_run_that_ends_with_it_has_come_to_it() -> Scenario:
    return scenario(rank([put("x", 1), put("x", 0)]), claims=(_is("eventually", "x", 0),))


@case("8 states: 1 ok x=1, 1 violation")
def ranks_agree_where_their_keys_are_equal() -> Scenario:
    """Rank 1 has another value at first: it may take the key before or after it is corrected."""
    other = rank([op("put", "key", Value(1))], [put("x", 1)], x=2)
    here = rank([op("put", "key", Value(1))], x=1)
    return scenario(here, other, claims=(Agree("x", "key", "ranks agree"),))


@case("4 states: 1 ok x=1")
def ranks_at_different_keys_may_differ() -> Scenario:
    plans = [rank([op("put", "key", Value(n))], x=n) for n in (1, 2)]
    return scenario(*plans, claims=(Agree("x", "key", "ranks agree"),))


@case("4 states: 1 ok x=1")
def a_null_key_is_equal_to_no_key() -> Scenario:
    plans = rank([op("put", "key", Value(None))], x=1), rank([put("y", 2)], x=2)
    return scenario(*plans, claims=(Agree("x", "key", "ranks agree"),))


@case("4 states: 1 violation")
def a_send_that_nobody_receives_is_left_in_the_mail() -> Scenario:
    return scenario(rank([op("isend", "world", 1, Value(1))]), rank([put("y", 1)]))


@case("3 states: 1 ok")
def a_send_of_a_thread_that_died_is_no_finding() -> Scenario:
    return scenario(rank([op("isend", "world", 1, Value(1)), op("die")]), rank([]))
