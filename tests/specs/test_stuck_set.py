"""The fixpoint rule for deadlock: specs/proofs/stuck_set.md, its hypotheses and what needs them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from eplb_model.explore.search import explore
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import AwaitComplete, Launch
from eplb_model.outcome import Action, Actor, Wait
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.strategies import schedules
from eplb_model.trace import replay
from eplb_model.wait_for import circle, stuck_set, waiting
from tests.generated import any_scenario, seldom
from tests.small import gang, kernel, rank, scenario

Clause = frozenset[Actor]


def clauses(state: State) -> dict[Actor, set[Clause]]:
    """What each blocked actor names; who is named and has no work left counts for nothing."""
    alive = frozenset(state.unfinished())
    return {each.actor: {alive & set(clause) for clause in each.on} for each in waiting(state)}


def unaccounted(states: Sequence[State], schedule: Sequence[Action]) -> list[Actor]:
    """Whom a step frees although a reason that was named since has not been touched.

    A reason is touched when one of its actors moves or is freed; of those that one step frees,
    each has to be accounted for by who took it or by those accounted for before.
    """
    named = clauses(states[0])
    wrong: list[Actor] = []
    for action, after in zip(schedule, states[1:], strict=True):
        later = clauses(after)
        left = {action.actor, *(set(named) - set(later))}
        accounted = {action.actor}
        while more := {a for a in left - accounted if all(c & accounted for c in named[a])}:
            accounted |= more
        wrong += left - accounted
        kept = {a: {c for c in named.get(a, ()) if not c & left} for a in later}
        named = {a: kept[a] | reasons for a, reasons in later.items()}
    return wrong


@seldom
@given(st.data())
def test_whoever_is_freed_had_named_somebody_who_moved_or_was_freed_in_every_clause(data):
    """The hypothesis of the proof, on any run."""
    drawn = data.draw(any_scenario)
    schedule = data.draw(schedules(drawn, 60))
    states = replay(drawn.world, schedule).states

    assert unaccounted(states, schedule) == []


def only_run(described: Scenario) -> tuple[Sequence[State], Sequence[Action]]:
    found = explore(described.world)
    schedule = found.way_to(len(found.states) - 1)
    return replay(described.world, schedule).states, schedule


HANDED_OVER = scenario(rank([Set("go")], [WaitFlag("go"), Set("done")]))


def test_a_guard_that_names_nobody_breaks_the_hypothesis_and_the_theorem(monkeypatch):
    """Without the hypothesis the set holds somebody who goes on a step later."""
    states, schedule = only_run(HANDED_OVER)
    assert unaccounted(states, schedule) == []
    assert stuck_set(states[0]) == frozenset()

    guard = WaitFlag.guard

    def silent(self: WaitFlag, state: State, me: Actor) -> Wait | None:
        return guard(self, state, me) and Wait(lambda: ("waits for nobody", ((),)))

    monkeypatch.setattr(WaitFlag, "guard", silent)
    states[0].world.answers.clear()  # what was asked under the other law

    (waiter,) = unaccounted(states, schedule)
    assert stuck_set(states[0]) == {waiter}
    assert waiter in {action.actor for action in schedule}


def test_a_circle_of_waits_is_no_deadlock_where_one_of_several_is_enough():
    """Two streams that could free each other, and a third that could free the one."""
    leaves, spins = kernel("leaves"), kernel("spins", until="go")
    wants = gang("wants", 3)
    described = scenario(
        rank(
            [
                Launch("spins", "s"),
                Launch("leaves", "t"),
                Launch("wants", "u"),
                AwaitComplete("wants"),
                Set("go"),
            ],
            streams=("s", "t", "u"),
        ),
        kernels=[spins, leaves, wants],
    )
    everybody = frozenset(described.world.actors)
    found = explore(described.world)
    rings = [
        state
        for state in found.states
        if circle(waiting(state), everybody) and not stuck_set(state)
    ]

    assert rings
    assert all(not found.states[number].unfinished() for number in found.final)
