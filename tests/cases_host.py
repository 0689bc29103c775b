"""Cases of the host: the two-thread event, flags, variables, locks, threads, collectives."""

from dataclasses import replace

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.scenario import If, Repeat, Scenario, Try
from tests.cases import add, case, kernel, launch, op, put, rank, scenario, spinner

# --- the two-thread event --------------------------------------------------------------------


@case("29 states: 1 ok")
def the_handshake_orders_the_reader_behind_the_writer() -> Scenario:
    return scenario(
        rank(
            [launch("k", "a", writes=("w",)), op("cpu_gpu_event_record", "e", "a")],
            [op("cpu_gpu_event_wait", "e", "b"), launch("k", "b", reads=("w",))],
        ),
        kernels=[kernel("k")],
    )


@case("33 states: 8 misuse, 1 ok")
def a_second_record_before_the_wait_is_misuse() -> Scenario:
    """It may come after the flag was cleared, too; then all is well."""
    twice = [op("cpu_gpu_event_record", "e", "a")] * 2
    return scenario(rank(twice, [op("cpu_gpu_event_wait", "e", "b")]))


@case("15 states: 1 deadlock 0.t1")
def a_second_wait_needs_a_second_record() -> Scenario:
    twice = [op("cpu_gpu_event_wait", "e", "b")] * 2
    return scenario(rank([op("cpu_gpu_event_record", "e", "a")], twice))


@case("279 states: 2 deadlock 0.a, 4 deadlock 0.a 0.b, 33 misuse")
def the_waiter_keeps_the_object_it_loaded() -> Scenario:
    """One waiter has it while the other clears the flag and a second record makes a new one.

    The new record stands behind the spinner, so whoever waits for it waits for ever.
    """
    records = [op("cpu_gpu_event_record", "e", "a")] * 2
    waits = [op("cpu_gpu_event_wait", "e", "b")]
    return scenario(
        rank([records[0], launch("spinner", "a"), records[1]], waits, waits), kernels=[spinner(1)]
    )


@case("65 states: 1 deadlock 0.t1, 1 ok")
def a_wait_that_raises_leaves_the_flag_set() -> Scenario:
    return scenario(
        rank(
            [op("cpu_gpu_event_record", "e", "a"), op("set", "done")],
            [op("wait_flag", "done"), Try((op("cpu_gpu_event_wait", "e", "b", "a3"),), ())],
            [op("cpu_gpu_event_wait", "e", "b")],
        )
    )


@case("4 states: 1 deadlock 0.t1")
def a_record_that_raises_leaves_the_flag_clear() -> Scenario:
    return scenario(
        rank(
            [Try((op("cpu_gpu_event_record", "e", "a", "b3"),), ())],
            [op("cpu_gpu_event_wait", "e", "b")],
        )
    )


# --- flags, variables, locks, threads, collectives -------------------------------------------


@case("5 states: 1 ok")
def a_flag_wakes_who_waits_and_stays_set() -> Scenario:
    waits = [op("wait_flag", "f")]
    return scenario(rank(waits, waits, [op("set", "f")]))


@case("8 states: 1 deadlock 0.t0")
def a_cleared_flag_is_waited_for_again() -> Scenario:
    body = [op("set", "f"), op("clear", "f"), op("is_set", "f", "x"), op("wait_flag", "f")]
    return scenario(rank(body, [put("y", 1)]))


@case("4 states: 1 ok x=7")
def take_leaves_nothing_behind() -> Scenario:
    body = (op("take", "x", "y"), op("take", "x", "y"))
    return scenario(rank([Try(body, (put("x", 7),))], x=1))


@case("13 states: 1 ok x=1, 2 ok x=2")
def two_increments_in_two_steps_lose_one() -> Scenario:
    """Read, then write: both threads may read 0."""
    bodies = [
        [op("put", f"y{n}", Variable("x", 1)), op("put", "x", Variable(f"y{n}"))] for n in (0, 1)
    ]
    return scenario(rank(*bodies, x=0))


