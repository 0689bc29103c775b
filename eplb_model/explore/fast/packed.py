"""Every state and every step, nothing left out: a state is a number, a step is an addition.

The number has a field for each rank, where it is in the table of the rank, and a bit for each thing
that a rank has done and some peer asks for.  All of these only ever come to pass, so they are added
like everything else.  States of one level that agree in the bits have the same steps.

Rules:
- The tables are those of `table.py`, found by running the operations.
- Where every way to a state of a rank has the same length, every way to a state of the machine has,
  and only the latest level is remembered.  Else all states are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from eplb_model.explore.fast.alone import NotCovered, not_covered
from eplb_model.explore.fast.roles import alike
from eplb_model.explore.fast.table import Edge, Table, failures
from eplb_model.ops.kernel import is_there
from eplb_model.ops.meetings import Meeting, partners
from eplb_model.world import World

Added = tuple[int, bool, int]  # of a step: what it asks for, whether a kernel waits, what it adds


@dataclass(slots=True)
class Counts:
    """What there is in all."""

    states: int = 0
    transitions: int = 0
    deadlocks: int = 0
    ok: int = 0
    levels: int = 0
    widest: int = 0  # the most states that one level has


def count_everything(world: World, most_states: int | None = None) -> Counts:
    """The states, steps and ends of the plain search; `NotCovered` where tables don't hold."""
    reason = not_covered(world)
    if reason is not None:
        raise NotCovered(reason)
    packed = _Packed(world)
    counts = Counts()
    level, seen = {packed.start}, set[int]()
    while level:
        counts.levels += 1
        counts.states += len(level)
        counts.widest = max(counts.widest, len(level))
        if most_states is not None and counts.states > most_states:
            raise NotCovered(f"more than {most_states} states")
        following: set[int] = set()
        for key, states in packed.by_key(level).items():
            for added in packed.next(key, states, counts):
                counts.transitions += len(added)
                following.update(added)
        if not packed.graded:
            seen |= level
            following -= seen
        level = following
    return counts


class _Packed:
    """The tables of a world with their fields in a number."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tables: list[Table] = []
        for members in alike(world):
            table = Table(world, members[0], whole=False)
            if any(map(failures, table.states)):
                raise NotCovered("errors, at which the plain search stops")
            for rank in members:
                self._tables += [table] * (rank - len(self._tables) + 1)
                self._tables[rank] = table
        self.graded = all(map(_is_graded, {id(each): each for each in self._tables}.values()))
        self._facts = self._bits()
        self._waited = 1 << len(self._facts)
        self._key = 2 * self._waited - 1
        self._shifts, at = [], len(self._facts) + 1
        for table in self._tables:
            self._shifts.append(at)
            at += len(table.states).bit_length()
        self._masks = [(1 << len(t.states).bit_length()) - 1 for t in self._tables]
        self._edges = [list(self._added(rank)) for rank in range(len(self._tables))]
        self._needed = [
            _union(asked for each in edges for asked, _, _ in each) for edges in self._edges
        ]
        self._busy = [[bool(s.unfinished()) for s in table.states] for table in self._tables]
        self._known: dict[tuple[int, int, bool], _Steps] = {}
        self.start = 0
        for rank in range(len(self._tables)):
            self.start |= self._done(rank, 0)

    def by_key(self, level: set[int]) -> dict[int, list[int]]:
        """The states of a level by what has been done in them."""
        groups: dict[int, list[int]] = {}
        key = self._key
        for state in level:
            groups.setdefault(state & key, []).append(state)
        return groups

    def next(self, key: int, states: list[int], counts: Counts) -> Iterator[list[int]]:
        """What follows some states with one key, rank by rank; counts those that end."""
        steps = [self._steps(rank, key) for rank in range(len(self._tables))]
        final = states
        for table, shift, mask in zip(steps, self._shifts, self._masks, strict=True):
            final = [state for state in final if not table[state >> shift & mask]]
            yield [state + more for state in states for more in table[state >> shift & mask]]
        for state in final:
            if self._is_busy(state):
                counts.deadlocks += 1
            else:
                counts.ok += 1

    def _is_busy(self, state: int) -> bool:
        fields = zip(self._busy, self._shifts, self._masks, strict=True)
        return any(busy[state >> shift & mask] for busy, shift, mask in fields)

    def _steps(self, rank: int, key: int) -> _Steps:
        """By local state, what each step adds that may be taken where so much has been done."""
        needs, waited = key & self._needed[rank], bool(key & self._waited)
        known = self._known.get((rank, needs, waited))
        if known is None:
            bit = 0 if waited else self._waited
            known = self._known[rank, needs, waited] = _Steps(self._edges[rank], needs, bit)
        return known

    # --- fields --------------------------------------------------------------------------------

    def _bits(self) -> dict[tuple[int, Meeting], int]:
        """A bit for everything that some rank asks of another."""
        found: dict[tuple[int, Meeting], int] = {}
        for rank, table in enumerate(self._tables):
            for edges in table.edges:
                for edge in edges:
                    for peer, wanted in self._asked(rank, edge):
                        found.setdefault((peer, wanted), len(found))
        return found

    def _asked(self, rank: int, edge: Edge) -> Iterator[tuple[int, Meeting]]:
        for ask in edge.asks:
            kernel = self._world.kernels[ask.kernel]
            for peer in partners(self._world, rank, kernel, ask.wanted.channel):
                yield peer, ask.wanted

    def _added(self, rank: int) -> Iterator[Sequence[Added]]:
        """By local state: what each step asks for, whether a kernel waits, what it adds."""
        table, shift = self._tables[rank], self._shifts[rank]
        done = [self._done(rank, number) for number in range(len(table.states))]
        for number, edges in enumerate(table.edges):
            yield [
                (
                    sum(1 << self._facts[each] for each in set(self._asked(rank, edge))),
                    edge.waits,
                    ((edge.target - number) << shift) + done[edge.target] - done[number],
                )
                for edge in edges
            ]

    def _done(self, rank: int, number: int) -> int:
        table = self._tables[rank]
        return sum(
            1 << bit
            for (owner, wanted), bit in self._facts.items()
            if owner == rank and is_there(table.states[number], table.rank, wanted)
        )


class _Steps(dict[int, tuple[int, ...]]):
    """By local state, what each step adds; worked out when a state is met."""

    def __init__(self, edges: Sequence[Sequence[Added]], done: int, waited: int) -> None:
        self._edges, self._done, self._waited = edges, done, waited

    def __missing__(self, number: int) -> tuple[int, ...]:
        added = self[number] = tuple(
            more + self._waited * waits
            for asked, waits, more in self._edges[number]
            if asked & self._done == asked
        )
        return added


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)


def _is_graded(table: Table) -> bool:
    """Whether every way to a state has the same length."""
    return all(
        table.depth[edge.target] == table.depth[number] + 1
        for number, edges in enumerate(table.edges)
        for edge in edges
    )
