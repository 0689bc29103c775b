"""Whom a kernel meets, and what it asks of them.  specs/semantics.md#meetings"""

from __future__ import annotations

from typing import NamedTuple

from eplb_model.world import Grain, Kernel, World


class Meeting(NamedTuple):
    """What a peer has to have done: a CTA, the grid or the end of the n-th launch of a kernel."""

    grain: Grain
    kernel: str
    number: int
    channel: int  # of the CTA, in channel order; 0 where the grain is coarser


def partners(world: World, rank: int, kernel: Kernel, channel: int) -> tuple[int, ...]:
    """Whom a channel of a kernel has to meet; the whole kernel, if it does not meet by channel."""
    known = world.partners.get((rank, kernel.name, channel))
    if known is None:
        known = world.partners[rank, kernel.name, channel] = _partners(world, rank, kernel, channel)
    return known


def _partners(world: World, rank: int, kernel: Kernel, channel: int) -> tuple[int, ...]:
    ranks = len(world.ranks)
    return tuple(sorted((rank + ahead) % ranks for ahead in offsets(world, kernel, channel)))


def offsets(world: World, kernel: Kernel, channel: int) -> frozenset[int]:
    """The same for every rank: how many ranks further they are, modulo the number of ranks."""
    known = world.offsets.get((kernel.name, channel))
    if known is None:
        known = world.offsets[kernel.name, channel] = _offsets(len(world.ranks), kernel, channel)
    return known


def _offsets(ranks: int, kernel: Kernel, channel: int) -> frozenset[int]:
    meets = kernel.meets
    if meets is None:
        return frozenset()
    sends, receives = set(meets.sends), set(meets.receives)
    if meets.grain == "channel" and kernel.rounds:
        sends.intersection_update(kernel.rounds[channel])
        receives.intersection_update(kernel.rounds[channel])
    ahead = set() if meets.eager else {r % ranks for r in sends}
    return frozenset(ahead.union(-r % ranks for r in receives))
