"""Who waits for whom: the greatest stuck set, and the circle that explains it.

Rule H1: start with everybody who has work left; take away whoever could move if all those outside
the set finished and let go, while those inside keep what they hold; repeat.  What remains can
never move again.  A search for cycles alone would cry wolf, because a wait for SMs is a wait for
one of several holders (H2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eplb_model.outcome import Actor, Clauses, Waiting
from eplb_model.state import State
from eplb_model.step import all_options
from eplb_model.words import actor_kind


def waiting(state: State) -> tuple[Waiting, ...]:
    """Every actor with work left that can't move now: why, on whom, and what it is doing."""
    found: dict[Actor, list[tuple[str, Clauses]]] = {}
    moving = set()
    for (actor, _), wait in all_options(state):
        if wait is None:
            moving.add(actor)
        else:
            found.setdefault(actor, []).append(wait.told)
    return tuple(
        Waiting(
            actor,
            _reasons(waits),
            tuple(dict.fromkeys(on for _, on in waits)),
            doing(state, actor),
            actor_kind(state.world, actor),
        )
        for actor, waits in found.items()
        if actor not in moving
    )


def stuck_set(state: State, waits: Iterable[Waiting] | None = None) -> frozenset[Actor]:
    """The greatest set of actors that can never move again; empty if everybody may get on.

    `waits` is what `waiting` says of the state, if somebody has asked already.
    """
    all_waits = {each.actor: each for each in (waiting(state) if waits is None else waits)}
    stuck = frozenset(all_waits)
    alive = frozenset(state.unfinished())
    while True:
        helpers = alive - stuck
        left = frozenset(actor for actor in stuck if _blocked(all_waits[actor], helpers))
        if left == stuck:
            return stuck
        stuck = left


def circle(waits: Iterable[Waiting], stuck: frozenset[Actor]) -> tuple[Actor, ...]:
    """The shortest circle of waits among stuck actors, closed; empty if the chain ends dead."""
    edges: dict[Actor, dict[Actor, None]] = {}
    for each in waits:
        if each.actor in stuck:
            inside = [
                clause
                for clauses in each.alternatives
                for clause in clauses
                if stuck.issuperset(clause)
            ]
            edges[each.actor] = dict.fromkeys(
                sorted({other for clause in inside for other in clause})
            )
    start = _on_a_shortest_ring(edges)
    return () if start is None else (*_ring_through(edges, start), start)


def doing(state: State, actor: Actor) -> str:
    """What a stream has at its head, and which thread put it there."""
    head = state.head(actor) if actor.is_stream else None
    if head is None:
        return ""
    by = state.world.threads[head.by].name
    what = head.work.kind if head.work.kernel is None else f"kernel {head.work.kernel}"
    return f"{what}, launched by thread {by}"


def _blocked(each: Waiting, helpers: frozenset[Actor]) -> bool:
    """Whether each of its next steps has a clause that names nobody who could still help."""
    return all(
        any(helpers.isdisjoint(clause) for clause in clauses) for clauses in each.alternatives
    )


def _reasons(waits: list[tuple[str, Clauses]]) -> str:
    return "; ".join(dict.fromkeys(why for why, _ in waits))


Edges = Mapping[Actor, Mapping[Actor, None]]


def _on_a_shortest_ring(edges: Edges) -> Actor | None:
    """The first actor on a cycle as short as any.  Sets of actors are bits of a number here."""
    place = {actor: number for number, actor in enumerate(sorted(edges))}
    after = [sum(1 << place[other] for other in edges[actor] if other in place) for actor in place]
    before = _turned(after)
    unions: dict[int, int] = {}  # many wait for the same ones
    shortest, found = len(place) + 1, None
    for actor, number in place.items():
        if after[number] >> number & 1:
            return actor
        reached, seen, length = after[number], 0, 2
        while reached and length < shortest:
            if reached & before[number]:
                shortest, found = length, actor
                break
            seen |= reached
            if reached not in unions:
                unions[reached] = _all_after(reached, after)
            reached = unions[reached] & ~seen
            length += 1
    return found


def _turned(after: list[int]) -> list[int]:
    """Who comes before each, from who comes after."""
    before = [0] * len(after)
    for number, following in enumerate(after):
        left = following
        while left:
            lowest = left & -left
            before[lowest.bit_length() - 1] |= 1 << number
            left ^= lowest
    return before


def _all_after(reached: int, after: list[int]) -> int:
    """The union of what follows each of some actors."""
    union = 0
    while reached:
        lowest = reached & -reached
        union |= after[lowest.bit_length() - 1]
        reached ^= lowest
    return union


def _ring_through(edges: Edges, start: Actor) -> list[Actor]:
    """A shortest cycle through an actor; among equals the first in actor order."""
    paths = {start: [start]}
    level = [start]
    while level:
        closing = [paths[actor] for actor in level if start in edges.get(actor, ())]
        if closing:
            return min(closing)
        following = []
        for actor in level:
            for other in edges.get(actor, ()):
                if other not in paths:
                    paths[other] = [*paths[actor], other]
                    following.append(other)
        level = following
    raise AssertionError(f"[model bug] no way from {start} back to it")
