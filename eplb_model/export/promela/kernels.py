"""What streams do: kernels end CTA by CTA or as one, copies and reads end, events fire.

specs/semantics.md#run-kernel, #meetings, #transfer, #record, #remote-read
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from eplb_model.export.cannot import CannotExport
from eplb_model.export.promela.device import count_name
from eplb_model.export.promela.expressions import expression
from eplb_model.export.promela.layout import Layout, Work, all_of, any_of
from eplb_model.ops.moves import Move, PeerVariable
from eplb_model.outcome import Actor
from eplb_model.world import Kernel


class Option(NamedTuple):
    """Something that a stream may do: what it is in words, when, and what follows."""

    words: str
    guard: str
    effect: tuple[str, ...]


def options(layout: Layout, me: Actor) -> Iterator[Option]:
    """All that a stream may ever do."""
    name, ready = layout.stream(me.slot), layout.is_ready(me.slot)

    def is_head(work: Work) -> str:
        return f"head({name}) == {work.name}"

    for kernel in layout.kernels_of(me.slot):
        yield from _kernel(layout, me, layout.world.kernels[kernel])
    for work in layout.works_of(me.slot):
        if work.kind in ("transfer", "read"):
            moves = _moves(layout, me.rank, work)
            ends = (*moves, f"pop({me.rank}, {name})", f"flow({me.rank})")
            yield Option(f"a {work.kind} ends", all_of((is_head(work), ready)), ends)
        elif work.kind == "record":
            ends = (f"pop({me.rank}, {name})", f"flow({me.rank})")
            yield Option("an event fires", all_of((is_head(work), ready)), ends)


def is_kernel(name: str) -> str:
    """The macro that asks whether work is a launch of a kernel."""
    return f"launches_{''.join(c if c.isalnum() else '_' for c in name).strip('_')}"


def _moves(layout: Layout, rank: int, work: Work) -> list[str]:
    """The assignments that work does in the step with which it ends.  #moves"""
    name = layout.stream(work.streams[0])
    lines: list[str] = []
    for each in work.moves:
        assignment = _assignment(layout, rank, each)
        if isinstance(each.source, PeerVariable) and work.kernel is not None:
            pending = f":: !(stream[{name}].handed & {1 << each.source.rank}) -> {assignment}"
            lines += ["if", pending, ":: else", "fi"]
        else:
            lines.append(assignment)
    return lines


def _assignment(layout: Layout, rank: int, move: Move) -> str:
    if isinstance(move.source, PeerVariable):
        value = layout.variable(move.source.rank, move.source.name)
    else:
        value = expression(layout, rank, move.source)
    return f"{layout.variable(rank, move.target)} = {value}"


def _hands_over(layout: Layout, me: Actor, kernel: Kernel) -> list[str]:
    """What running peers take from this rank has moved at the latest when this kernel ends."""
    lines: list[str] = []
    for work in layout.works.values():
        taker = layout.world.kernels[work.kernel] if work.kernel is not None else None
        taken = [m for m in work.moves if _takes_from(m, me.rank)]
        rank = layout.world.threads[work.by].rank
        meets = taker is not None and taker.meets is not None and taker.meets.kernel == kernel.name
        if not meets or not taken or rank == me.rank:
            continue
        theirs = layout.stream(work.streams[0])
        handed = f"stream[{theirs}].handed"
        mask = 1 << me.rank
        guard = all_of(
            (
                f"head({theirs}) == {work.name}",
                f"stream[{theirs}].arrived",
                f"stream[{theirs}].nr[0] == stream[{layout.stream(me.slot)}].nr[0]",
                f"!({handed} & {mask})",
            )
        )
        moves = [_assignment(layout, rank, each) for each in taken]
        lines += ["if", f":: {guard} ->", *moves, f"{handed} = {handed} | {mask}", ":: else", "fi"]
    return lines


def _takes_from(move: Move, rank: int) -> bool:
    return isinstance(move.source, PeerVariable) and move.source.rank == rank


def _leaves_as_one(kernel: Kernel) -> bool:
    return kernel.ends == "together" and not (kernel.meets and kernel.meets.grain == "channel")


