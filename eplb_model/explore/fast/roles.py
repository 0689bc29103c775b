"""Ranks that nobody can tell apart, and what each step asks of them, as bits.

Rules:
- Ranks are of one role if they run the same programs on streams, memory and kernels that are equal
  and start CTAs in the same order.
- A role is kept only if every step asks all other ranks alike.  Where one asks some of them (a
  ring, pairs, channels that progress one by one), every rank is a role of its own.
- A kind is a class of a role after a number of laps, where its table goes round (`fold.py`).
- What a step needs is counted from the lap that its rank is in (`asked.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from eplb_model.explore.fast.asked import Layout
from eplb_model.explore.fast.fold import NO_FOLD, Fold, folded
from eplb_model.explore.fast.quotient import NOWHERE, Arc, Quotient, all_facts, quotient
from eplb_model.explore.fast.stubborn import Persistent
from eplb_model.explore.fast.table import Ask, Table
from eplb_model.ops.kernel import is_there
from eplb_model.ops.meetings import Meeting, partners
from eplb_model.state import State
from eplb_model.world import World

Groups = Sequence[tuple[int, ...]]
Tables = Mapping[int, tuple[Table, Fold]]  # by the first of the ranks that are alike


class Step(NamedTuple):
    """A step between kinds: what it needs of others, as bits, and whether a kernel waits."""

    arc: Arc
    needs: int
    waits: bool
    by: int  # from the number of a kind to that of the one it leads to
    back: bool  # whether it goes round, into the next lap


class At(NamedTuple):
    """What a kind stands for."""

    role: Role
    lap: int
    here: int  # the class
    steps: tuple[Step, ...]  # what it can do if its peers come
    flat: int  # the kind with which it shares all but the lap


@dataclass(slots=True)
class Role:
    """Some ranks with one table."""

    members: tuple[int, ...]
    quotient: Quotient
    persistent: tuple[Persistent, Persistent]  # before and after some kernel had to wait
    first: int  # its first kind
    # By class, with laps left and in the last one.
    steps: tuple[Sequence[tuple[Step, ...]], Sequence[tuple[Step, ...]]] = ((), ())

    @property
    def laps(self) -> int:
        """How often its table goes round."""
        return self.quotient.fold.laps

    @property
    def size(self) -> int:
        """How many kinds there are in one lap."""
        return len(self.quotient.arcs)

    def depth(self, lap: int, here: int) -> int:
        """How many steps of the machine lead to a kind at least."""
        return self.quotient.depth[here] + lap * self.quotient.fold.depth


@dataclass
class Roles:
    """All roles of a world, their kinds numbered through."""

    world: World
    roles: list[Role]
    layout: Layout
    symmetric: bool

    def at(self, kind: int) -> At:
        """What a kind stands for."""
        role = self.roles[bisect_right(self._firsts, kind) - 1]
        lap, here = divmod(kind - role.first, role.size)
        return At(role, lap, here, role.steps[lap == role.laps][here], role.first + here)

    def undone(self, flat: int, ahead: int, rows: int) -> int:
        """What a rank has not done, seen from one so many laps behind it: so many rows of it."""
        role = self.at(flat).role
        return self.layout.undone[role.first].seen(flat - role.first, ahead, rows)

    @cached_property
    def _firsts(self) -> Sequence[int]:
        return [role.first for role in self.roles]

    @property
    def folded(self) -> bool:
        """Whether some table stands for more bodies than it has."""
        return any(role.laps for role in self.roles)

    def find_steps(self) -> None:
        """Say what each arc of each role needs."""
        for role in self.roles:
            known: dict[frozenset[Ask], int] = {}
            for arcs in role.quotient.arcs:
                for arc in arcs:
                    if arc.asks not in known:
                        known[arc.asks] = self._needs(role, arc.asks)
            role.steps = _steps(role, known, back=True), _steps(role, known, back=False)

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
                needs |= self.layout.bit(self.roles[peer].first, ask.wanted)
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
                found.setdefault(self.layout.bit(role.first, ask.wanted), set()).update(offsets)
        return found


def _steps(
    role: Role, needs: Mapping[frozenset[Ask], int], *, back: bool
) -> Sequence[tuple[Step, ...]]:
    """By class, what it can do, while laps are left or in the last one."""
    return [
        tuple(
            Step(arc, needs[arc.asks], arc.waits, role.size + arc.back - here, back=True)
            if back and arc.back != NOWHERE
            else Step(arc, needs[arc.asks], arc.waits, arc.target - here, back=False)
            for arc in arcs
        )
        for here, arcs in enumerate(role.quotient.arcs)
    ]


def roles_of(
    world: World,
    symmetry: bool,
    enough: Callable[[], str | None] = lambda: None,
    *,
    folding: bool = True,
) -> Roles:
    """The roles of a world: as few as its programs and meetings allow, or one for each rank."""
    groups = alike(world)
    tables = {each[0]: _table(world, each[0], enough, folding=folding) for each in groups}
    asked = all_facts(table for table, _ in tables.values())
    launches = _launches(world, tables, asked)
    if launches is None:
        return roles_of(world, symmetry, enough, folding=False)
    asked = _in_every_body(asked, tables, launches)
    quotients = {first: _quotient(*mine, asked) for first, mine in tables.items()}
    if symmetry:
        found = _assembled(world, groups, quotients, asked, launches, symmetric=True)
        if found.uniform:
            found.find_steps()
            return found
    like = {rank: members[0] for members in groups for rank in members}
    singles = [(rank,) for rank in range(len(world.ranks))]
    own = {rank: quotients[like[rank]] for (rank,) in singles}
    found = _assembled(world, singles, own, asked, launches, symmetric=False)
    found.find_steps()
    return found


def _table(
    world: World, rank: int, enough: Callable[[], str | None], *, folding: bool
) -> tuple[Table, Fold]:
    found = folded(world, rank, enough) if folding else None
    return found or (Table(world, rank, enough=enough), NO_FOLD)


def _launches(world: World, tables: Tables, asked: frozenset[Meeting]) -> Mapping[str, int] | None:
    """How often a body launches each kernel that is asked for; None if tables may not go round.

    That is if ranks differ in it, or where a launch that is over has not done all that is asked: it
    has no channel of that number.
    """
    kernels = sorted({each.kernel for each in asked})
    found = [
        {name: fold.launches.get(name, 0) for name in kernels}
        for _, fold in tables.values()
        if fold.laps
    ]
    if not found:
        return {}
    never = any(each.channel >= world.kernels[each.kernel].ctas for each in asked)
    return None if never or any(each != found[0] for each in found) else found[0]


def _in_every_body(
    asked: frozenset[Meeting], tables: Tables, launches: Mapping[str, int]
) -> frozenset[Meeting]:
    """What is asked of one body's launches may be asked of any body's: others are in other laps."""
    most = [each.number // launches[each.kernel] for each in asked if launches.get(each.kernel)]
    for table, _ in tables.values() if most else ():
        for state in table.states:
            most += [
                state.count_of(table.rank, name).launched // more
                for name, more in launches.items()
                if more
            ]
    return asked | {
        each._replace(number=number)
        for each in {each._replace(number=0) for each in asked if launches.get(each.kernel)}
        for number in range((1 + max(most)) * launches[each.kernel])
    }


def _quotient(table: Table, fold: Fold, asked: frozenset[Meeting]) -> Quotient:
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
    return quotient(table, fold, facts)


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
    world: World,
    groups: Groups,
    quotients: Mapping[int, Quotient],
    asked: frozenset[Meeting],
    launches: Mapping[str, int],
    *,
    symmetric: bool,
) -> Roles:
    roles: list[Role] = []
    first = 0
    persistent: dict[int, tuple[Persistent, Persistent]] = {}
    for members in groups:
        each = quotients[members[0]]
        if id(each) not in persistent:
            persistent[id(each)] = (
                Persistent(each.arcs, each.fold, waited=False),
                Persistent(each.arcs, each.fold, waited=True),
            )
        role = Role(members, each, persistent[id(each)], first)
        roles.append(role)
        first += role.size * (role.laps + 1)
    layout = Layout({role.first: role.quotient.facts for role in roles}, asked, launches)
    return Roles(world, roles, layout, symmetric)


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
