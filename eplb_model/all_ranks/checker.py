"""The separate checker of certificates: it believes nothing that the search said.

A certificate lists states, each as the state it comes from and the action that leads there.  They
prove its answer if the set is closed: the first state is in it, so is what every sufficient action
of a member leads to, and no member is stuck or broken.  specs/all_ranks.md#the-checker
"""

from collections.abc import Collection, Mapping, Sequence
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
    for ranks, rows in zip(cutoff.instances, body["states"], strict=True):
        problem = _problem(family.instance(ranks, cutoff.loose), cutoff.loose, rows)
        if problem is not None:
            return f"with {ranks} ranks, {problem}"
    return None


def _problem(world: World, loose: tuple[str, ...], rows: list[str]) -> str | None:
    states = [initial(world)]
    for number, (parent, word) in enumerate((row.split() for row in rows), start=1):
        action = {str(each): each for each in moves(states[int(parent)], loose)}.get(word)
        if action is None:
            return f"state {number}: {word} can't move in state {parent}"
        states.append(step(states[int(parent)], action))
    closed = set(states)
    for number, state in enumerate(states):
        if violation(state) or (state.unfinished() and not enabled(state)):
            return f"state {number} is stuck or broken"
        if any(step(state, action) not in closed for action in sufficient(state, loose)):
            return f"a step from state {number} leads out of the set"
    return None


def moves(state: State, loose: tuple[str, ...]) -> list[Action]:
    """What is enabled, and the channels of loose kernels that would end if all peers were there."""
    found, ranks = enabled(state), range(len(state.world.ranks))
    for rank in ranks if loose else ():
        for action in _rest(enabled(_if_others_had_completed(state, (rank,))), {rank}, found):
            work = getattr(state.head(action.actor), "work", None) if action.actor.is_stream else 0
            if isinstance(work, RunKernel) and work.runs in loose:
                there = (started(state, r, work.runs, work.number, 0) for r in ranks if r != rank)
                if not _completes(state, action) or all(there):
                    found.append(action)
    return found


def sufficient(state: State, loose: tuple[str, ...]) -> list[Action]:
    """Actions that suffice to reach every end: one that is unseen, those of some ranks, or all."""
    every, sure, world = moves(state, loose), enabled(state), state.world
    gil = any(getattr(op, "gil", False) for program in world.programs for op in program.code)
    if not (gil or world.names_buffers or world.claims):
        alone = next((action for action in every if _is_unseen(state, action)), None)
        if alone is not None:
            return [alone]
    ranks = range(len(world.ranks))
    for chosen in (set(some) for size in ranks[1:] for some in combinations(ranks, size)):
        mine = _rest(every, chosen, ())
        called = any(all(posts[rank] for rank in chosen) for posts in state.posts)
        if not called and not set(mine).isdisjoint(sure):
            best = moves(_if_others_had_completed(state, chosen), loose)
            if not _rest(best, chosen, mine):
                return mine
    return every


def _is_unseen(state: State, action: Action) -> bool:
    """Whether a wait is passed, or a channel ends on a rank that starts nothing until all have."""
    me, world = action.actor, state.world
    texts = {
        t: world.programs[t.slot].code[state.thread(t).pc :] for t in world.threads_of(me.rank)
    }
    if not me.is_stream:
        return isinstance(texts[me][0], (AwaitComplete, AwaitResident))
    device, work = state.devices[me.rank], getattr(state.head(me), "work", None)
    if not isinstance(work, RunKernel) or _completes(state, action):
        return False
    names = [item.work.kernel for queue in device.queues for item in queue]
    ctas = sum(world.kernels[name].ctas for name in names if name is not None)
    seated = ctas == sum(len(run.seats) for run in device.arrived)
    ended = AwaitComplete(work.runs, work.number)
    left = (texts[t] for t in texts if state.thread(t).status == "running")
    ahead = [op for ops in left for op in takewhile(lambda op: op != ended, ops)]
    waits = all(isinstance(op, (AwaitComplete, AwaitResident)) for op in ahead)
    as_one = world.kernels[work.runs].cluster == world.kernels[work.runs].ctas
    return waits and as_one and seated and len(names) == len(device.arrived)


def _completes(state: State, action: Action) -> bool:
    return step(state, action).head(action.actor) is not state.head(action.actor)


def _rest(actions: list[Action], ranks: Collection[int], without: Sequence[Action]) -> list[Action]:
    return [each for each in actions if each.actor.rank in ranks and each not in without]


def _if_others_had_completed(state: State, ranks: Collection[int]) -> State:
    """The state if on all other ranks every launch had completed: the most that they can do."""
    ever = (Count(completed=-1),) * len(state.world.kernels)
    counts = (mine if rank in ranks else ever for rank, mine in enumerate(state.counts))
    return state._replace(counts=tuple(counts))
