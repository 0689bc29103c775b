"""What is looked for: the properties of specs/properties.md over the variables of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from eplb_model.claims import Agree, Stated
from eplb_model.export.promela.expressions import condition
from eplb_model.export.promela.layout import Layout, all_of, any_of
from eplb_model.outcome import Actor

AT_END = ("at_end", "eventually")


class _Access(NamedTuple):
    """An access to buffers of a rank that may be in progress, and when it is."""

    actor: Actor
    when: str
    reads: frozenset[str]
    writes: frozenset[str]

    def conflicts(self, other: _Access) -> bool:
        mine, theirs = self.reads | self.writes, other.reads | other.writes
        return self.actor != other.actor and bool((self.writes & theirs) | (other.writes & mine))


def race(layout: Layout) -> str:
    """Two accesses to one buffer of a rank, at least one a write, in progress at once."""
    return any_of(races(layout))


def races(layout: Layout) -> Iterable[str]:
    """The same, pair by pair."""
    return dict.fromkeys(
        f"({one.when} && {other.when})"
        for rank in range(len(layout.world.ranks))
        for one, other in combinations(list(_accesses(layout, rank)), 2)
        if one.conflicts(other)
    )


def _accesses(layout: Layout, rank: int) -> Iterator[_Access]:
    for actor in layout.world.threads_of(rank):
        for pc, op in enumerate(layout.world.programs[actor.slot].code):
            if op.kind == "access":
                when = all_of((f"here({layout.thread(actor)}, {pc}, 0)", layout.is_busy(actor)))
                reads, writes = getattr(op, "reads", ()), getattr(op, "writes", ())
                yield _Access(actor, when, frozenset(reads), frozenset(writes))
    for stream in layout.world.streams:
        for work in layout.works_of(stream.slot):
            name = layout.stream(stream.slot)
            ready = f"(stream[{name}].arrived || !stream[{name}].blocked)"
            when = all_of((f"head({name}) == {work.name}", ready * layout.shares_queues))
            if stream.rank == rank and (work.reads or work.writes):
                yield _Access(stream, when, frozenset(work.reads), frozenset(work.writes))
            if work.peer == rank:
                yield _Access(stream, when, frozenset({work.source}), frozenset())


def broken_claim(layout: Layout) -> str:
    """That some claim about every state fails."""
    return any_of(f"!{holds}" for _, holds in always(layout))


def always(layout: Layout) -> Iterator[tuple[str, str]]:
    """(sentence, condition) of what is claimed of every state."""
    for claim in layout.world.claims:
        if isinstance(claim, Agree):
            for differ in _disagree(layout, claim):
                yield claim.sentence, f"(!{differ})"
        elif claim.kind == "always":
            for fails in _fails(layout, claim):
                yield claim.sentence, fails[1:]


def _disagree(layout: Layout, claim: Agree) -> Iterator[str]:
    for one, other in combinations(range(len(layout.world.ranks)), 2):
        keys = [layout.variable(rank, claim.key) for rank in (one, other)]
        values = [layout.variable(rank, claim.variable) for rank in (one, other)]
        same = f"{keys[0]} != NULL && {keys[0]} == {keys[1]}"
        yield f"({same} && {values[0]} != {values[1]})"


def _fails(layout: Layout, claim: Stated) -> Iterator[str]:
    everyone = range(len(layout.world.ranks))
    for rank in everyone if claim.on is None else claim.on:
        yield f"!{condition(layout, rank, claim.condition)}"


def somebody_has_work(layout: Layout) -> str:
    """That a thread runs or a stream holds something."""
    return any_of(has_work(layout, actor) for actor in layout.world.actors)


def has_work(layout: Layout, actor: Actor) -> str:
    """That a thread runs, or that a stream holds something."""
    return f"head({layout.stream(actor.slot)}) != 0" if actor.is_stream else layout.is_busy(actor)


def ends_badly(layout: Layout) -> str:
    """What must not be where nobody has work left: an open request, a claim about the end."""
    return any_of(bad_ends(layout))


def bad_ends(layout: Layout) -> list[str]:
    """The same, one by one."""
    sends = any(op.kind in ("isend", "irecv") for p in layout.world.programs for op in p.code)
    terms = []
    for actor in layout.world.threads if sends else ():
        name = layout.thread(actor)
        terms.append(f"(thread[{name}].requests > 0 && !thread[{name}].failed)")
    for claim in layout.world.claims:
        if isinstance(claim, Stated) and claim.kind in AT_END:
            terms += list(_fails(layout, claim))
    return terms


def interesting(layout: Layout) -> Iterator[tuple[int, str, str]]:
    """(number, sentence, condition) of what some run has to reach, rank by rank."""
    number = 0
    for claim in layout.world.claims:
        if isinstance(claim, Stated) and claim.kind == "sometimes":
            for fails in _fails(layout, claim):
                yield number, claim.sentence, fails[1:]
                number += 1


def eventually(layout: Layout) -> Iterator[tuple[str, str]]:
    """(sentence, condition) of what must not stay false for ever."""
    for claim in layout.world.claims:
        if isinstance(claim, Stated) and claim.kind == "eventually":
            for fails in _fails(layout, claim):
                yield claim.sentence, fails[1:]
