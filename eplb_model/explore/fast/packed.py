"""Every state and every step, nothing left out: a state is a bit, many go one step at once.

A row is where all ranks but the last are; its bits are the places of the last one.  What a step of
another rank asks of the last one is a mask, so it takes a whole row along.  What a step of the last
rank asks of the others holds in a whole row or not at all, so a row is closed under these at once.

Rules:
- The tables are those of `table.py`, found by running the operations.
- No rank comes back to a state of its own.  So rows are met in an order in which each is complete
  when its turn comes, is counted once, and is then forgotten.
- Counted are single states, steps and ends, as the plain search counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from graphlib import CycleError, TopologicalSorter
from operator import or_
from typing import NamedTuple

from eplb_model.explore.fast.alone import NotCovered, not_covered
from eplb_model.explore.fast.roles import alike
from eplb_model.explore.fast.table import Edge, Table, failures
from eplb_model.ops.kernel import is_there
from eplb_model.ops.meetings import Meeting, partners
from eplb_model.world import World

Place = tuple[int, ...]  # by rank, its state; of all ranks but the last
Rows = dict[Place, int]  # the bits of the last rank, by place of the others


@dataclass(slots=True)
class Counts:
    """What there is in all."""

    states: int = 0
    transitions: int = 0
    deadlocks: int = 0
    ok: int = 0
    rows: int = 0


class Move(NamedTuple):
    """A step of a rank: what it asks for, whether a kernel waits, where it leads."""

    asks: int
    waits: bool
    target: int


def count_everything(world: World, most_states: int | None = None) -> Counts:
    """The states, steps and ends of the plain search; `NotCovered` where tables don't hold."""
    reason = not_covered(world)
    if reason is not None:
        raise NotCovered(reason)
    return _Sweep(_tables(world), most_states).run()


def _tables(world: World) -> _Tables:
    tables: dict[int, Table] = {}
    for members in alike(world):
        table = Table(world, members[0], whole=False)
        if any(map(failures, table.states)):
            raise NotCovered("errors, at which the plain search stops")
        tables |= dict.fromkeys(members, table)
    return _Tables(world, [tables[rank] for rank in range(len(tables))])


class _Tables:
    """The tables of all ranks, with what is asked and what is done as bits."""

    def __init__(self, world: World, tables: Sequence[Table]) -> None:
        self._world, self._tables = world, tables
        self._facts: dict[tuple[int, Meeting], int] = {}
        orders = {id(table): _order(table) for table in tables}
        self.ranks = [self._rank(rank, orders[id(table)]) for rank, table in enumerate(tables)]
        self.done = [
            [self._done(rank, state) for state in orders[id(table)]]
            for rank, table in enumerate(tables)
        ]
        self.busy = [
            [bool(table.states[state].unfinished()) for state in orders[id(table)]]
            for table in tables
        ]

    def _rank(self, rank: int, order: Sequence[int]) -> list[list[Move]]:
        """The moves of a rank by state, states numbered in an order in which all moves ascend."""
        at = {state: number for number, state in enumerate(order)}
        edges = self._tables[rank].edges
        return [
            [Move(self._asks(rank, e), e.waits, at[e.target]) for e in edges[state]]
            for state in order
        ]

    def _asks(self, rank: int, edge: Edge) -> int:
        """A bit for everything that a step asks of a peer."""
        bits = 0
        for ask in edge.asks:
            kernel = self._world.kernels[ask.kernel]
            for peer in partners(self._world, rank, kernel, ask.wanted.channel):
                bits |= 1 << self._facts.setdefault((peer, ask.wanted), len(self._facts))
        return bits

    def _done(self, rank: int, state: int) -> int:
        table = self._tables[rank]
        return sum(
            1 << bit
            for (owner, wanted), bit in self._facts.items()
            if owner == rank and is_there(table.states[state], table.rank, wanted)
        )


