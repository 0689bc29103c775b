"""States of a rank that behave alike are one: branching bisimulation by signatures.

Which SMs a kernel holds, and how many of its CTAs have gone already, are the only things that two
states of a class may differ in; a CTA that ends is inert where it stays in its class (Blom and van
de Pol 2003).  The step with which a kernel is over then asks for all that its CTAs ask for: who is
not there yet for one of them keeps the kernel from ending, whichever CTA is the last.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from eplb_model.distributor import kernel_of
from eplb_model.explore.fast.fold import Fold
from eplb_model.explore.fast.table import Ask, Edge, Table, failures, without_seats
from eplb_model.ops.meetings import Meeting

NOWHERE = -1
ENDS = "ends"  # the choice of a step with which a kernel of CTAs is over


Label = tuple[int, int | str | None, frozenset[Ask], bool]  # the first four of an arc
Signature = frozenset[tuple[Label, int, int]]  # where each leads, and where one body earlier


class Arc(NamedTuple):
    """A step between classes; equal arcs of a class lead to the same one."""

    actor: int  # position in `Table.actors`
    choice: int | str | None
    asks: frozenset[Ask]
    waits: bool
    target: int
    back: int = NOWHERE  # where it leads while bodies are left, if it is into the next body


@dataclass(frozen=True, slots=True)
class Quotient:
    """The classes of a rank, and which of its states are in them; class 0 is where it begins."""

    table: Table
    fold: Fold
    class_of: tuple[int, ...]
    arcs: tuple[tuple[Arc, ...], ...]
    example: tuple[int, ...]  # one state of each class
    facts: tuple[frozenset[Meeting], ...]  # what each class has done that a peer may ask for
    failed: tuple[tuple[str, ...], ...]
    unfinished: tuple[bool, ...]
    depth: tuple[int, ...]  # how many steps of the machine lead there at least

    def way(self, state: int, arc: Arc, *, back: bool = False) -> tuple[tuple[Edge, ...], int]:
        """The steps by which a state takes an arc, inert ones first, and where they lead.

        With `back` into the next body, which is where that of the table goes round.
        """
        here = self.class_of[state]
        frontier: list[tuple[int, tuple[Edge, ...]]] = [(state, ())]
        for number, taken in frontier:
            for edge in self.table.edges[number]:
                if self._takes(number, edge, arc):
                    target = self.fold.back[number, edge.target] if back else edge.target
                    return (*taken, edge), target
            frontier += [
                (edge.target, (*taken, edge))
                for edge in self.table.edges[number]
                if edge.part and not edge.waits and self.class_of[edge.target] == here
            ]
        raise AssertionError(f"[model bug] no way to take {arc} from local state {state}")

    def _takes(self, number: int, edge: Edge, arc: Arc) -> bool:
        return _label(self.table, number, edge) == arc[:4] and (
            self.class_of[edge.target] == arc.target
        )


def quotient(table: Table, fold: Fold, facts: Sequence[frozenset[Meeting]]) -> Quotient:
    """The coarsest classes in which nobody can tell two states apart but by their seats.

    In a table that goes round a step into the next body has two targets, and both count.
    """
    keys: list[Hashable] = [
        (without_seats(state, table.rank), facts[number], tuple(failures(state)))
        for number, state in enumerate(table.states)
    ]
    labels = [
        [(_label(table, number, edge), edge) for edge in table.edges[number]]
        for number in range(len(table.states))
    ]
    classes, count = _numbered(keys)
    while True:
        signatures = _signatures(labels, fold, classes)
        refined, found = _numbered(list(zip(classes, signatures, strict=True)))
        if found == count:
            break
        classes, count = refined, found
    return _built(table, fold, classes, signatures, facts)


def _built(
    table: Table,
    fold: Fold,
    classes: list[int],
    signatures: list[Signature],
    facts: Sequence[frozenset[Meeting]],
) -> Quotient:
    example: dict[int, int] = {}
    for number, each in enumerate(classes):
        example.setdefault(each, number)
    firsts = tuple(example[each] for each in range(len(example)))
    return Quotient(
        table,
        fold,
        tuple(classes),
        tuple(
            tuple(
                sorted((Arc(*label, *target) for label, *target in signatures[number]), key=_order)
            )
            for number in firsts
        ),
        firsts,
        tuple(facts[number] for number in firsts),
        tuple(tuple(failures(table.states[number])) for number in firsts),
        tuple(bool(table.states[number].unfinished()) for number in firsts),
        tuple(table.depth[number] for number in firsts),
    )


def _order(arc: Arc) -> tuple[int, str, list[Ask], bool, int]:
    return arc.actor, str(arc.choice), sorted(arc.asks), arc.waits, arc.target


def _numbered(keys: list[Hashable]) -> tuple[list[int], int]:
    """Equal keys have equal numbers, counted from 0 in the order in which they appear."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys], len(numbers)


def _label(table: Table, number: int, edge: Edge) -> Label:
    """What of a step does not depend on how many CTAs have ended before."""
    actor, action = table.actors.index(edge.actor), edge.actions[0]
    resident = edge.actor.is_stream and table.states[number].run_of(edge.actor) is not None
    if edge.part or not resident:
        return actor, action.choice, edge.asks, edge.waits
    return actor, ENDS, _asked_by_all(table, number, edge), edge.waits


def _asked_by_all(table: Table, number: int, edge: Edge) -> frozenset[Ask]:
    """What the CTAs of a launch ask for together."""
    state = table.states[number]
    run = state.run_of(edge.actor)
    assert run is not None, "[model bug] a kernel ends that is not there"
    return _of_all_channels(edge.asks, kernel_of(state, run).ctas)


@lru_cache(maxsize=10_000)
def _of_all_channels(asks: frozenset[Ask], ctas: int) -> frozenset[Ask]:
    return frozenset(
        each._replace(wanted=each.wanted._replace(channel=channel))
        for each in asks
        for channel in (range(ctas) if each.wanted.grain == "channel" else (each.wanted.channel,))
    )


def _signatures(
    labels: list[list[tuple[Label, Edge]]], fold: Fold, classes: list[int]
) -> list[Signature]:
    """For each state what it can do, after inert steps too; these only ever go forward."""
    found: dict[int, Signature] = {}

    def inert(number: int, edge: Edge) -> bool:
        return edge.part and not edge.waits and classes[edge.target] == classes[number]

    def back(number: int, edge: Edge) -> int:
        target = fold.back.get((number, edge.target))
        return NOWHERE if target is None else classes[target]

    for start in range(len(labels)):
        stack = [start]
        while stack:
            number = stack[-1]
            left = [
                edge.target
                for _, edge in labels[number]
                if inert(number, edge) and edge.target not in found
            ]
            if left:
                stack += left
                continue
            stack.pop()
            own = {
                (label, classes[edge.target], back(number, edge))
                for label, edge in labels[number]
                if not inert(number, edge)
            }
            later = [found[e.target] for _, e in labels[number] if inert(number, e)]
            found[number] = frozenset(own).union(*later)
    return [found[number] for number in range(len(labels))]


def all_facts(tables: Iterable[Table]) -> frozenset[Meeting]:
    """Everything that some rank may ask of another."""
    return frozenset(
        ask.wanted
        for table in tables
        for edges in table.edges
        for edge in edges
        for ask in edge.asks
    )
