"""The transition relation: where runs begin, who may move, what a move does.  Nothing else.

Rules:
- An actor may move exactly if the guard of its current operation names no wait.
- Only `step` calls `effect`; whatever the GPU does by itself follows at once (`flow`).
- Actions come in the order of `World.actors`, then of choices: ties always break the same way.
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.distributor import flow, is_ready, shadowed_by
from eplb_model.outcome import Action, Actor, Clauses, Wait
from eplb_model.state import NOBODY, Count, Device, State, Thread, once
from eplb_model.world import Program, World


def initial(world: World) -> State:
    """The state in which nothing has happened."""
    threads = tuple(_at_start(program) for program in world.programs)
    devices = tuple(_idle(world, rank) for rank in range(len(world.ranks)))
    memory = tuple(value for rank in world.ranks for value in rank.memory.values())
    counts = tuple((Count(),) * len(world.kernels) for _ in world.ranks)
    posts = tuple(((),) * len(members) for members in world.groups.values())
    return State(world, threads, devices, memory, counts, posts)


def enabled(state: State) -> list[Action]:
    """Every action that may be taken, in order."""
    return [action for action, wait in options(state) if wait is None]


def options(state: State) -> Iterator[tuple[Action, Wait | None]]:
    """Every next step of every actor with work left, and what it waits for, if anything."""
    for actor in state.world.actors:
        yield from options_of(state, actor)


def all_options(state: State) -> tuple[tuple[Action, Wait | None], ...]:
    """The same, kept for who asks again of the same state: among many ranks they are many."""
    return once(state, "options", lambda: tuple(options(state)))


def options_of(state: State, actor: Actor) -> Iterator[tuple[Action, Wait | None]]:
    """Every next step of one actor, and what it waits for; nothing if it has no work left."""
    if not actor.is_stream:
        if state.threads[actor.slot].status == "running":
            yield Action(actor), _host_guard(state, actor)
        return
    head = state.head(actor)
    if head is None:
        return
    if state.run_of(actor) is None and not is_ready(state, actor):
        yield Action(actor), _kept_back(state, actor)
        return
    for choice in head.work.choices(state, actor):
        yield Action(actor, choice), head.work.guard(state, actor, choice)


def wait_of(state: State, action: Action) -> Wait | None:
    """What an action waits for; None if it may be taken.  `KeyError` if there is no such action."""
    for option, wait in options_of(state, action.actor):
        if option == action:
            return wait
    raise KeyError(str(action))


def step(state: State, action: Action) -> State:
    """The state after an action that may be taken, and after what follows from it at once."""
    actor, choice = action
    if actor.is_stream:
        head = state.head(actor)
        assert head is not None, f"[model bug] {action} from an empty stream"
        after = head.work.effect(state, actor, choice)
    else:
        after = _host_effect(state, actor)
    if after.devices[actor.rank] is not state.devices[actor.rank]:
        after = flow(after, actor.rank)
    return after


def _kept_back(state: State, me: Actor) -> Wait:
    def explain() -> tuple[str, Clauses]:
        others = shadowed_by(state, me)
        assert others, f"[model bug] nothing keeps {me} back"
        if len(others) == 1:
            return f"stands behind a wait of {others[0]} in the same hardware queue", (others,)
        names = ", ".join(str(each) for each in others)
        return f"stands behind waits of {names}, one in every hardware queue", (others,)

    return Wait(explain)


def _host_guard(state: State, me: Actor) -> Wait | None:
    holder = state.devices[me.rank].gil
    if holder not in (NOBODY, me.slot):
        return Wait(lambda: ("needs the interpreter lock", ((state.world.threads[holder],),)))
    return state.world.programs[me.slot].code[state.threads[me.slot].pc].guard(state, me)


def _host_effect(state: State, me: Actor) -> State:
    """The operation's effect; one that keeps the GIL takes it first, and gives it back after."""
    before = state.threads[me.slot]
    op = state.world.programs[me.slot].code[before.pc]
    if not getattr(op, "gil", False):
        return op.effect(state, me)
    if state.devices[me.rank].gil == NOBODY:
        return _with_gil(state, me.rank, me.slot)
    after = op.effect(state, me)
    still_there = after.threads[me.slot].pc == before.pc
    running = after.threads[me.slot].status == "running"
    return after if still_there and running else _with_gil(after, me.rank, NOBODY)


def _with_gil(state: State, rank: int, holder: int) -> State:
    return state.with_device(rank, state.devices[rank]._replace(gil=holder))


def _at_start(program: Program) -> Thread:
    if not program.started:
        return Thread(0, None, "new")
    return Thread(0, None, "running" if program.code else "ended")


def _idle(world: World, rank: int) -> Device:
    streams = world.streams_of(rank)
    used = {world.connections[stream.slot] for stream in streams}
    return Device(((),) * (max(used, default=-1) + 1), ())