class _Sweep:
    """Goes through all rows, those that are nearer to the start first."""

    def __init__(self, tables: _Tables, most_states: int | None) -> None:
        self._most = most_states
        *self._moves, moves = tables.ranks
        *self._done, done = tables.done
        *self._busy, busy = tables.busy
        self._last = _Last(moves, done, busy)
        self._height = [_heights(each) for each in self._moves]
        self._rows: dict[int, tuple[Rows, Rows]] = {}  # by height: before and after a kernel waited
        self._counts = Counts()

    def run(self) -> Counts:
        counts = self._counts
        self._at(0)[False][(0,) * len(self._moves)] = 1
        while self._rows:
            height = min(self._rows)
            early, late = self._rows.pop(height)
            for place, bits in early.items():
                waited = self._row(height, place, bits, waited=False)
                if waited:
                    late[place] = late.get(place, 0) | waited
            for place, bits in late.items():
                self._row(height, place, bits, waited=True)
            if self._most is not None and counts.states > self._most:
                raise NotCovered(f"more than {self._most} states")
        return counts

    def _at(self, height: int) -> tuple[Rows, Rows]:
        return self._rows.setdefault(height, ({}, {}))

    def _row(self, height: int, place: Place, entered: int, *, waited: bool) -> int:
        """Count a row, and pass on what leaves it; returns those of it whose kernel has waited."""
        last, counts = self._last, self._counts
        facts = 0
        for rank, state in enumerate(place):
            facts |= self._done[rank][state]
        own = last.moving(facts, waited)
        bits, waits = own.closure(entered)
        counts.rows += 1
        counts.states += bits.bit_count()
        counts.transitions += own.steps(bits)
        stuck = bits & ~own.movable
        for rank, state in enumerate(place):
            for asks, edge_waits, target in self._moves[rank][state]:
                able = last.having(asks & ~facts)
                moved = bits & able
                if moved:
                    counts.transitions += moved.bit_count()
                    stuck &= ~able
                    higher = height + self._height[rank][target] - self._height[rank][state]
                    rows = self._at(higher)[waited or edge_waits]
                    there = (*place[:rank], target, *place[rank + 1 :])
                    rows[there] = rows.get(there, 0) | moved
        if stuck:
            self._end(place, stuck)
        return waits

    def _end(self, place: Place, stuck: int) -> None:
        """Count states in which nobody can move."""
        busy = any(self._busy[rank][state] for rank, state in enumerate(place))
        deadlocks = stuck if busy else stuck & self._last.busy
        self._counts.deadlocks += deadlocks.bit_count()
        self._counts.ok += (stuck & ~deadlocks).bit_count()


class _Last:
    """The last rank, whose states are bits."""

    def __init__(
        self, moves: Sequence[Sequence[Move]], done: Sequence[int], busy: Sequence[bool]
    ) -> None:
        self._moves, self._done = moves, done
        self.busy = _union(1 << state for state, is_busy in enumerate(busy) if is_busy)
        self._asked = sorted({move.asks for each in moves for move in each})
        self._needed = _union(self._asked)
        self.having = cache(self._having)
        self._by_facts: dict[tuple[int, bool], _Moving] = {}
        self._by_met: dict[tuple[int, bool], _Moving] = {}

    def _having(self, facts: int) -> int:
        """The states in which it has done all of some facts."""
        return _union(1 << at for at, done in enumerate(self._done) if facts & ~done == 0)

    def moving(self, facts: int, waited: bool) -> _Moving:
        """How it moves where the others have done so much."""
        key = facts & self._needed, waited
        found = self._by_facts.get(key)
        if found is None:
            met = sum(1 << n for n, asks in enumerate(self._asked) if asks & ~facts == 0)
            found = self._by_met.get((met, waited))
            if found is None:
                found = _Moving(self._moves, self._done, facts, waited)
            self._by_facts[key] = self._by_met[met, waited] = found
        return found


class _Moving:
    """The steps of the last rank that may be taken in a row."""

    def __init__(
        self, moves: Sequence[Sequence[Move]], done: Sequence[int], facts: int, waited: bool
    ) -> None:
        enabled = [
            [move for move in each if move.asks & ~(facts | here) == 0]
            for each, here in zip(moves, done, strict=True)
        ]
        most = max(map(len, enabled))
        self._with_so_many = [
            _union(1 << at for at, each in enumerate(enabled) if len(each) >= number)
            for number in range(1, most + 1)
        ]
        self.movable = self._with_so_many[0] if most else 0
        self._reach: list[tuple[int, int]] = [(0, 0)] * len(enabled)
        for at in reversed(range(len(enabled))):
            bits, waits = 1 << at, 0
            for move in enabled[at]:
                if move.waits and not waited:
                    waits |= 1 << move.target
                else:
                    bits |= self._reach[move.target][0]
                    waits |= self._reach[move.target][1]
            self._reach[at] = bits, waits

    def closure(self, entered: int) -> tuple[int, int]:
        """All states from there on, and apart those that are entered by a kernel's waiting."""
        bits = waits = 0
        while entered:
            reached, waiting = self._reach[(entered & -entered).bit_length() - 1]
            bits |= reached
            waits |= waiting
            entered &= ~reached
        return bits, waits

    def steps(self, bits: int) -> int:
        """How many steps lead on from some states."""
        return sum((bits & mask).bit_count() for mask in self._with_so_many)


def _order(table: Table) -> list[int]:
    """The states of a rank, each before those that follow it."""
    before: dict[int, set[int]] = {state: set() for state in range(len(table.states))}
    for state, edges in enumerate(table.edges):
        for edge in edges:
            before[edge.target].add(state)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        raise NotCovered("a rank that comes back to a state of its own") from None


def _heights(moves: Sequence[Sequence[Move]]) -> list[int]:
    """By state, how long the longest way there is; every move goes up."""
    heights = [0] * len(moves)
    for state, each in enumerate(moves):
        for move in each:
            heights[move.target] = max(heights[move.target], heights[state] + 1)
    return heights


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)
