"""The fast search: how many ranks are in which kind, and nothing else.

A state says of each kind how many ranks are in it.  Ranks go on by themselves as far as persistent
sets carry them, all of one kind together; only where ways part does it matter how many take which.

Rules:
- A rank rests where its next step needs what peers have not done, or where a step that it could
  take does not commute with one that waits for peers.
- Where all ranks rest and some can still move, the steps of a stubborn set are followed one by one:
  one rank, and for each of its waiting steps one rank that has not done what it waits for, and so
  on (Valmari 1990).
- Whether any kernel of any rank had to wait is kept beside the kinds, once for the whole machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple

from eplb_model.explore.fast.roles import Roles, Step

SPAN = 2  # laps that a rank gets by itself, at most, where what is known of it is used again

Kinds = tuple[tuple[int, int], ...]  # kind and how many ranks are in it, kinds ascending


class Place(NamedTuple):
    """A state of the fast search."""

    kinds: Kinds
    waited: bool


class Outcome(NamedTuple):
    """Where a rank comes to rest, and whether a kernel had to wait on the way."""

    by: int  # from the number of its kind to that of the one it rests in
    waits: bool


Rests = Mapping[Outcome, tuple[Step, ...]]  # each with a shortest way


class Followed(NamedTuple):
    """Where a rank gets by itself, and how many laps that was about."""

    rests: Rests
    passed: int  # laps on the way
    reach: int | None  # holds for so many laps left or more; None: for the very number only


class Turn(NamedTuple):
    """How a state was reached: ranks of one kind went each of these ways."""

    before: int
    kind: int
    ways: tuple[tuple[tuple[Step, ...], int], ...]  # a way, and how many ranks took it


@dataclass(slots=True)
class Found:
    """What the fast search reached, in the order in which it was found."""

    roles: Roles
    places: list[Place] = field(default_factory=list)
    turns: list[Turn | None] = field(default_factory=list)
    steps_to: list[int] = field(default_factory=list)  # arcs on the way there
    transitions: int = 0
    final: list[int] = field(default_factory=list)
    cut: str | None = None


def explore_fast(
    roles: Roles,
    max_states: int | None,
    enough: Callable[[], str | None],
    *,
    depth_first: bool = False,
) -> Found:
    """Visit every state, breadth first or depth first."""
    return _Search(roles, max_states, enough).run(depth_first)


class _Search:
    def __init__(
        self, roles: Roles, max_states: int | None, enough: Callable[[], str | None]
    ) -> None:
        self._max_states, self._enough = max_states, enough
        self._todo: deque[int] = deque()
        self._roles = roles
        self._at = cache(roles.at)
        self._layout = roles.layout
        self._undone = cache(partial(roles.undone, rows=roles.layout.rows + SPAN))
        # By kind, as it is in the first lap, and what others have not done; and near the end.
        self._followed: dict[tuple[int, int, bool], Followed] = {}
        self._near_the_end: dict[tuple[int, int, bool], Followed] = {}
        self.found = Found(roles)
        self._known: dict[Place, int] = {}

    def run(self, depth_first: bool) -> Found:
        found = self.found
        start = tuple(sorted((role.first, len(role.members)) for role in self._roles.roles))
        self._visit(Place(start, False), None, 0)
        while self._todo:
            found.cut = found.cut or self._bound()
            if found.cut is not None:
                break
            at = self._todo.pop() if depth_first else self._todo.popleft()
            if not self._expand(at):
                found.final.append(at)
        return found

    def _bound(self) -> str | None:
        """The bound that ends the search now."""
        most = self._max_states
        if most is not None and len(self.found.places) >= most:
            return "max_states"
        return self._enough()

    def _visit(self, place: Place, turn: Turn | None, steps: int) -> None:
        if place in self._known:
            return
        self._known[place] = len(self.found.places)
        self._todo.append(len(self.found.places))
        self.found.places.append(place)
        self.found.turns.append(turn)
        self.found.steps_to.append(steps)

    # --- one state -----------------------------------------------------------------------------

    def _expand(self, at: int) -> bool:
        """Follow what has to be followed; false if nobody can move."""
        place = self.found.places[at]
        missing = self._missing(place.kinds)
        moving: tuple[int, int, Rests] | None = None
        for kind, count in place.kinds:
            outcomes = self._rests(kind, missing[kind], place)
            if len(outcomes) == 1 and Outcome(0, place.waited) in outcomes:
                continue
            if moving is None or len(outcomes) < len(moving[2]):
                moving = kind, count, outcomes
                if len(outcomes) == 1:
                    break
        if moving is not None:
            self._move_together(at, *moving)
            return True
        alone = self._stubborn(place.kinds, missing)
        for kind, step in alone:
            self._arrive(at, kind, (((step,), 1),), ((Outcome(step.by, step.waits), 1),))
        return bool(alone)

    def _move_together(self, at: int, kind: int, count: int, outcomes: Rests) -> None:
        """All ranks of a kind go on; every number of them may take each way."""
        ends = list(outcomes)
        for number, shares in enumerate(_shares(count, len(ends))):
            if number % 256 == 255:  # there may be very many
                self.found.cut = self._bound()
                if self.found.cut is not None:
                    return
            parts = tuple((end, n) for end, n in zip(ends, shares, strict=True) if n)
            ways = tuple((outcomes[end], n) for end, n in parts)
            self._arrive(at, kind, ways, parts)

    def _arrive(
        self,
        at: int,
        kind: int,
        ways: tuple[tuple[tuple[Step, ...], int], ...],
        parts: tuple[tuple[Outcome, int], ...],
    ) -> None:
        place = self.found.places[at]
        counts = dict(place.kinds)
        moved = sum(n for _, n in parts)
        counts[kind] -= moved
        waited = place.waited
        for end, n in parts:
            counts[kind + end.by] = counts.get(kind + end.by, 0) + n
            waited = waited or end.waits
        kinds = tuple(sorted((each, n) for each, n in counts.items() if n))
        length = self.found.steps_to[at] + sum(len(way) * n for way, n in ways)
        self.found.transitions += 1
        self._visit(Place(kinds, waited), Turn(at, kind, ways), length)

    def _missing(self, kinds: Kinds) -> dict[int, int]:
        """For a rank of each kind, what some other rank has not done, seen from its lap."""
        there = [(kind, count, self._at(kind)) for kind, count in kinds]
        found: dict[int, int] = {}
        for lap in dict.fromkeys(at.lap for _, _, at in there):
            someone = several = 0
            mine = []
            for kind, count, at in there:
                bits = self._undone(at.flat, at.lap - lap)
                several |= bits if count > 1 else someone & bits
                someone |= bits
                if at.lap == lap:
                    mine.append((kind, bits))
            for kind, bits in mine:
                found[kind] = several | someone & ~bits
        return found

    def _all_missing(self, kind: int, place: Place) -> int:
        """The same for one kind, in all bodies that are left."""
        me = self._at(kind)
        rows = self._layout.rows + me.role.laps - me.lap
        bits = 0
        for other, count in place.kinds:
            if other != kind or count > 1:
                at = self._at(other)
                bits |= self._roles.undone(at.flat, at.lap - me.lap, rows)
        return bits

    # --- one rank ------------------------------------------------------------------------------

    def _rests(self, kind: int, missing: int, place: Place) -> Rests:
        """Where a rank gets by itself while nobody else moves, each with a shortest way."""
        at = self._at(kind)
        left = at.role.laps - at.lap
        key = at.flat, missing, place.waited
        known = self._followed.get(key) if left else None
        if known is not None and known.reach is not None and known.reach <= left:
            return known.rests
        whole = self._all_missing(kind, place) if left else missing
        known = self._near_the_end.get((kind, whole, place.waited))
        if known is None:
            known = self._follow(kind, whole, place.waited)
            if known.reach is None or known.passed > SPAN:
                self._near_the_end[kind, whole, place.waited] = known
            else:
                self._followed[key] = known
        return known.rests

    def _follow(self, kind: int, missing: int, waited: bool) -> Followed:
        first = self._at(kind).lap
        ways: dict[Outcome, tuple[Step, ...]] = {Outcome(0, waited): ()}
        frontier = [Outcome(0, waited)]
        rests = {}
        furthest, reach = 0, 0
        ends = False
        for here in frontier:
            at = self._at(kind + here.by)
            passed, left = at.lap - first, at.role.laps - at.lap
            sets = at.role.persistent[here.waits].sets(at.here, left)
            furthest = max(furthest, passed)
            if sets.reach is None:
                ends = True
            else:
                reach = max(reach, passed + sets.reach)
            steps = self._first_able(at.steps, sets.found, missing, passed)
            if not steps:
                rests[here] = ways[here]
            for step in steps:
                there = Outcome(here.by + step.by, here.waits or step.waits)
                if there not in ways:
                    ways[there] = (*ways[here], step)
                    frontier.append(there)
        return Followed(rests, furthest, None if ends else reach)

    def _first_able(
        self, able: Sequence[Step], sets: Sequence[frozenset[int]], missing: int, passed: int
    ) -> list[Step]:
        """The steps of the first persistent set of a rank in which nothing waits for a peer."""
        for chosen in sets:
            steps = [step for step in able if step.arc.actor in chosen]
            if not any(self._layout.later(step.needs, passed) & missing for step in steps):
                return steps
        return []

    # --- several ranks -------------------------------------------------------------------------

    def _stubborn(self, kinds: Kinds, missing: Mapping[int, int]) -> list[tuple[int, Step]]:
        """The steps of the smallest stubborn set that some rank is the seed of."""
        best: list[tuple[int, Step]] = []
        for seed, _ in kinds:
            if any(not step.needs & missing[seed] for step in self._at(seed).steps):
                found = self._closure(seed, kinds, missing)
                if not best or len(found) < len(best):
                    best = found
        return best

    def _closure(
        self, seed: int, kinds: Kinds, missing: Mapping[int, int]
    ) -> list[tuple[int, Step]]:
        inside, todo = {seed}, [seed]
        while todo:
            kind = todo.pop()
            for step in self._at(kind).steps:
                lacks = step.needs & missing[kind]
                if lacks:
                    helper = self._lacking(lacks & -lacks, kind, kinds, inside)
                    if helper not in inside:
                        inside.add(helper)
                        todo.append(helper)
        return [
            (kind, step)
            for kind in sorted(inside)
            for step in self._at(kind).steps
            if not step.needs & missing[kind]
        ]

    def _lacking(self, bit: int, kind: int, kinds: Kinds, inside: set[int]) -> int:
        """The kind of another rank that has not done something, one that is looked at already."""
        lap = self._at(kind).lap
        lacking = [
            other
            for other, count in kinds
            if (other != kind or count > 1)
            and self._undone((at := self._at(other)).flat, at.lap - lap) & bit
        ]
        return min(lacking, key=lambda other: (other not in inside, other))


def _shares(count: int, ways: int) -> Iterator[tuple[int, ...]]:
    """Every way to split a number among so many."""
    if ways == 1:
        yield (count,)
        return
    for first in range(count, -1, -1):
        for rest in _shares(count - first, ways - 1):
            yield (first, *rest)