@case("17 states: 2 ok x=2")
def a_lock_keeps_them_apart() -> Scenario:
    bodies = [
        [
            op("acquire", "l"),
            op("put", f"y{n}", Variable("x", 1)),
            op("put", "x", Variable(f"y{n}")),
            op("release", "l"),
        ]
        for n in (0, 1)
    ]
    return scenario(rank(*bodies, x=0))


@case("3 states: 1 ok x=False")
def a_held_lock_is_not_had_by_trying() -> Scenario:
    return scenario(rank([op("acquire", "l"), op("try_acquire", "l", "x")]))


@case("2 states: 1 misuse")
def a_lock_that_nobody_holds_is_not_released() -> Scenario:
    return scenario(rank([op("release", "l")]))


@case("1 states: 1 deadlock 0.t0 0.t1")
def join_waits_for_the_end() -> Scenario:
    return scenario(rank([op("join", "t1"), put("x", 1)], [op("wait_flag", "f"), op("die")]))


@case("5 states: 1 ok x=2")
def a_thread_is_started_once() -> Scenario:
    plan = rank([op("start", "t1"), op("join", "t1"), Try((op("start", "t1"),), ())], [put("x", 2)])
    late = replace(plan.threads[1], started=False)
    return scenario(replace(plan, threads=(plan.threads[0], late)))


@case("6 states: 1 ok x=111")
def an_error_goes_to_the_innermost_handler() -> Scenario:
    inner = Try((put("x", 1), op("raise"), put("x", 2)), (add(10),))
    return scenario(rank([Try((inner, op("raise")), (add(100),))]))


@case("6 states: 1 ok x=5")
def a_branch_takes_one_way() -> Scenario:
    is_one = Condition(Variable("x"), "==", Value(1))
    both = If(is_one, (put("x", 5),), (put("x", 1),))
    return scenario(rank([both, both], x=0))


@case("11 states: 1 ok x=15")
def a_loop_ends_after_its_rounds_or_when_its_condition_fails() -> Scenario:
    below = Condition(Variable("x"), "<", Value(12))
    return scenario(rank([Repeat(3, (add(1),)), Repeat(9, (add(4),), below)], x=0))


@case("2 states: 1 ok x=True")
def true_equals_one_as_in_python() -> Scenario:
    same = Condition(Value(True), "==", Value(1))
    return scenario(rank([op("test", same, "x")]))


@case("2 states: 1 ok x=False")
def only_numbers_are_ordered() -> Scenario:
    below = Condition(Value("a"), "<", Value("b"))
    return scenario(rank([op("test", below, "x")]))


@case("2 states: 1 misuse")
def a_join_before_the_start_is_misuse() -> Scenario:
    plan = rank([op("join", "t1")], [put("x", 1)])
    late = replace(plan.threads[1], started=False)
    return scenario(replace(plan, threads=(plan.threads[0], late)))


@case("4 states: 1 deadlock 0.t0 1.t0")
def a_barrier_waits_for_every_member() -> Scenario:
    meet = [op("barrier", "world"), put("x", 1)]
    return scenario(rank(meet), rank(meet), rank([]))


@case("12 states: 1 ok x=1")
def a_barrier_of_a_group_needs_its_members_only() -> Scenario:
    meet = [op("barrier", "some"), put("x", 1)]
    return scenario(rank(meet), rank([]), rank(meet), groups={"some": (2, 0)})


@case("7 states: 1 ok x=5")
def an_all_reduce_adds() -> Scenario:
    both = [[op("all_reduce", "world", Value(n), "x")] for n in (2, 3)]
    return scenario(*(rank(body) for body in both))


@case("4 states: 1 violation")
def collectives_of_two_kinds_do_not_pair() -> Scenario:
    return scenario(
        rank([op("barrier", "world")]), rank([op("all_reduce", "world", Value(1), "x")])
    )
