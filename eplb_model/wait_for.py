"""Who waits for whom: the greatest stuck set, and the circle that explains it.

Rule H1: start with everybody who has work left; take away whoever could move if all those outside
the set finished and let go, while those inside keep what they hold; repeat.  What remains can
never move again.  A search for cycles alone would cry wolf, because a wait for SMs is a wait for
one of several holders (H2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from eplb_model.outcome import Actor, Clauses, Waiting
from eplb_model.state import State
from eplb_model.step import options
from eplb_model.words import actor_kind

MOST_CLAUSES = 4_096


def waiting(state: State) -> tuple[Waiting, ...]:
    """Every actor with work left that can't move now: why, on whom, and what it is doing."""
    return tuple(
        Waiting(
            actor,
            _reasons(waits),
            _either([on for _, on in waits]),
            doing(state, actor),
            actor_kind(state.world, actor),
        )
        for actor, waits in _waits(state).items()
    )


def stuck_set(state: State) -> frozenset[Actor]:
    """The greatest set of actors that can never move again; empty if everybody may get on.

    Whoever has several next steps is blocked if each of them is.
    """
    waits = {actor: [on for _, on in each] for actor, each in _waits(state).items()}
    stuck = frozenset(waits)
    alive = frozenset(state.unfinished())
    while True:
        helpers = alive - stuck
        left = frozenset(
            actor for actor in stuck if all(_blocked(on, helpers) for on in waits[actor])
        )
        if left == stuck:
            return stuck
        stuck = left


def _waits(state: State) -> dict[Actor, list[tuple[str, Clauses]]]:
    """For every actor that can't move, why and on whom, for each of its next steps."""
    found: dict[Actor, list[tuple[str, Clauses]]] = {}
    moving = set()
    for (actor, _), wait in options(state):
        if wait is None:
            moving.add(actor)
        else:
            found.setdefault(actor, []).append(wait.told)
    return {actor: waits for actor, waits in found.items() if actor not in moving}


def circle(waits: Iterable[Waiting], stuck: frozenset[Actor]) -> tuple[Actor, ...]:
    """The shortest circle of waits among stuck actors, closed; empty if the chain ends dead."""
    graph: nx.DiGraph[Actor] = nx.DiGraph()
    for each in waits:
        if each.actor in stuck:
            inside = [clause for clause in each.on if set(clause) <= stuck]
            graph.add_edges_from((each.actor, other) for clause in inside for other in clause)
    best: list[Actor] = []
    for component in nx.strongly_connected_components(graph):
        ring = _shortest_ring(graph.subgraph(component))
        if ring and (not best or (len(ring), ring) < (len(best), best)):
            best = ring
    return (*best, best[0]) if best else ()


def doing(state: State, actor: Actor) -> str:
    """What a stream has at its head, and which thread put it there."""
    head = state.head(actor) if actor.is_stream else None
    if head is None:
        return ""
    by = state.world.threads[head.by].name
    what = head.work.kind if head.work.kernel is None else f"kernel {head.work.kernel}"
    return f"{what}, launched by thread {by}"


def _blocked(on: Clauses, helpers: frozenset[Actor]) -> bool:
    """Whether some clause names nobody who could still help."""
    return any(not set(clause) & helpers for clause in on)


def _reasons(waits: list[tuple[str, Clauses]]) -> str:
    return "; ".join(dict.fromkeys(why for why, _ in waits))


def _either(alternatives: list[Clauses]) -> Clauses:
    """The waits of an actor with several next steps: it moves once one of them can be taken.

    Among many peers that has too many clauses to write down; then those of the first step that are
    there stand for all, since none of the steps can be taken.
    """
    alternatives = list(dict.fromkeys(alternatives))
    clauses: set[tuple[Actor, ...]] = {()}
    for on in alternatives:
        if len(clauses) * len(on) > MOST_CLAUSES:
            return tuple(sorted(alternatives[0]))
        clauses = {tuple(sorted({*left, *right})) for left in clauses for right in on}
    return tuple(sorted(clauses))


def _shortest_ring(graph: nx.DiGraph[Actor]) -> list[Actor]:
    """The shortest cycle, from its first actor; among equals the first in actor order."""
    rings = [_ring_through(graph, node) for node in sorted(graph)]
    found = [ring for ring in rings if ring]
    return min(found, key=lambda ring: (len(ring), ring)) if found else []


def _ring_through(graph: nx.DiGraph[Actor], start: Actor) -> list[Actor]:
    paths: Mapping[Actor, list[Actor]] = nx.single_source_shortest_path(graph, start)
    closing = [paths[node] for node in sorted(graph.predecessors(start)) if node in paths]
    return min(closing, key=lambda path: (len(path), path)) if closing else []
