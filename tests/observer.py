"""What a perfect observer writes down of a run of the model: what a driver would report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eplb_model.outcome import Action
from eplb_model.refine import _failed, _still_there
from eplb_model.state import State
from eplb_model.trace import replay
from eplb_model.world import World


def lines_of(world: World, schedule: Sequence[Action]) -> list[dict[str, Any]]:
    """The lines of a run, with the calls that its last state leaves open."""
    trace = replay(world, schedule)
    lines: list[dict[str, Any]] = []
    for action, before, after in zip(schedule, trace.states[:-1], trace.states[1:], strict=True):
        if action.actor.is_stream:
            lines += _of_stream(action, before, after)
        else:
            lines += _of_host(action, before, after, _is_open(action, lines))
            lines += _of_peers(action, before, after)
    return [*lines, *_open(trace.last, lines), *_final(trace.last)]


def _of_stream(action: Action, before: State, after: State) -> Iterator[dict[str, Any]]:
    head = before.head(action.actor)
    assert head is not None
    if not _still_there(before, after, action.actor):
        work = head.work.kernel or head.work.kind
        yield {"actor": str(action.actor), "event": "item", "work": work}


def _is_open(action: Action, lines: list[dict[str, Any]]) -> bool:
    mine = [line for line in lines if line.get("actor") == str(action.actor)]
    return bool(mine) and mine[-1]["event"] == "begin"


def _of_host(action: Action, before: State, after: State, called: bool) -> Iterator[dict[str, Any]]:
    actor = action.actor
    thread, now = before.threads[actor.slot], after.threads[actor.slot]
    op = before.world.programs[actor.slot].code[thread.pc]
    call = {"actor": str(actor), "pc": thread.pc, "op": op.kind}
    if not called:
        yield {**call, "event": "begin"}
    if now.pc == thread.pc and now.status == "running" and op.kind != "branch":
        return
    failed = _failed(before, after, actor)
    into = getattr(op, "into", None)
    if failed is not None:
        yield {**call, "event": "raise", **({"family": failed} if failed else {})}
    elif op.kind == "branch":
        yield {**call, "event": "end", "taken": now.pc == thread.pc + 1}
    elif into is not None and op.kind != "irecv":
        yield {**call, "event": "end", "value": after.read(actor.rank, into)}
    else:
        yield {**call, "event": "end"}
    if now.status == "ended":
        yield {"actor": str(actor), "event": "exit"}


def _of_peers(action: Action, before: State, after: State) -> Iterator[dict[str, Any]]:
    """The calls of other threads that the same step ends: errors."""
    for other in before.world.threads:
        then, now = before.threads[other.slot], after.threads[other.slot]
        goes_on = (now.pc, now.status) == (then.pc, "running")
        if other == action.actor or then.status != "running" or goes_on:
            continue
        op = before.world.programs[other.slot].code[then.pc]
        failed = _failed(before, after, other)
        family = {"family": failed} if failed else {}
        yield {"actor": str(other), "pc": then.pc, "op": op.kind, "event": "raise", **family}
        if now.status == "ended":
            yield {"actor": str(other), "event": "exit"}


def _open(state: State, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Calls that a thread makes and that do not return: seen to begin, if they were not yet."""
    last = {line["actor"]: line["event"] for line in lines if "pc" in line}
    for actor, thread in zip(state.world.threads, state.threads, strict=True):
        if thread.status == "running" and last.get(str(actor)) != "begin":
            op = state.world.programs[actor.slot].code[thread.pc]
            yield {"actor": str(actor), "pc": thread.pc, "op": op.kind, "event": "begin"}


def _final(state: State) -> Iterator[dict[str, Any]]:
    for rank, text in enumerate(state.world.ranks):
        values = {name: state.read(rank, name) for name in text.memory}
        shown = {name: value for name, value in values.items() if not isinstance(value, tuple)}
        yield {"rank": rank, "event": "final", "variables": shown}
