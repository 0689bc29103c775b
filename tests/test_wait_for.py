"""The greatest stuck set and the circle."""

from __future__ import annotations

from eplb_model.explore.search import explore
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.locks import Acquire, Release
from eplb_model.ops.threads import Die
from eplb_model.step import initial
from eplb_model.wait_for import circle, stuck_set, waiting
from tests.small import gang, kernel, rank, scenario


def _only_end(described):
    found = explore(described.world)
    (number,) = [n for n in found.final if found.states[n].unfinished()]
    return found.states[number]


def test_two_threads_that_take_two_locks_in_opposite_order_form_a_circle_of_two():
    state = _only_end(
        scenario(
            rank(
                [Acquire("x"), Acquire("y"), Release("y"), Release("x")],
                [Acquire("y"), Acquire("x"), Release("x"), Release("y")],
            )
        )
    )
    ring = circle(waiting(state), stuck_set(state))

    assert [str(actor) for actor in ring] == ["0.a", "0.b", "0.a"]


def test_a_chain_that_ends_at_a_dead_thread_has_no_circle():
    state = _only_end(
        scenario(rank([Acquire("x"), Set("go"), Die()], [WaitFlag("go"), Acquire("x")]))
    )

    assert {str(actor) for actor in stuck_set(state)} == {"0.b"}
    assert circle(waiting(state), stuck_set(state)) == ()


def test_one_of_two_holders_is_enough_so_a_gang_is_not_stuck_while_one_can_leave():
    spins = kernel("spins", 1, until="never")
    leaves = kernel("leaves", 1)
    wants = gang("wants", 3)
    world = scenario(
        rank(
            [Launch("spins", "s"), Launch("leaves", "t"), Launch("wants", "u")],
            streams=("s", "t", "u"),
        ),
        kernels=[spins, leaves, wants],
    ).world
    found = explore(world)
    waits = {
        str(each.actor): each.on
        for state in found.states
        for each in waiting(state)
        if len(state.devices[0].arrived) == 3 and str(each.actor) == "0.u"
    }

    assert [tuple(map(str, clause)) for clause in waits["0.u"]] == [("0.s", "0.t")]
    ends = [found.states[n] for n in found.final]
    assert [{str(actor) for actor in stuck_set(end)} for end in ends] == [{"0.s"}] * len(ends)


def test_nobody_is_stuck_at_the_start():
    assert stuck_set(initial(scenario(rank([Set("x")], [WaitFlag("x")])).world)) == frozenset()
