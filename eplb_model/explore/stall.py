"""Silent stalls: somebody waits for ever while others go on for ever.

An actor stalls if some fair infinite run exists in which it has work left and never moves, because
it is waiting in every state of the run from some point on.  Fair means weakly fair: whoever could
move without interruption does move.  Over a finite graph that is a strongly connected part, with
at least one step, in which the actor always waits and every other actor either moves somewhere or
is unable to move somewhere (a generalised Büchi condition, so whole components decide it).

A claim that says `eventually` is given up if some fair infinite run exists in which it is false in
every state from some point on: the same components, inside the states in which it is false.

Rule: what is looked at is a part of what can be reached, and who could move is asked of the whole
step relation, so a loop that is found is one, whatever a bound or a reduction left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from eplb_model.claims import Stated
from eplb_model.explore.search import Exploration
from eplb_model.outcome import Action, Actor


@dataclass(frozen=True, slots=True)
class Stall:
    """Who is left out, where the loop is entered, and the loop itself."""

    left_out: tuple[Actor, ...]
    entry: int
    loop: tuple[Action, ...]


def find_stall(found: Exploration) -> Stall | None:
    """The stall that is entered first, if there is one."""
    if not found.edges:
        return None
    actors = found.states[0].world.actors
    able = found.able
    busy = {n: frozenset(found.states[n].unfinished()) for n in found.edges}
    stalls: list[tuple[int, set[int]]] = []
    for actor in actors:
        waits = [n for n in found.edges if actor in busy[n] and actor not in able[n]]
        stalls += [
            (min(component), component)
            for component in _loops(found, waits)
            if all(_treated_fairly(found, component, other) for other in actors)
        ]
    if not stalls:
        return None
    entry, component = min(stalls, key=lambda stall: stall[0])
    left_out = tuple(
        actor for actor in actors if all(actor in busy[n] - able[n] for n in component)
    )
    return Stall(left_out, entry, _round_trip(found, component, entry))


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A claim that is never true again on a rank, while others go on."""

    claim: Stated
    rank: int
    entry: int
    loop: tuple[Action, ...]
    always: bool  # whether no run that goes on for ever keeps it


def given_up(found: Exploration) -> tuple[GivenUp, ...]:
    """For every claim that says `eventually`, the first loop in which it stays false, if any."""
    if not found.edges:
        return ()
    claims = found.states[0].world.claims
    each = (_given_up(found, c) for c in claims if isinstance(c, Stated) and c.kind == "eventually")
    return tuple(first for several in each if (first := next(several, None)) is not None)


def _given_up(found: Exploration, claim: Stated) -> Iterator[GivenUp]:
    """One for each rank of a claim, the one that is entered first."""
    for rank in claim.ranks(found.states[0]):
        false = {n for n in found.edges if not claim.holds_on(found.states[n], rank)}
        components = _fair_loops(found, sorted(false))
        if components:
            component = min(components, key=min)
            entry = min(component)
            everywhere = _fair_loops(found, list(found.edges))
            always = all(each <= false for each in everywhere)
            yield GivenUp(claim, rank, entry, _round_trip(found, component, entry), always)


def has_fair_loop(found: Exploration, serves: Collection[Actor] = ()) -> bool:
    """Whether some fair run goes on for ever, with each of some actors moving again and again."""
    return any(
        all(_moves_in(found, component, actor) for actor in serves)
        for component in (_fair_loops(found, list(found.edges)) if found.edges else ())
    )


def _fair_loops(found: Exploration, within: list[int]) -> list[set[int]]:
    """The strongly connected parts of some states that a fair run can stay in for ever."""
    actors = found.states[0].world.actors
    return [
        component
        for component in _loops(found, within)
        if all(_treated_fairly(found, component, actor) for actor in actors)
    ]


def _loops(found: Exploration, within: list[int]) -> list[set[int]]:
    """The strongly connected parts with at least one step, inside some states."""
    inside = set(within)
    import networkx as nx  # noqa: PLC0415 (only where programs loop: it takes as long as a check)

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(within)
    graph.add_edges_from(
        (n, target) for n in within for _, target in found.edges[n] if target in inside
    )
    return [
        component
        for component in nx.strongly_connected_components(graph)
        if len(component) > 1 or graph.has_edge(*(list(component) * 2))
    ]


def _treated_fairly(found: Exploration, component: set[int], actor: Actor) -> bool:
    return any(actor not in found.able[n] for n in component) or _moves_in(found, component, actor)


def _moves_in(found: Exploration, component: set[int], actor: Actor) -> bool:
    return any(
        step.actor == actor and target in component
        for n in component
        for step, target in found.edges[n]
    )


def _round_trip(found: Exploration, component: set[int], entry: int) -> tuple[Action, ...]:
    """A loop from the entry in which every actor of the component that moves is seen to move."""
    steps = [
        (source, action, target)
        for source in sorted(component)
        for action, target in found.edges[source]
        if target in component
    ]
    loop: list[Action] = []
    here = entry
    for source, action, target in steps:
        if action.actor not in {each.actor for each in loop}:
            loop += [*_way(steps, here, source), action]
            here = target
    return (*loop, *_way(steps, here, entry))


def _way(steps: list[tuple[int, Action, int]], source: int, target: int) -> list[Action]:
    """A shortest way through a component."""
    import networkx as nx  # noqa: PLC0415 (only where programs loop: it takes as long as a check)

    graph: nx.DiGraph[int] = nx.DiGraph()
    for here, action, there in reversed(steps):
        graph.add_edge(here, there, action=action)
    path = nx.shortest_path(graph, source, target)
    return [graph.edges[pair]["action"] for pair in pairwise(path)]
