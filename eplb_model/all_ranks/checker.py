"""The separate checker of certificates: it believes nothing that the search said.

A certificate lists states, each by the state it comes from and the action that leads there.  They
prove the answer if the set is closed: the initial state is in it, so is what each sufficient action
of each member leads to, and no member is stuck or breaks a property.  specs/all_ranks.md#checker
"""

from collections.abc import Mapping
from itertools import combinations, takewhile
from typing import Any

from eplb_model.all_ranks.family import Family, fingerprint
from eplb_model.all_ranks.lint import Cutoff, examine, facts
from eplb_model.ops.kernel import RunKernel, started
from eplb_model.ops.launch import AwaitComplete, AwaitResident
from eplb_model.outcome import Action
from eplb_model.properties import violation
from eplb_model.state import Count, State
from eplb_model.step import enabled, initial, step
from eplb_model.vector import load
from eplb_model.world import World

WAITS = (AwaitComplete, AwaitResident)


def refusal(certificate: Mapping[str, Any]) -> str | None:
    """Why a certificate does not prove its answer; None if it does."""
    body = {key: value for key, value in certificate.items() if key != "sha256"}
    if fingerprint(body) != certificate["sha256"]:
        return "the document is not the one that was written"
    family = Family(body["scenario"], load(body["scenario"]), body["parameters"], body["switches"])
    cutoff = examine(family)
    if not isinstance(cutoff, Cutoff):
        return f"a hypothesis fails: {cutoff[0].place}: {cutoff[0].why}"
    for key, value in facts(family, cutoff).items():
        if body[key] != value:
            return f"{key} is {body[key]!r}, and has to be {value!r}"
    if [each["ranks"] for each in body["instances"]] != list(cutoff.instances):
        return f"expected the instances of {list(cutoff.instances)} ranks"
    for each in body["instances"]:
        world = family.instance(each["ranks"], cutoff.loose)
        problem = _open_or_bad(world, each["states"], cutoff.loose)
        if problem is not None:
            return f"with {each['ranks']} ranks, {problem}"
    return None


def _open_or_bad(world: World, rows: list[str], loose: tuple[str, ...]) -> str | None:
    states = [initial(world)]
    for number, row in enumerate(rows, start=1):
        parent, _, word = row.partition(" ")
        before = states[int(parent)]
        action = {str(each): each for each in moves(before, loose)}.get(word)
        if action is None:
            return f"state {number}: {word} can't move in state {parent}"
        states.append(step(before, action))
    closed = set(states)
    for number, state in enumerate(states):
        if violation(state) or (state.unfinished() and not enabled(state)):
            return f"state {number} is stuck or broken"
        if any(step(state, action) not in closed for action in sufficient(state, loose)):
            return f"a step from state {number} leads out of the set"
    return None


def moves(state: State, loose: tuple[str, ...]) -> list[Action]:
    """What is enabled, and the channels of loose kernels that would end if all peers were there."""
    found, ranks = enabled(state), range(len(state.world.ranks)) if loose else ()
    for rank in ranks:
        for action in enabled(_if_others_had_completed(state, (rank,))):
            work = getattr(state.head(action.actor), "work", None) if action.actor.is_stream else 0
            if action.actor.rank != rank or action in found or not isinstance(work, RunKernel):
                continue
            there = (started(state, r, work.runs, work.number, 0) for r in ranks if r != rank)
            if work.runs in loose and (not _completes(state, action) or all(there)):
                found.append(action)
    return found


def sufficient(state: State, loose: tuple[str, ...]) -> list[Action]:
    """Actions that suffice to reach every end: one that is unseen, those of some ranks, or all."""
    every, sure, world = moves(state, loose), enabled(state), state.world
    gil = any(getattr(op, "gil", False) for program in world.programs for op in program.code)
    if not (gil or world.names_buffers or world.claims):
        for action in every:
            if _is_unseen(state, action):
                return [action]
    ranks = range(len(world.ranks))
    for chosen in (some for size in ranks[1:] for some in combinations(ranks, size)):
        mine = {action for action in every if action.actor.rank in chosen}
        if mine.isdisjoint(sure) or any(all(posts[r] for r in chosen) for posts in state.posts):
            continue
        alone = moves(_if_others_had_completed(state, chosen), loose)
        if mine == {action for action in alone if action.actor.rank in chosen}:
            return [action for action in every if action in mine]
    return every


def _is_unseen(state: State, action: Action) -> bool:
    """Whether a wait is passed, or a channel ends on a rank that starts nothing until all have."""
    me, world = action.actor, state.world
    if not me.is_stream:
        return isinstance(world.programs[me.slot].code[state.threads[me.slot].pc], WAITS)
    device, work = state.devices[me.rank], getattr(state.head(me), "work", None)
    if not isinstance(work, RunKernel) or _completes(state, action):
        return False
    names = [item.work.kernel for queue in device.queues for item in queue]
    ctas = sum(world.kernels[name].ctas for name in names if name is not None)
    held = sum(len(run.seats) for run in device.arrived)
    if len(names) != len(device.arrived) or held != ctas:
        return False
    ended = AwaitComplete(work.runs, work.number)
    running = (t for t in world.threads_of(me.rank) if state.threads[t.slot].status == "running")
    left = (world.programs[t.slot].code[state.threads[t.slot].pc :] for t in running)
    waits = all(isinstance(op, WAITS) for ops in left for op in takewhile(ended.__ne__, ops))
    return waits and world.kernels[work.runs].cluster == world.kernels[work.runs].ctas


def _completes(state: State, action: Action) -> bool:
    return step(state, action).head(action.actor) is not state.head(action.actor)


def _if_others_had_completed(state: State, ranks: tuple[int, ...]) -> State:
    """The state if on all other ranks every launch had completed: the most that they can do."""
    ever = (Count(completed=-1),) * len(state.world.kernels)
    counts = (mine if rank in ranks else ever for rank, mine in enumerate(state.counts))
    return state._replace(counts=tuple(counts))
