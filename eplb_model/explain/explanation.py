"""An explanation of a report: the parties, the waits one by one, and where they contradict.

Rule: every sentence about a wait is that of the guard; what is added here says what a party holds
and why that does not come free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eplb_model.distributor import kernel_of, resident
from eplb_model.explain.asked import Asked, on_fewer_ranks
from eplb_model.explain.critical import Critical, critical
from eplb_model.explain.cures import Enough, cures
from eplb_model.explain.film import MOST_RANKS, Loop, film, standing_at
from eplb_model.explain.reduce import Reduced, reduced
from eplb_model.explain.values import value_text
from eplb_model.happens_before import Race, races
from eplb_model.happens_before.race import in_words
from eplb_model.ops.variables import Assert
from eplb_model.outcome import Actor, Finding, Report, Waiting
from eplb_model.render.explained import Explanation, Let
from eplb_model.render.story import Story
from eplb_model.state import State
from eplb_model.trace import Step, Trace, replay
from eplb_model.wait_for import waiting
from eplb_model.words import kernel_text

MOST_PARTIES = 12  # in Let; the others are counted


@dataclass(frozen=True, slots=True)
class _Case:
    """The run that is explained: the one that was found, or one of fewer ranks."""

    asked: Asked
    finding: Finding
    small: Reduced
    trace: Trace
    decides: Critical | None
    smaller: str


def explain(
    asked: Asked, report: Report, *, with_cures: bool = True, enough: Enough = lambda: None
) -> Explanation:
    """Why a finding is one; its scenario is that of the switches under which it was found.

    `enough` names a bound, or an interruption, that ends the search for cures.
    """
    case = _case(asked, report)
    finding, small = case.finding, case.small
    let, then, however = _account(finding, small, case.trace)
    return Explanation(
        report=report,
        smaller=case.smaller,
        let=tuple(let),
        then=tuple(then),
        however=however,
        others=_others(finding, small),
        story=_story(case, _untried(small)),
        shortened=_shortened(small, finding),
        loop=_loop_steps(case),
        critical=_critical_text(case),
        cures=cures(case.asked, finding, small, enough) if with_cures else None,
    )


def story_of(asked: Asked, report: Report) -> Story:
    """The film of the steps that matter, for pictures; of a stall with its loop once."""
    case = _case(asked, report)
    smaller = [f"The same as with more ranks, with {case.smaller}."] if case.smaller else []
    decides = [f"The critical step: {_critical_text(case)}"] if case.decides else []
    repeats, loop = [], case.finding.loop
    if loop:
        entry = len(case.small.schedule)
        repeats = [f"Steps {entry + 1} to {entry + len(loop)} repeat for ever."]
    notes = [*smaller, *_what(case), *decides, *repeats, *_untried(case.small)]
    return _story(case, notes, with_loop=True)


def _what(case: _Case) -> list[str]:
    """What no picture of waits shows: two accesses without an order, what an operation raised."""
    if case.finding.verdict in ("deadlock", "stall"):
        return []
    let, then, however = _account(case.finding, case.small, case.trace)
    return [*(f"{each.name}: {'; '.join(each.lines)}." for each in let), *then[:1], however]


def _case(asked: Asked, report: Report) -> _Case:
    finding = report.finding
    assert finding is not None, "[model bug] nothing to explain"
    smaller = ""
    fewer = on_fewer_ranks(asked, finding)
    if fewer is not None and fewer[1].finding is not None:
        asked, finding = fewer[0], fewer[1].finding
        smaller = f"ranks={asked.value('ranks')}"
    world = asked.scenario.world
    small = reduced(world, finding)
    trace = replay(world, small.schedule)
    decides = critical(world, small.schedule, finding) if _has_critical_step(finding) else None
    return _Case(asked, finding, small, trace, decides, smaller)


def _has_critical_step(finding: Finding) -> bool:
    """Not if nothing happens, nor where a claim is given up: there nobody is left out."""
    given_up = finding.verdict == "stall" and not finding.waiting
    return bool(finding.schedule) and not given_up


def _story(case: _Case, notes: Sequence[str], *, with_loop: bool = False) -> Story:
    """The ranks of the circle come first, should there be too many for tracks."""
    finding, small, trace = case.finding, case.small, case.trace
    first = list(dict.fromkeys([*(actor.rank for actor in small.circle), *small.ranks]))
    loop = None
    if with_loop and finding.loop:
        trace = replay(trace.last.world, (*small.schedule, *finding.loop))
        loop = Loop(len(small.schedule), frozenset(each.actor for each in finding.waiting))
    shown = first[:MOST_RANKS]
    return film(case.asked.scenario, trace, shown, finding.verdict, small.circle, notes, loop)


def _account(finding: Finding, small: Reduced, trace: Trace) -> tuple[list[Let], list[str], str]:
    match finding.verdict:
        case "race":
            found = races(trace)
            if found:
                return _race(found[-1])
        case "deadlock" | "stall":
            if small.circle:
                return _circle(small)
            return _left_out(finding, small)
        case _:
            return _raised(trace), [], f"{finding.message}."
    return [], [], f"{finding.message}."


def _raised(trace: Trace) -> list[Let]:
    """The thread whose operation failed, and the values that it looked at."""
    actor = trace.schedule[-1].actor if trace.schedule else None
    if actor is None or actor.is_stream or trace.last.thread(actor).failure is None:
        return []
    before = trace.states[-2]
    op = before.world.programs[actor.slot].code[before.thread(actor).pc]
    lines = [f"thread {actor.name} of rank {actor.rank}, in `{standing_at(before, actor)}`"]
    names = dict.fromkeys(op.condition.variables) if isinstance(op, Assert) else ()
    values = (f"{name} is {value_text(before, actor.rank, name)}" for name in names)
    lines += [text] if (text := ", ".join(values)) else []
    return [Let(str(actor), tuple(lines))]


# --- who waits ---------------------------------------------------------------------------------


def _circle(small: Reduced) -> tuple[list[Let], list[str], str]:
    """The members of the circle, and why each can't go before the next."""
    waits = {each.actor: each for each in waiting(small.last)}
    ring = small.circle[:-1]
    let = [_party(small.last, waits[actor]) for actor in ring]
    sentences = [
        f"{actor} can't go on before {after}: it {_it(waits[actor])}."
        for actor, after in zip(ring, small.circle[1:], strict=True)
    ]
    *then, last = sentences
    however = (
        f"{last} That is where this began: of {', '.join(map(str, ring))} "
        "none can be the first to move."
    )
    return let, then, however


