"""Schedules as text, and a schedule run again with every state in between.

Rule: what is printed parses back: `0.main 1.side:3` are actors, with a choice where there is one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, fields
from typing import NamedTuple

from eplb_model.distributor import kernel_of
from eplb_model.ops.expression import Value, Variable
from eplb_model.outcome import Action, Actor, UsageError
from eplb_model.state import State
from eplb_model.step import initial, step, wait_of
from eplb_model.world import HostOperation, World

NOT_WRITTEN = ("number", "otherwise", "mark")  # fields that the model fills in
WORD = re.compile(r"(\d+)\.([A-Za-z_]\w*)(?::(\d+))?")


class ScheduleError(UsageError):
    """A schedule that can't be read, or can't be followed."""


class Step(NamedTuple):
    """One row of a printed schedule: what was done, and what it led to."""

    action: Action
    does: str


class Trace(NamedTuple):
    """A schedule with its states: one more state than actions."""

    schedule: tuple[Action, ...]
    states: tuple[State, ...]

    @property
    def last(self) -> State:
        return self.states[-1]

    def steps(self) -> tuple[Step, ...]:
        """What each action did, in words."""
        pairs = zip(self.schedule, self.states[:-1], self.states[1:], strict=True)
        return tuple(
            Step(action, narrate(before, action, after)) for action, before, after in pairs
        )


def schedule_text(schedule: Iterable[Action]) -> str:
    """A schedule in words, separated by spaces."""
    return " ".join(map(str, schedule))


def parse_schedule(world: World, text: str) -> tuple[Action, ...]:
    """The actions that a text names.

    Raises
    ------
    ScheduleError
        With the word that can't be read, and the actors there are.
    """
    actors = {str(actor): actor for actor in world.actors}
    actions = []
    for number, word in enumerate(text.split(), start=1):
        found = WORD.fullmatch(word)
        actor = actors.get(f"{found[1]}.{found[2]}") if found else None
        if found is None or actor is None:
            raise ScheduleError(
                f"schedule word {number}: no actor {word!r}; known: {', '.join(sorted(actors))}"
            )
        actions.append(Action(actor, None if found[3] is None else int(found[3])))
    return tuple(actions)


def replay(world: World, schedule: Sequence[Action]) -> Trace:
    """Follow a schedule from the start and keep every state.

    Raises
    ------
    ScheduleError
        With the first action that can't be taken there, and what it waits for.
    """
    return Trace(tuple(schedule), tuple(_states(world, schedule)))


def end_of(world: World, schedule: Iterable[Action]) -> State:
    """Follow a schedule from the start, as `replay` does, and keep only where it leads.

    Among many ranks every state is large, and so are a thousand of them.
    """
    return deque(_states(world, schedule), maxlen=1)[0]


def _states(world: World, schedule: Iterable[Action]) -> Iterator[State]:
    """The states of a schedule, the first one included."""
    state = initial(world)
    yield state
    for number, action in enumerate(schedule, start=1):
        try:
            wait = wait_of(state, action)
        except KeyError:
            raise ScheduleError(f"step {number}: {action} has nothing to do") from None
        if wait is not None:
            raise ScheduleError(f"step {number}: {action} can't move: it {wait.why}")
        state = step(state, action)
        yield state


def narrate(before: State, action: Action, after: State) -> str:
    """One step in words: the operation, and what the GPU did at once because of it."""
    actor = action.actor
    parts = [_stream_part(before, actor, after) if actor.is_stream else _host_part(before, actor)]
    failure = None if actor.is_stream else after.threads[actor.slot].failure
    if failure is not None:
        parts.append(f"error: {failure.text}")
    parts += _placements(before, after, actor)
    return "; ".join(parts)


def phrase(op: HostOperation) -> str:
    """An operation as it is written in a vector, in short: what it leaves out is left out.

    A jump that is always taken, as at the end of a loop, is written nowhere: `jump`.
    """
    if op.kind == "branch" and getattr(op, "condition", None) is None:
        return "jump"
    words = []
    for each in fields(op):  # type: ignore[arg-type]  # every operation is a dataclass
        value = getattr(op, each.name)
        if each.name not in NOT_WRITTEN and value != each.default:
            optional = each.default is not MISSING
            words.append(_words(each.name, value, optional))
    return " ".join([op.kind, *words])


def _words(name: str, value: object, optional: bool) -> str:
    if isinstance(value, tuple):
        return f"{name} {', '.join(map(str, value))}"
    if isinstance(value, bool):
        return name
    if optional and isinstance(value, (Value, Variable)):
        return f"{name} {value}"
    return str(value)


def _host_part(before: State, actor: Actor) -> str:
    thread = before.threads[actor.slot]
    op = before.world.programs[actor.slot].code[thread.pc]
    condition = getattr(op, "condition", None)
    if op.kind == "branch" and condition is not None:
        return f"{phrase(op)}: {'yes' if condition.holds(before, actor) else 'no'}"
    return phrase(op) if thread.local is None else f"{phrase(op)} (goes on)"


def _stream_part(before: State, actor: Actor, after: State) -> str:
    head = before.head(actor)
    assert head is not None, f"[model bug] {actor} moved with nothing to do"
    if head.work.kernel is None:
        return f"{phrase(head.work)} done"  # type: ignore[arg-type]  # a stream's work has a kind too
    run, later = before.run_of(actor), after.run_of(actor)
    if run is None:
        return f"{head.work.kernel} reaches the distributor"
    if later is not None and after.head(actor) == head:
        ended = sum(later.ended)
        return f"a CTA of {head.work.kernel} ends ({ended} of {kernel_of(before, run).ctas})"
    return f"{head.work.kernel} ends"


def _placements(before: State, after: State, actor: Actor) -> list[str]:
    told = []
    for run in after.devices[actor.rank].arrived:
        stream = after.world.streams[run.stream]
        kernel = kernel_of(after, run)
        earlier = before.run_of(stream)
        known = earlier is not None and before.head(stream) == after.head(stream)
        had = len(earlier.seats) if known and earlier is not None else 0
        if len(run.seats) > had:
            told.append(f"{kernel.name}: {len(run.seats)} of {kernel.ctas} CTAs placed")
        elif not known and not run.seats:
            told.append(f"{kernel.name}: 0 of {kernel.ctas} CTAs placed, it waits")
    return told
