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
    meets = kernel.meets
    if meets is None:
        return ()
    sends, receives = meets.sends, meets.receives
    if meets.grain == "channel" and kernel.rounds:
        sends = tuple(r for r in kernel.rounds[channel] if r in sends)
        receives = tuple(r for r in kernel.rounds[channel] if r in receives)
    ranks = len(world.ranks)
    others = set(range(1, ranks))
    if others == set(receives) and others.issuperset(sends):
        return (*range(rank), *range(rank + 1, ranks))
    peers = {(rank - r) % ranks for r in receives}
    if not meets.eager:
        peers |= {(rank + r) % ranks for r in sends}
    return tuple(sorted(peers))
