"""Ranks that nobody can tell apart, and what each step asks of them, as bits.

Rules:
- Ranks are of one role if they run the same programs on streams, memory and kernels that are equal
  and start CTAs in the same order.
- A role is kept only if every step asks all other ranks alike.  Where one asks some of them (a
  ring, pairs, channels that progress one by one), every rank is a role of its own.
- A kind is a class of a role.  Its bits say what its rank has done, and all that other roles could
  do: of all kinds together, the bits that they share are what everybody has done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_
from typing import NamedTuple

from eplb_model.explore.fast.quotient import Arc, Quotient, all_facts, quotient
from eplb_model.explore.fast.stubborn import Persistent
from eplb_model.explore.fast.table import Ask, Table
from eplb_model.ops.kernel import is_there
from eplb_model.ops.meetings import Meeting, partners
from eplb_model.state import State
from eplb_model.world import World


class Step(NamedTuple):
    """A step between kinds: what it needs of others, as bits, and whether a kernel waits."""

    arc: Arc
    needs: int
    waits: bool
    target: int


@dataclass(slots=True)
class Role:
    """Some ranks with one table."""

    members: tuple[int, ...]
    quotient: Quotient
    persistent: tuple[Persistent, Persistent]  # before and after some kernel had to wait
    first: int  # its first kind

    @property
    def kinds(self) -> range:
        return range(self.first, self.first + len(self.quotient.arcs))


@dataclass
class Roles:
    """All roles of a world, their kinds numbered through."""

    world: World
    roles: list[Role] = field(default_factory=list)
    symmetric: bool = True

    @cached_property
    def role_of(self) -> Sequence[Role]:
        """By kind."""
        return [role for role in self.roles for _ in role.kinds]

    @cached_property
    def _bits(self) -> dict[tuple[int, Meeting], int]:
        """By first kind of a role, and what its ranks may do, the bit; 0 if it is done always."""
        bits: dict[tuple[int, Meeting], int] = {}
        used = 0
        for role in self.roles:
            columns: dict[int, int] = {}
            done = _who_has_done(role.quotient.facts)
            for wanted in sorted(self._asked):
                column = done.get(wanted, 0)
                if column not in columns:
                    columns[column] = 1 << used
                    used += 1
                bits[role.first, wanted] = columns[column]
        return bits

    @cached_property
    def _asked(self) -> frozenset[Meeting]:
        return frozenset(
            ask.wanted
            for role in self.roles
            for arcs in role.quotient.arcs
            for arc in arcs
            for ask in arc.asks
        )

    @cached_property
    def masks(self) -> Sequence[int]:
        """By kind, what its rank has done; bits of other roles are all set."""
        everything = 0
        for bit in self._bits.values():
            everything |= bit
        masks = []
        for role in self.roles:
            own = {w: bit for (first, w), bit in self._bits.items() if first == role.first}
            others = everything
            for bit in own.values():
                others &= ~bit
            known: dict[frozenset[Meeting], int] = {}
            for facts in role.quotient.facts:
                if facts not in known:
                    known[facts] = reduce(or_, (own.get(wanted, 0) for wanted in facts), others)
                masks.append(known[facts])
        return masks

    @cached_property
    def steps(self) -> Sequence[tuple[Step, ...]]:
        """By kind."""
        found = []
        for role in self.roles:
            known: dict[frozenset[Ask], int] = {}
            for arcs in role.quotient.arcs:
                for arc in arcs:
                    if arc.asks not in known:
                        known[arc.asks] = self._needs(role, arc.asks)
                found.append(
                    tuple(
                        Step(arc, known[arc.asks], arc.waits, role.first + arc.target)
                        for arc in arcs
                    )
                )
        return found

    def _needs(self, role: Role, asks: frozenset[Ask]) -> int:
        needs = 0
        if self.symmetric:
            for other in self.roles:
                for bit in self._offsets(other, asks):
                    needs |= bit
            return needs
        for ask in asks:
            kernel = self.world.kernels[ask.kernel]
            for peer in partners(self.world, role.members[0], kernel, ask.wanted.channel):
                needs |= self._bits[self.roles[peer].first, ask.wanted]
        return needs

    @property
    def uniform(self) -> bool:
        """Whether every step asks all other ranks alike, whichever rank takes it."""
        sets = {arc.asks for role in self.roles for arcs in role.quotient.arcs for arc in arcs}
        others = len(self.world.ranks) - 1
        return all(
            len(offsets) == others
            for asks in sets
            for role in self.roles
            for offsets in self._offsets(role, asks).values()
        )

    def _offsets(self, role: Role, asks: Iterable[Ask]) -> dict[int, set[int]]:
        """For each bit of a role that asks are about, which other ranks are asked for it."""
        found: dict[int, set[int]] = {}
        for ask in asks:
            offsets = partners(self.world, 0, self.world.kernels[ask.kernel], ask.wanted.channel)
            if offsets:
                found.setdefault(self._bits[role.first, ask.wanted], set()).update(offsets)
        return found


def _who_has_done(facts: Sequence[frozenset[Meeting]]) -> dict[Meeting, int]:
    """By what may be asked, the classes that have done it, as bits."""
    classes: dict[frozenset[Meeting], int] = {}
    for number, each in enumerate(facts):
        classes[each] = classes.get(each, 0) | 1 << number
    done: dict[Meeting, int] = {}
    for each, bits in classes.items():
        for wanted in each:
            done[wanted] = done.get(wanted, 0) | bits
    return done


def roles_of(
    world: World, symmetry: bool, enough: Callable[[], str | None] = lambda: None
) -> Roles:
    """The roles of a world: as few as its programs and meetings allow, or one for each rank."""
    groups = alike(world)
    tables = {members[0]: Table(world, members[0], enough=enough) for members in groups}
    asked = all_facts(tables)
    quotients = {first: _quotient(table, asked) for first, table in tables.items()}
    if symmetry:
        found = _assembled(world, groups, quotients)
        if found.uniform:
            return found
    like = {rank: members[0] for members in groups for rank in members}
    singles = [(rank,) for rank in range(len(world.ranks))]
    found = _assembled(world, singles, {rank: quotients[like[rank]] for (rank,) in singles})
    found.symmetric = False
    return found


def _quotient(table: Table, asked: frozenset[Meeting]) -> Quotient:
    """The classes of a table.  What a rank has done stays done: only what is new is looked for."""
    wanted: dict[str, dict[int, list[Meeting]]] = {}
    for each in sorted(asked):
        wanted.setdefault(each.kernel, {}).setdefault(each.number, []).append(each)
    facts: list[frozenset[Meeting]] = []
    begun = dict.fromkeys(wanted, 0)  # by kernel, the first launch of which not all is done
    earlier = [(frozenset[Meeting](), begun)]
    for state, edges in zip(table.states, table.edges, strict=True):
        known, begun = earlier[len(facts)]
        new, begun = _new_facts(state, table.rank, wanted, begun)
        facts.append(known | new if not new <= known else known)
        earlier += [(facts[-1], begun) for edge in edges if edge.target >= len(earlier)]
    return quotient(table, facts)


def _new_facts(
    state: State,
    rank: int,
    wanted: Mapping[str, Mapping[int, Sequence[Meeting]]],
    begun: Mapping[str, int],
) -> tuple[frozenset[Meeting], dict[str, int]]:
    """What a rank has done of the launches that were not over yet, and which are not over now."""
    new: list[Meeting] = []
    first = dict(begun)
    for kernel, by_number in wanted.items():
        for number in range(begun[kernel], state.count_of(rank, kernel).launched):
            asked = by_number.get(number, ())
            done = [each for each in asked if is_there(state, rank, each)]
            new += done
            if number == first[kernel] and len(done) == len(asked):
                first[kernel] += 1
    return frozenset(new), first


def _assembled(
    world: World, groups: Sequence[tuple[int, ...]], quotients: dict[int, Quotient]
) -> Roles:
    found = Roles(world)
    first = 0
    persistent: dict[int, tuple[Persistent, Persistent]] = {}
    for members in groups:
        each = quotients[members[0]]
        if id(each) not in persistent:
            persistent[id(each)] = (
                Persistent(each.arcs, waited=False),
                Persistent(each.arcs, waited=True),
            )
        found.roles.append(Role(members, each, persistent[id(each)], first))
        first += len(each.arcs)
    return found


def alike(world: World) -> list[tuple[int, ...]]:
    """The ranks that have equal texts and start CTAs in the same order."""
    found: list[list[int]] = []
    for rank, described in enumerate(world.ranks):
        for members in found:
            other = world.ranks[members[0]]
            same = other is described or other == described
            if same and world.backwards(rank) == world.backwards(members[0]):
                members.append(rank)
                break
        else:
            found.append([rank])
    return [tuple(members) for members in found]
