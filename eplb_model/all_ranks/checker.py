"""The separate checker of certificates: it believes nothing that the search said.

A certificate lists states, each as the state it comes from and the action that leads there.  They
prove its answer if the set is closed: the first state is in it, so is what every sufficient action
of a member leads to, and no member is stuck or broken.  specs/all_ranks.md#the-checker
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from eplb_model.all_ranks.family import Family, fingerprint
from eplb_model.all_ranks.instance import completes, moves, of_ranks, with_all_there
from eplb_model.all_ranks.lint import Cutoff, examine, facts
from eplb_model.distributor import occupants
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.launch import AwaitComplete, AwaitResident, Launch
from eplb_model.outcome import Action
from eplb_model.placement import seats
from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.vector import load
from eplb_model.world import World

WAITS = (AwaitComplete, AwaitResident)
Launched = tuple[str, int]  # a kernel and which launch of it


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
        mine = of_ranks(every, chosen)
        called = any(all(posts[rank] for rank in chosen) for posts in state.posts)
        if not called and not set(mine).isdisjoint(sure):
            best = moves(with_all_there(state, chosen), loose)
            if not of_ranks(best, chosen, mine):
                return mine
    return every


def _is_unseen(state: State, action: Action) -> bool:
    """Whether a wait for a launch is over, or a CTA ends and its seat is of no use to anybody.

    The latter if whatever is on the rank, and whatever may still come, has room side by side until
    all of it has completed and the device is empty: nobody waits for seats or chooses among them.
    """
    me, world = action.actor, state.world
    threads = [t for t in world.threads_of(me.rank) if state.thread(t).status == "running"]
    texts = {t: world.programs[t.slot].code[state.thread(t).pc :] for t in threads}
    if not me.is_stream:
        return isinstance(texts[me][0], WAITS)
    works = [item.work for queue in state.devices[me.rank].queues for item in queue]
    runs = [work for work in works if isinstance(work, RunKernel)]
    held = [len(run.seats) for run in state.devices[me.rank].arrived]
    seated = len(held) == len(works) and sum(held) == sum(world.kernels[w.runs].ctas for w in runs)
    work = getattr(state.head(me), "work", None)
    if work not in runs or not seated or completes(state, action):
        return False
    launches = {(each.runs, each.number) for each in runs}
    coming = [op for op in _ahead(texts.values(), launches) if isinstance(op, Launch)]
    for op in coming[:1]:
        kernel, there = world.kernels[op.kernel], occupants(state, me.rank)
        room = seats(world.machine, there, kernel.footprint, 1, kernel.ctas, kernel.gang)
        if kernel.cluster > 1 or kernel.module is not None or len(room) < kernel.ctas:
            return False
        launches.add((op.kernel, state.count_of(me.rank, op.kernel).launched))
    ahead = list(_ahead(texts.values(), launches))
    quiet = all(isinstance(op, WAITS) for op in ahead if op not in coming[:1])
    once = sum(isinstance(op, Launch) for op in ahead) == len(coming) <= 1
    kernel = world.kernels[work.runs]
    alike = kernel.cluster == kernel.ctas and (not kernel.meets or kernel.meets.kernel == work.runs)
    return quiet and once and alike


def _ahead(texts: Iterable[Sequence[object]], launches: Collection[Launched]) -> Iterator[object]:
    """What threads may do before each of them has waited for all of some launches."""
    for text in texts:
        left = set(launches)
        for op in text:
            if left:
                yield op
            if isinstance(op, AwaitComplete):
                left.discard((op.kernel, op.number))
