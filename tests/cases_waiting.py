"""Cases of a kernel that waits for SMs: whom it keeps from those that are free.  G12, G17-G17c."""

from dataclasses import replace
from typing import Literal

from eplb_model.machine import Machine
from eplb_model.scenario import Scenario
from eplb_model.world import Kernel, Stream
from tests.cases import TINY, case, gang, kernel, launch, rank, scenario, spinner


def behind_a_waiting_kernel(
    waiting: Kernel,
    *,
    held: int = 2,
    priority: int = 0,
    machine: Machine = TINY,
    later: Literal["regular", "cooperative"] = "regular",
    footprint: str = "tiny",
) -> Scenario:
    """`held` SMs are held for ever, `waiting` gets only a part, then comes a kernel that fits."""
    body = [launch("spinner", "a"), launch(waiting.name, "b"), launch("small", "c")]
    return scenario(
        rank(body, streams=("a", "b", Stream("c", priority))),
        kernels=[spinner(held), waiting, kernel("small", footprint=footprint, launch=later)],
        machine=machine,
    )


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g17_a_partly_placed_kernel_stops_a_later_one_of_its_priority() -> Scenario:
    return behind_a_waiting_kernel(kernel("waiting", 3, until="go"))


@case("5 states: 1 deadlock 0.a 0.b")
def g17b_a_gang_passes_a_waiting_regular_kernel() -> Scenario:
    return behind_a_waiting_kernel(kernel("waiting", 3, until="go"), later="cooperative")


@case("5 states: 1 deadlock 0.a 0.b")
def g17_it_does_not_stop_one_of_higher_priority() -> Scenario:
    return behind_a_waiting_kernel(kernel("waiting", 3, until="go"), priority=-1)


@case("5 states: 1 deadlock 0.a 0.b")
def g17c_a_waiting_kernel_of_clusters_leaves_small_groups_to_others() -> Scenario:
    return behind_a_waiting_kernel(
        kernel("waiting", 6, cluster=3, until="go"), machine=replace(TINY, groups=(4, 2))
    )


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g17c_a_waiting_kernel_of_clusters_keeps_the_groups_it_could_be_in() -> Scenario:
    return behind_a_waiting_kernel(kernel("waiting", 4, cluster=2, until="go"))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def a_kernel_without_a_seat_stops_its_priority_too() -> Scenario:
    return behind_a_waiting_kernel(kernel("waiting", 1, until="go"), held=4)


@case("5 states: 1 deadlock 0.a 0.b")
def the_switch_empty_waiter_blocks_says_so() -> Scenario:
    return behind_a_waiting_kernel(
        kernel("waiting", 1, until="go"),
        held=4,
        machine=TINY.with_switch("empty_waiter_blocks", "off"),
    )


# The same where kernels don't share an SM, so that Promela has words for it: two SMs stay free.


def behind_a_cluster_of_four(
    *,
    priority: int = 0,
    machine: Machine = TINY,
    later: Literal["regular", "cooperative"] = "regular",
) -> Scenario:
    """Two of four SMs are held, a cluster of four waits, then comes a kernel of one SM."""
    waiting = kernel("waiting", 4, cluster=4, until="go")
    return behind_a_waiting_kernel(
        waiting, priority=priority, machine=machine, later=later, footprint="exclusive"
    )


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g17c_a_cluster_that_waits_keeps_free_sms_of_its_group() -> Scenario:
    return behind_a_cluster_of_four()


@case("5 states: 1 deadlock 0.a 0.b")
def g17c_but_not_those_of_groups_that_are_too_small_for_it() -> Scenario:
    return behind_a_waiting_kernel(
        kernel("waiting", 6, cluster=3, until="go"),
        machine=replace(TINY, groups=(4, 2, 2)),
        footprint="exclusive",
    )


@case("5 states: 1 deadlock 0.a 0.b")
def g17b_a_gang_passes_a_cluster_that_waits() -> Scenario:
    return behind_a_cluster_of_four(later="cooperative")


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def unless_the_switch_clustered_waiter_blocks_gangs_says_otherwise() -> Scenario:
    machine = TINY.with_switch("clustered_waiter_blocks_gangs", "on")
    return behind_a_cluster_of_four(later="cooperative", machine=machine)


@case("5 states: 1 deadlock 0.a 0.b")
def g17_a_cluster_that_waits_keeps_nothing_from_an_urgent_kernel() -> Scenario:
    return behind_a_cluster_of_four(priority=-1)


@case("5 states: 1 deadlock 0.a 0.b")
def nor_from_anybody_where_the_switch_empty_waiter_blocks_says_so() -> Scenario:
    return behind_a_cluster_of_four(machine=TINY.with_switch("empty_waiter_blocks", "off"))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g12_a_pending_gang_stops_an_urgent_kernel_that_would_fit() -> Scenario:
    return scenario(
        rank(
            [launch("spinner", "a"), launch("gang", "b"), launch("one", "c")],
            streams=("a", "b", Stream("c", -1)),
        ),
        kernels=[spinner(2), gang("gang", 3), kernel("one")],
    )
