"""A trace as a story: what every state of a run looks like to a reader.

Rule: who waits, why, and on whom comes from `wait_for`, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from eplb_model.distributor import kernel_of, resident
from eplb_model.explain.order import arrows
from eplb_model.explain.values import changed_memory
from eplb_model.outcome import Actor
from eplb_model.properties import somebody_can_move, violation
from eplb_model.render.story import Arrow, Cell, Frame, Holding, Status, Story, Taken, Track
from eplb_model.scenario import Scenario
from eplb_model.state import Item, State
from eplb_model.step import enabled
from eplb_model.trace import Trace, narrate, phrase
from eplb_model.wait_for import circle, stuck_set, waiting
from eplb_model.words import actor_kind, kernel_text
from eplb_model.world import World

MOST_RANKS = 8  # with tracks of their own


class Loop(NamedTuple):
    """For a stall: after which step its loop begins, and who has no part in it for ever."""

    entry: int
    left_out: frozenset[Actor]


def film(
    scenario: Scenario,
    trace: Trace,
    ranks: Sequence[int],
    verdict: str = "",
    ring: Iterable[Actor] = (),
    notes: Sequence[str] = (),
    loop: Loop | None = None,
) -> Story:
    """The story of a run, for some of its ranks (at most `MOST_RANKS`)."""
    world, ranks = trace.last.world, tuple(sorted(ranks)[:MOST_RANKS])
    tracks = actors_of(world, ranks)
    pairs = zip(trace.schedule, trace.states[:-1], trace.states[1:], strict=True)
    return Story(
        title=scenario.name,
        about=scenario.about,
        verdict=verdict,
        parameters=dict(scenario.parameters),
        machine=scenario.machine.name,
        sms=scenario.machine.sms,
        groups=scenario.machine.groups,
        kernels={each.name: kernel_text(each) for each in scenario.kernels.values()},
        ranks=ranks,
        left_out=len(world.ranks) - len(ranks),
        tracks=tuple(Track(str(a), a.rank, actor_kind(world, a)) for a in tracks),
        steps=tuple(
            Taken(str(action), str(action.actor), narrate(before, action, after))
            for action, before, after in pairs
        ),
        frames=tuple(_frames(trace, ranks, loop)),
        arrows=(*_submits(trace, tracks), *arrows(trace), *_never(trace, tracks)),
        circle=tuple(map(str, ring)),
        notes=tuple(notes),
        loop=None if loop is None else loop.entry,
    )


def _frames(trace: Trace, ranks: Sequence[int], loop: Loop | None) -> Iterator[Frame]:
    """All frames; within the loop whoever is left out waits for good."""
    actors = actors_of(trace.last.world, ranks)
    for number, state in enumerate(trace.states):
        each = frame(state, ranks)
        if loop is not None and number >= loop.entry:
            pairs = zip(actors, each.cells, strict=True)
            cells = (replace(c, status="stuck") if a in loop.left_out else c for a, c in pairs)
            each = replace(each, cells=tuple(cells))
        yield each


def frame(state: State, ranks: Sequence[int]) -> Frame:
    """One state, for some ranks."""
    world = state.world
    waits = {each.actor: each for each in waiting(state)}
    stuck = stuck_set(state)
    cells = []
    for actor in actors_of(world, ranks):
        wait = waits.get(actor)
        text, over = _at(state, actor)
        status: Status = "moves"
        if over is not None:
            status = over
        elif wait is not None:
            status = "stuck" if actor in stuck else "waits"
        run = state.run_of(actor) if actor.is_stream else None
        cells.append(
            Cell(
                text,
                status,
                wait.why if wait else "",
                tuple(map(str, wait.freed_by)) if wait else (),
                0 if run is None else len(resident(state, run, actor.rank)),
                0 if run is None else kernel_of(state, run).ctas,
                tuple(_work(item) for item in state.items(actor)[1:]) if actor.is_stream else (),
            )
        )
    verdict, message = _wrong(state)
    ring = circle(waits.values(), stuck) if stuck else ()
    return Frame(
        tuple(cells),
        tuple(_holdings(state, rank) for rank in ranks),
        tuple(_busy(state, rank) for rank in ranks),
        tuple(changed_memory(state, rank) for rank in ranks),
        tuple(map(str, enabled(state))) if not verdict else (),
        verdict,
        message,
        tuple(map(str, ring)),
    )


def actors_of(world: World, ranks: Iterable[int]) -> tuple[Actor, ...]:
    """The threads and streams of some ranks, rank by rank."""
    return tuple(
        actor for rank in ranks for actor in (*world.threads_of(rank), *world.streams_of(rank))
    )


def standing_at(state: State, actor: Actor) -> str:
    """The operation at which a thread stands, the work at the head of a stream."""
    return _at(state, actor)[0]


def _at(state: State, actor: Actor) -> tuple[str, Status | None]:
    """Where a party is, and whether it has nothing to do or is over."""
    if actor.is_stream:
        head = state.head(actor)
        return ("", "idle") if head is None else (_work(head), None)
    thread = state.thread(actor)
    code = state.world.programs[actor.slot].code
    if thread.status == "running":
        return phrase(code[thread.pc]), None
    if thread.failure is not None:
        return f"error: {thread.failure.text}", "ended"
    return ("", "idle") if thread.status == "new" else ("", "ended")


def _work(item: Item) -> str:
    return item.work.kernel or phrase(item.work)  # type: ignore[arg-type]  # a stream's work has a kind too


def _holdings(state: State, rank: int) -> tuple[Holding, ...]:
    found = []
    for run in state.devices[rank].arrived:
        held = resident(state, run, rank)
        if held:
            seats = None if state.world.roomy[rank] else tuple(held)
            name = kernel_of(state, run).name
            found.append(Holding(str(state.world.streams[run.stream]), name, len(held), seats))
    return tuple(found)


def _busy(state: State, rank: int) -> int:
    """SMs in use; where seats are only counted, at most one CTA per SM is assumed."""
    held = [resident(state, run, rank) for run in state.devices[rank].arrived]
    if state.world.roomy[rank]:
        return min(sum(map(len, held)), state.world.machine.sms)
    return len({seat for seats in held for seat in seats})


def _wrong(state: State) -> tuple[str, str]:
    broken = violation(state)
    if broken is not None:
        return broken.verdict, broken.message
    stuck = somebody_can_move.broken_by(state)
    return ("", "") if stuck is None else stuck


def _submits(trace: Trace, tracks: Sequence[Actor]) -> Iterable[Arrow]:
    """Which step of a thread put work on which stream."""
    streams = [actor for actor in tracks if actor.is_stream]
    for number, action in enumerate(trace.schedule):
        before, after = trace.states[number], trace.states[number + 1]
        for stream in () if action.actor.is_stream else streams:
            if len(after.items(stream)) > len(before.items(stream)):
                yield Arrow("submits", str(action.actor), str(stream), number + 1, number + 1)


def _never(trace: Trace, tracks: Sequence[Actor]) -> Iterable[Arrow]:
    """Who waits for whom when the run is over."""
    last, shown = len(trace.schedule), set(tracks)
    for each in waiting(trace.last):
        for other in each.freed_by:
            if each.actor in shown and other in shown:
                yield Arrow("waits for", str(each.actor), str(other), last, None)