def _left_out(finding: Finding, small: Reduced) -> tuple[list[Let], list[str], str]:
    """Whoever waits for what never comes, and what goes on meanwhile."""
    waits = finding.waiting[:MOST_PARTIES]
    let = [_party(small.last, each) for each in waits]
    then = [f"{each.actor} {_it(each)}." for each in waits]
    freed: dict[str, list[str]] = {}
    for each in waits:
        freed.setdefault(_freed(each), []).append(str(each.actor))
    then += [f"{', '.join(whom)} could be freed by {who}." for who, whom in freed.items()]
    if finding.loop:
        moving = dict.fromkeys(str(action.actor) for action in finding.loop)
        let.append(
            Let("the loop", (f"{len(finding.loop)} steps of {', '.join(moving)}, for ever",))
        )
        however = f"{finding.message}: no step of the loop is theirs, and none frees them."
        if not waits:
            however = f"{finding.message}."
    else:
        however = "Nothing that may still happen frees any of them."
    return let, then, however


def _it(each: Waiting) -> str:
    return each.why.rstrip(".")


def _freed(each: Waiting) -> str:
    return ", ".join(map(str, each.freed_by)) or "nobody"


def _party(state: State, each: Waiting) -> Let:
    """Where a party is, what it does, what it holds, and why it keeps it."""
    actor = each.actor
    lines = [
        f"{each.kind} {actor.name} of rank {actor.rank}" + (f": {each.doing}" if each.doing else "")
    ]
    if not actor.is_stream:
        lines[0] += f", in `{standing_at(state, actor)}`"
    return Let(str(actor), (*lines, *_holds(state, actor)))


