"""Operations that meet hosts of other ranks: collectives and point-to-point requests."""

from __future__ import annotations

from typing import Any

from eplb_model.export.cannot import CannotExport
from eplb_model.export.promela.call import Call, Step, Steps, emits
from eplb_model.export.promela.layout import Layout
from eplb_model.outcome import Actor
from eplb_model.world import World

POSTED, ANSWERED = 1, 2


@emits("all_reduce")
def _all_reduce(call: Call) -> Steps:
    op = call.op
    value = call.value(op.value)
    yield Step(0, f"!is_number({value})", (call.fails("VIOLATION"),))
    yield from _post(call, f"is_number({value})", op.reduction.upper(), value)
    answer = f"thread[{call.thread}].answer"
    store = f"{call.place(op.into)} = {answer}"
    yield Step(ANSWERED, "true", (store, f"{answer} = 0", call.on()))


@emits("barrier")
def _barrier(call: Call) -> Steps:
    yield from _post(call, "true", "BARRIER", "0")
    yield Step(ANSWERED, "true", (f"thread[{call.thread}].answer = 0", call.on()))


def _post(call: Call, guard: str, what: str, value: str) -> Steps:
    if call.op.timeout:
        raise CannotExport(f"a time limit of {call.op.kind} (timeout)")
    world = call.layout.world
    members = world.groups[call.op.group]
    if call.rank not in members:
        yield Step(0, guard, (call.fails("MISUSE"),))
        return
    group = list(world.groups).index(call.op.group)
    agree = call.value(call.op.agree)
    member = members.index(call.rank)
    brings = (f"x_ = {value}", f"y_ = {agree}")
    yield Step(0, guard, (*brings, f"post({group}, {member}, {call.thread}, {what}, x_, y_)"))


def posters(world: World) -> int:
    """How many threads of one rank may wait in collectives of one group."""
    return max(
        (
            sum(1 for a in world.threads_of(rank) if _uses(world, a, group))
            for rank in range(len(world.ranks))
            for group in world.groups
        ),
        default=0,
    )


def _uses(world: World, actor: Actor, group: str) -> bool:
    return any(
        op.kind in ("all_reduce", "barrier") and getattr(op, "group", None) == group
        for op in world.programs[actor.slot].code
    )


# --- requests --------------------------------------------------------------------------------

Pair = tuple[str, int, int]  # group, sender, receiver


def pairs(world: World) -> tuple[Pair, ...]:
    """Every ordered pair of ranks between which some program sends or receives."""
    found = {
        pair
        for actor in world.threads
        for op in world.programs[actor.slot].code
        if op.kind in ("isend", "irecv") and (pair := _pair(world, actor, op)) is not None
    }
    return tuple(sorted(found))


def _pair(world: World, me: Actor, op: Any) -> Pair | None:
    """Between which ranks a request is; None if the call raises."""
    members = world.groups[op.group]
    if op.peer_is == "global":
        peer = op.peer if op.peer in members else None
    else:
        peer = members[op.peer] if 0 <= op.peer < len(members) else None
    if peer is None or me.rank not in members or peer == me.rank:
        return None
    return (op.group, me.rank, peer) if op.kind == "isend" else (op.group, peer, me.rank)


@emits("isend", "irecv")
def _request(call: Call) -> Steps:
    pair = _pair(call.layout.world, call.me, call.op)
    if pair is None:
        yield Step(0, "true", (call.fails("MISUSE"),))
        return
    number = pairs(call.layout.world).index(pair)
    if call.op.kind == "isend":
        posts = [f"x_ = {call.value(call.op.value)}", f"send({number}, {call.thread}, x_)"]
    else:
        place = call.layout.index_of(call.rank, call.op.into)
        posts = [f"receive({number}, {call.thread}, {place})"]
    yield Step(0, "true", (*posts, call.on()))


@emits("wait_requests")
def _wait_requests(call: Call) -> Steps:
    if call.op.timeout:
        raise CannotExport("a time limit of wait_requests (timeout)")
    yield Step(0, f"thread[{call.thread}].requests == 0", (call.on(),))


def most_open(layout: Layout) -> int:
    """How many requests of one pair may be open at once."""
    world = layout.world
    if world.cyclic:
        return 4
    counts: dict[tuple[str, Pair], int] = {}
    for actor in world.threads:
        for op in world.programs[actor.slot].code:
            if op.kind in ("isend", "irecv") and (pair := _pair(world, actor, op)) is not None:
                counts[op.kind, pair] = counts.get((op.kind, pair), 0) + 1
    return max(counts.values(), default=1)
