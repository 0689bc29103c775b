"""The batches in which vLLM 0.33 may carry out a plan.

Rule P8: the flows of ordered pairs come by first expert, then sender; each goes into the first
batch where both its ranks are idle.  Who sends what is as without batches.
"""

from __future__ import annotations

from typing import NamedTuple

from eplb_model.communicators.plan import Plan


class Flow(NamedTuple):
    """All that one rank sends to another in a layer, experts ascending."""

    sender: int
    receiver: int
    experts: tuple[int, ...]


def flows(planned: Plan) -> tuple[Flow, ...]:
    """The transfers of each ordered pair, by first expert, then sender (P8).

    >>> from eplb_model.communicators.plan import plan
    >>> flows(plan([0, 1, 2, 3], [2, 3, 0, 1], ranks=2))
    (Flow(sender=0, receiver=1, experts=(0, 1)), Flow(sender=1, receiver=0, experts=(2, 3)))
    """
    transfers = sorted(
        (send.expert, share.rank, place, send.peer)
        for share in planned.shares
        for place, send in enumerate(share.sends)
    )
    experts: dict[tuple[int, int], tuple[int, ...]] = {}
    for expert, sender, _, receiver in transfers:
        experts[sender, receiver] = (*experts.get((sender, receiver), ()), expert)
    return tuple(Flow(*pair, carried) for pair, carried in experts.items())


def batches(planned: Plan) -> tuple[tuple[Flow, ...], ...]:
    """The flows in batches in which no rank takes part twice, sending or receiving (P8).

    vLLM 0.33 carries them out one after the other, every rank all of them, also without a flow.

    >>> from eplb_model.communicators.plan import plan
    >>> [len(batch) for batch in batches(plan([0, 1, 2, 3], [1, 0, 3, 2], ranks=4))]
    [2, 2]
    """
    filled: list[list[Flow]] = []
    for flow in flows(planned):
        free = (batch for batch in filled if not any(_meet(flow, other) for other in batch))
        batch = next(free, None)
        if batch is None:
            filled.append([flow])
        else:
            batch.append(flow)
    return tuple(map(tuple, filled))


def _meet(one: Flow, other: Flow) -> bool:
    return not {one.sender, one.receiver}.isdisjoint((other.sender, other.receiver))