def _kernel(layout: Layout, me: Actor, kernel: Kernel) -> Iterator[Option]:
    name = layout.stream(me.slot)
    head = f"{is_kernel(kernel.name)}(head({name}))"
    until = "" if kernel.until is None else layout.variable(me.rank, kernel.until)
    classes = kernel.classes(backwards=False)
    numbers = (0,) if _leaves_as_one(kernel) else range(len(classes))
    for number in numbers:
        seats = _has_seats(name, kernel, classes, number)
        meets = _meets(layout, me, kernel, classes, number)
        guard = all_of((head, f"stream[{name}].arrived", seats, until, meets))
        if _leaves_as_one(kernel):
            words, ends = f"{kernel.name} ends", _all_end(me, name, classes)
        elif kernel.ends == "together":
            more = all_of((seats, meets))
            words = f"the CTAs of {kernel.name} that can, end"
            ends = [
                "do",
                f":: {more} ->",
                *_one_ends(me, name, classes, number),
                ":: else -> break",
                "od",
            ]
        else:
            words = f"a CTA of {kernel.name} ends"
            ends = _one_ends(me, name, classes, number)
        if len(classes) > 1 and not _leaves_as_one(kernel):
            words += f", of class {number}"
        yield Option(words, guard, (*ends, *_perhaps_over(layout, me, kernel)))


def _sum_of_ended(name: str, classes: tuple[tuple[int, ...], ...]) -> str:
    return " + ".join(f"stream[{name}].ended[{c}]" for c in range(len(classes)))


def _member(members: tuple[int, ...], number: str) -> str:
    """The position in start order of the n-th CTA of a class."""
    step = members[1] - members[0] if len(members) > 1 else 1
    if list(members) == list(range(members[0], members[-1] + 1, step)):
        scaled = number if step == 1 else f"{step} * {number}"
        return scaled if members[0] == 0 else f"({members[0]} + {scaled})"
    looked_up = (f"({number} == {index}) * {position}" for index, position in enumerate(members))
    return f"({' + '.join(looked_up)})"  # no `->`: formulas read it too


def _has_seats(name: str, kernel: Kernel, classes: tuple[tuple[int, ...], ...], number: int) -> str:
    """That the CTAs that would end are resident."""
    started = f"stream[{name}].started"
    grid = kernel.meets is not None and kernel.meets.grain == "grid"
    needed = f"{started} == {kernel.ctas}" if grid else f"{started} > 0"
    if _leaves_as_one(kernel):
        return all_of((needed, f"{started} > {_sum_of_ended(name, classes)}"))
    ended = f"stream[{name}].ended[{number}]"
    members = classes[number]
    there = f"{_member(members, ended)} < {started}"
    return all_of((needed, f"{ended} < {len(members)}", there))


def _all_end(me: Actor, name: str, classes: tuple[tuple[int, ...], ...]) -> list[str]:
    """Every CTA that has started ends."""
    lines: list[str] = []
    for number, members in enumerate(classes):
        ended = f"stream[{name}].ended[{number}]"
        lines += [
            "do",
            f":: {ended} < {len(members)} && {_member(members, ended)} < stream[{name}].started ->",
            *_one_ends(me, name, classes, number),
            ":: else -> break",
            "od",
        ]
    return lines


def _one_ends(me: Actor, name: str, classes: tuple[tuple[int, ...], ...], number: int) -> list[str]:
    ended = f"stream[{name}].ended[{number}]"
    return [f"give_back({me.rank}, {name}, {_member(classes[number], ended)})", f"{ended}++"]


def _perhaps_over(layout: Layout, me: Actor, kernel: Kernel) -> list[str]:
    """With its last CTA a kernel is over: it does its moves, leaves, and counts as completed."""
    name, world = layout.stream(me.slot), layout.world
    classes = kernel.classes(backwards=False)
    lines = ["if", f":: {_sum_of_ended(name, classes)} == {kernel.ctas} ->"]
    lines += _hands_over(layout, me, kernel)
    for work in layout.works_of(me.slot):
        if work.kernel == kernel.name and work.moves:
            if len(work.streams) > 1:
                raise CannotExport("moves of a kernel on the current stream")
            moves = _moves(layout, me.rank, work)
            lines += ["if", f":: head({name}) == {work.name} ->", *moves, ":: else", "fi"]
    lines.append(f"complete({me.rank}, {name})")
    if kernel.name in world.counted:
        lines.append(f"note_completed({count_name(me.rank, kernel.name)})")
        lines += _forget_meetings(layout, kernel.name)
    return [*lines, ":: else", "fi", f"flow({me.rank})"]