def _holds(state: State, actor: Actor) -> Iterator[str]:
    """The kernel of a stream: what it holds, and why it can't give that back."""
    run = state.run_of(actor) if actor.is_stream else None
    if run is None:
        return
    kernel, held = kernel_of(state, run), len(resident(state, run, actor.rank))
    yield kernel_text(kernel)
    sms = state.world.machine.sms
    if held:
        yield (
            f"holds {held} SM slot{'' if held == 1 else 's'} (rank {actor.rank} has {sms} SMs); a "
            "running CTA keeps its SM until it ends"
        )
    elif kernel.gang:
        yield "holds nothing: a gang starts with all its CTAs or not at all"
    else:
        yield "holds nothing yet"


def _others(finding: Finding, small: Reduced) -> str:
    """Victims: they wait for the circle and are no part of it."""
    ring = set(small.circle)
    others = [each.actor for each in finding.waiting if each.actor not in ring] if ring else []
    if not others:
        return ""
    near = [actor for actor in others if actor.rank in small.ranks]
    far = len({actor.rank for actor in others} - set(small.ranks))
    named = ", ".join(map(str, near[:MOST_PARTIES]))
    more = f" and {len(near) - MOST_PARTIES} more" if len(near) > MOST_PARTIES else ""
    ranks = f"{far} other rank{'' if far == 1 else 's'}" if far else ""
    behind = " and ".join(part for part in (named + more, ranks) if part)
    return f"Behind the circle wait {behind}: victims, no part of it."


# --- races -------------------------------------------------------------------------------------


def _race(race: Race) -> tuple[list[Let], list[str], str]:
    first, second = race.first, race.second
    let = [
        Let(name, (f"{in_words(each)} on {each.actor}, submitted by {each.submitter}",))
        for name, each in (("first", first), ("second", second))
    ]
    then = [f"Both use {race.buffer}, and at least one of them writes it."]
    then += [f"{each}." for each in race.seen]
    return let, then, f"{race.missing[0].upper()}{race.missing[1:]}."


# --- the way -----------------------------------------------------------------------------------


def _loop_steps(case: _Case) -> tuple[Step, ...]:
    """What a stall goes on with: its loop, once."""
    loop = case.finding.loop
    if not loop:
        return ()
    whole = replay(case.trace.last.world, (*case.small.schedule, *loop))
    return whole.steps()[-len(loop) :]


def _shortened(small: Reduced, finding: Finding) -> str:
    if not small.left_out:
        return ""
    one = small.left_out == 1
    nothing = "changes nothing" if one else "change nothing"
    victims = "only adds victims" if one else "only add victims"
    what = victims if finding.verdict == "deadlock" else nothing
    return f"; {small.left_out} more of the run {what}"


def _untried(small: Reduced) -> list[str]:
    many = "not every step of it was tried for whether it matters: too many"
    return [] if small.whole else [many]


def _critical_text(case: _Case) -> str:
    found = case.decides
    if found is None:
        return ""
    well = "leaves nobody out" if case.finding.verdict == "stall" else "ends well"
    if found.always and found.bound:
        return f"not found; within {found.bound} states no schedule was seen that {well}."
    if found.always:
        return (
            f"none of these; even from the first state no schedule {well}. The programs force it."
        )
    if found.never:
        return f"none of these; even after the last some schedule {well}."
    assert found.step is not None, "[model bug] no step decides"
    taken = case.trace.steps()[found.step - 1]
    after = f"none was seen within {found.bound} states" if found.bound else "none does"
    return (
        f"step {found.step}, {taken.action}: {taken.does.partition(';')[0]}. Before it some "
        f"schedule still {well}, after it {after}."
    )
