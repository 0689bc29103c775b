"""What may happen in a cut-off instance: the model's steps, and more for loose kernels.

Rule: in an instance every channel of a loose kernel serves all peers, but a CTA of it may end
before they are there; the last one only when all have started one.  specs/all_ranks.md#channels
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eplb_model.ops.kernel import RunKernel, started
from eplb_model.outcome import Action
from eplb_model.state import Count, State
from eplb_model.step import enabled, step

Loose = Collection[str]


def moves(state: State, loose: Loose) -> list[Action]:
    """What is enabled by the rules of the model first, then what loose kernels may do besides."""
    found = enabled(state)
    ranks = range(len(state.world.ranks))
    for rank in ranks:
        heads = map(state.head, state.world.streams_of(rank)) if loose else ()
        if not any(head is not None and head.work.kernel in loose for head in heads):
            continue
        alone = enabled(with_all_there(state, (rank,)))
        found += [a for a in of_ranks(alone, (rank,), found) if _sheds(state, a, loose)]
    return found


def of_ranks(
    actions: Sequence[Action], ranks: Collection[int], without: Sequence[Action] = ()
) -> list[Action]:
    """The actions of some ranks that are not among others."""
    return [each for each in actions if each.actor.rank in ranks and each not in without]


def with_all_there(state: State, ranks: Collection[int]) -> State:
    """The state if on all other ranks every launch had completed: the most that they can do."""
    ever = (Count(completed=-1),) * len(state.world.kernels)
    counts = (mine if rank in ranks else ever for rank, mine in enumerate(state.counts))
    return state._replace(counts=tuple(counts))


def completes(state: State, action: Action) -> bool:
    """Whether an action of a stream ends what is at its head."""
    return step(state, action).head(action.actor) is not state.head(action.actor)


def _sheds(state: State, action: Action, loose: Loose) -> bool:
    """Whether a channel of a loose kernel ends that may do so without its peers."""
    if not action.actor.is_stream:
        return False
    head = state.head(action.actor)
    if head is None or not isinstance(head.work, RunKernel) or head.work.runs not in loose:
        return False
    meets, others = state.world.kernels[head.work.runs].meets, set(range(len(state.world.ranks)))
    assert meets is not None, "[model bug] a loose kernel meets nobody"
    others.remove(action.actor.rank)
    there = all(started(state, rank, meets.kernel, head.work.number, 0) for rank in others)
    return there or not completes(state, action)
