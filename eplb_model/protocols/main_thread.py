"""The main thread M: forward passes, and between them the rearrangement, the votes and the moves.

Rules (steps as in specs/protocols.md#main):
- R1 to R4: the load is copied and summed, the cycle is on, the worker is woken.
- A step is a forward pass, whose result the host reads, then `step()`: M3 statistics, M5 the
  counter, M6 for each model a vote whether every rank has a layer to move, M7 the next cycle.
- Only a rank on which the cycle is on takes part in the vote (`gated`).
- M7 follows the move of the last layer in the same step.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import RecordEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Set
from eplb_model.ops.launch import Memset
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.two_thread_event import CpuGpuEventRecord
from eplb_model.ops.variables import Put, Test
from eplb_model.protocols.forward import forward, summed
from eplb_model.protocols.moves import drained, handed_back, locked_move, move
from eplb_model.protocols.settings import Settings, holds, if_all, of_model
from eplb_model.scenario import Forever, If, Repeat, Statement

SERVING = holds("serving", 1)


def main_thread(
    settings: Settings, rank: int, at_the_end: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    """What the main thread of a rank does until the last cycle is off."""
    body = [] if settings.steps else list(rearrange(settings))
    if settings.idle is not None:
        body += _first_step(settings, rank)
    step = (*forward(settings), *_step(settings, rank))
    if settings.drain is None:
        body.append(Forever(step, SERVING))
    else:
        body += [Repeat(settings.drain, step, SERVING), *drained(settings)]
    return (*body, *_let_go(settings), *at_the_end)


def initial(settings: Settings) -> dict[str, object]:
    """The variables of a rank before the first step."""
    state: dict[str, object] = {
        "serving": 1,
        "cycle": 1 if settings.steps == 0 else 0,
        "ctr": 0 if settings.steps == 0 else settings.interval - settings.steps,
    }
    for model in range(settings.models):
        state |= {of_model("rebalanced", model): 0, of_model("pending", model): None}
        if settings.locks:
            state |= {of_model("ready", model): 0, of_model("layer", model): 0}
    if settings.locks or settings.reports_death:
        state["left"] = 0
    return state | ({"dead": 0} if settings.reports_death else {})


def rearrange(settings: Settings) -> Iterator[Statement]:
    """R1 to R4: from the window of loads to a worker that is awake."""
    yield Copy("d2d", "compute", writes=("load",))
    if settings.sums_load:
        yield from summed("load")
    window = RecordEvent("window_ready", "compute")
    if settings.locks and settings.records_late != "window":
        yield window
    for model in range(settings.models):
        if settings.locks and settings.resets == "at_rearrange" and settings.cycles > 1:
            yield Put(of_model("layer", model), Value(0))
        yield Put(of_model("rebalanced", model), Value(1))
    if not settings.locks:
        yield CpuGpuEventRecord("rearrange", "compute")
        return
    yield Set("wake")
    if settings.records_late == "window":
        yield window


def _first_step(settings: Settings, rank: int) -> Iterator[Statement]:
    """A first step in which the last rank has nothing to compute."""
    idle = settings.idle if rank == settings.ranks - 1 else None
    if idle != "stays_away":
        yield from forward(settings)
    if idle == "steps_as_dummy":
        yield Memset("compute")  # M1
    if idle in (None, "steps_as_dummy"):
        yield from _step(settings, rank)


def _step(settings: Settings, rank: int) -> Iterator[Statement]:
    rearms = settings.cycles > 1 or settings.steps > 0
    if settings.statistics:
        yield from summed("statistics")
        yield StreamSynchronize("compute")
    if rearms:  # M5; what is past the interval makes no difference
        short = Condition(Variable("ctr"), "<", Value(settings.interval))
        yield If(short, (Put("ctr", Variable("ctr", 1)),))
    for model in range(settings.models):
        vote = tuple(_vote(settings, rank, model))
        on = holds(of_model("rebalanced", model), 1)
        yield from (If(on, vote),) if settings.gated else vote
    off = tuple(holds(of_model("rebalanced", model), 0) for model in range(settings.models))
    yield from if_all(off, tuple(_next_cycle(settings)) if rearms else (Put("serving", Value(0)),))


def _next_cycle(settings: Settings) -> Iterator[Statement]:
    """M7, where no cycle is on."""
    due = Condition(Variable("ctr"), ">=", Value(settings.interval))
    again = (Put("ctr", Value(0)), Put("cycle", Variable("cycle", 1)), *rearrange(settings))
    left = Condition(Variable("cycle"), "<", Value(settings.cycles))
    yield If(left, (If(due, again),), (Put("serving", Value(0)),))


def _vote(settings: Settings, rank: int, model: int) -> Iterator[Statement]:
    """M6 of one model: a host collective, whose sum says whether everybody has a layer."""
    if settings.locks:
        yield AllReduce("ep_cpu", Variable(of_model("ready", model)), "votes")
    else:
        yield Test(Condition(Variable(of_model("pending", model)), "!=", Value(None)), "published")
        yield AllReduce("ep_cpu", Variable("published"), "votes")
    moved = locked_move if settings.locks else move
    yield If(holds("votes", settings.ranks), tuple(moved(settings, rank, model)))
    if settings.reports_death:
        yield AllReduce("ep_cpu", Variable("dead"), "deaths")
        yield If(Condition(Variable("deaths"), ">", Value(0)), tuple(_switch_off(settings)))


def _switch_off(settings: Settings) -> Iterator[Statement]:
    """All ranks know of a death: cycles off, and layers handed back until the worker has left."""
    for model in range(settings.models):
        yield Put(of_model("rebalanced", model), Value(0))
    back = tuple(each for model in range(settings.models) for each in handed_back(settings, model))
    yield Forever(back, holds("left", 0))


def _let_go(settings: Settings) -> Iterator[Statement]:
    """The end of the process: a worker of the ancestors is a daemon in an endless loop."""
    if settings.locks and settings.ends_as_planned:
        yield Put("over", Value(1))
        yield Forever((Set("wake"),), holds("left", 0))
