"""The fast search beside the plain one: the same answer, and the same deadlocks up to renaming."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

from eplb_model.check import Search, check
from eplb_model.explore.fast.alone import NotCovered
from eplb_model.explore.fast.answer import Answer, answer
from eplb_model.explore.search import Bounds, explore
from eplb_model.outcome import Action, Report
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.trace import replay
from eplb_model.world import World


def disagreement(scenario: Scenario, most_states: int) -> str | None:
    """How the two searches differ; nothing if they agree.

    Raises `NotCovered` where the fast search says nothing or the plain one is too large.
    """
    fast = check(scenario, Search())
    found = explore(scenario.world, "bfs", Bounds(max_states=most_states))
    if fast.declined is not None or found.cut is not None:
        raise NotCovered(fast.declined or "too large for the plain search")
    plain = check(scenario, Search(settle=False))
    if answered(fast) != answered(plain):
        return f"{answered(fast)} instead of {answered(plain)}"
    if fast.verdict == "deadlock" and steps_of(fast) != steps_of(plain):
        return f"{steps_of(fast)} steps to a deadlock instead of {steps_of(plain)}"
    if plain.verdict not in ("ok", "deadlock"):
        return None  # the plain search stops where a property breaks
    dead = {without_seats(found.states[n]) for n in found.final if found.states[n].unfinished()}
    said = said_of(scenario.world)
    mine = deadlocks(said)
    return None if mine == dead else f"{len(mine)} deadlocks instead of {len(dead)}"


def said_of(world: World, *, symmetry: bool = True, folding: bool = True) -> Answer:
    """The whole answer of the fast search."""
    return answer(world, symmetry, None, lambda: None, folding=folding)


def answered(report: Report) -> tuple[object, ...]:
    return report.verdict, report.when, report.serialised, sorted(report.ends)


def steps_of(report: Report) -> int | None:
    return None if report.finding is None else len(report.finding.schedule)


def deadlocks(said: Answer) -> set[State]:
    """The deadlocks that were found, under every renaming of ranks that keeps the roles."""
    return {
        without_seats(replay(said.found.roles.world, run).last)
        for number in said.ends.get("deadlock", ())
        for run in renamed(said, said.run_to(number).schedule)
    }


def renamed(said: Answer, schedule: tuple[Action, ...]) -> Iterator[tuple[Action, ...]]:
    """A run as other ranks of the same roles would make it."""
    roles = [role.members for role in said.found.roles.roles]
    actors = {str(actor): actor for actor in said.found.roles.world.actors}
    for chosen in product(*(permutations(members) for members in roles)):
        order = {
            rank: other
            for members, mine in zip(roles, chosen, strict=True)
            for rank, other in zip(members, mine, strict=True)
        }
        yield tuple(
            Action(actors[f"{order[actor.rank]}.{actor.name}"], choice)
            for actor, choice in schedule
        )


def without_seats(state: State) -> State:
    """A state whichever SMs are held in it, and whoever had to wait before."""
    devices = tuple(
        device._replace(
            arrived=tuple(run._replace(seats=bytes(len(run.seats))) for run in device.arrived)
        )
        for device in state.devices
    )
    return state._replace(devices=devices, waited=False)