# --- meetings --------------------------------------------------------------------------------


def _meets(
    layout: Layout, me: Actor, kernel: Kernel, classes: tuple[tuple[int, ...], ...], number: int
) -> str:
    """That every peer is there for the CTA that would end, or for the kernel."""
    meets = kernel.meets
    if meets is None:
        return ""
    name = layout.stream(me.slot)
    sends, receives, index = meets.sends, meets.receives, "0"
    if meets.grain == "channel":
        index = _member(classes[number], f"stream[{name}].ended[{number}]")
        if kernel.rounds:
            rounds = kernel.rounds[classes[number][0]]
            sends = tuple(r for r in sends if r in rounds)
            receives = tuple(r for r in receives if r in rounds)
    ranks = len(layout.world.ranks)
    peers = {(me.rank - r) % ranks for r in receives}
    if not meets.eager:
        peers |= {(me.rank + r) % ranks for r in sends}
    launch = f"stream[{name}].nr[0]"
    return all_of(
        f"({_is_there(layout, peer, meets.grain, meets.kernel, launch, index)})"
        for peer in sorted(peers)
    )


def _is_there(layout: Layout, peer: int, grain: str, kernel: str, launch: str, index: str) -> str:
    """Whether a peer has come as far as a meeting of this grain asks for."""
    ctas = layout.world.kernels[kernel].ctas
    if grain == "end":
        return completed(layout, peer, kernel, launch)
    if grain == "grid":
        return has_started(layout, peer, kernel, launch, str(ctas - 1))
    there = has_started(layout, peer, kernel, launch, index)
    return there if grain == "first" else all_of((f"{index} < {ctas}", f"({there})"))


def completed(layout: Layout, rank: int, kernel: str, launch: str) -> str:
    """Whether the n-th launch of a kernel on a rank has ended."""
    return f"completed({count_name(rank, kernel)}, {launch})"


def has_started(layout: Layout, rank: int, kernel: str, launch: str, position: str) -> str:
    """Whether the CTA at a position of the n-th launch has ever been resident."""
    running = (
        f"has_started({is_kernel(kernel)}, {name}, {launch}, {position})"
        for stream in layout.cuda_streams(rank)
        if kernel in layout.kernels_of(stream.slot) and (name := layout.stream(stream.slot))
    )
    return any_of((completed(layout, rank, kernel, launch), *running))


def _forget_meetings(layout: Layout, kernel: str) -> list[str]:
    """Where programs loop: launch numbers go down once every rank has passed the first.  #state"""
    world = layout.world
    family = _family(layout, kernel)
    if not world.cyclic or family & world.awaited:
        return []
    ranks = range(len(world.ranks))
    counts = [f"count[{count_name(r, name)}]" for r in ranks for name in sorted(family)]
    everywhere = all_of(f"{each}.completed & 1" for each in counts)
    lines = ["do", f":: {everywhere} ->"]
    for each in counts:
        lines += [f"{each}.launched--", f"{each}.completed = {each}.completed >> 1"]
    members = any_of(f"{is_kernel(name)}(stream[i_].work[j_])" for name in sorted(family))
    lines.append(f"renumber({members})")
    return [*lines, ":: else -> break", "od"]


def _family(layout: Layout, kernel: str) -> frozenset[str]:
    """The kernels whose launches pair with those of a kernel, directly or not."""
    family, size = {kernel}, 0
    while len(family) != size:
        size = len(family)
        for each in layout.world.kernels.values():
            if each.meets and {each.name, each.meets.kernel} & family:
                family |= {each.name, each.meets.kernel}
    return frozenset(family)


# --- waits of host threads for launches ------------------------------------------------------


def await_guard(layout: Layout, rank: int, op: Any) -> str:
    """What `await_resident` and `await_complete` wait for."""
    if op.kind == "await_complete":
        return completed(layout, rank, op.kernel, str(op.number))
    last = layout.world.kernels[op.kernel].ctas - 1
    return has_started(layout, rank, op.kernel, str(op.number), str(last))
