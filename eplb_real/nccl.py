"""What NCCL is asked for so that it does just what a kernel of a scenario does.

Rule: CTAs, clusters, rounds and whether sends are eager are those of the scenario, by the formulas
of N8 and N16; where no number of channels and bytes gives them, NCCL does not do the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eplb_model.formulas import (
    MIB,
    nccl_cluster,
    nccl_p2p_channels,
    nccl_p2p_eager,
    rounds_of_ctas,
)
from eplb_model.world import Kernel, Meets, World
from eplb_real.sharing import MOST_CHANNELS

CHANNELS = (1, 2, 4, 8, 16, 32)
SIZES = (1024, 64 * 1024, MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 512 * MIB)


@dataclass(frozen=True, slots=True)
class Order:
    """What NCCL is asked for: channels, cluster size, bytes of each operation, whom."""

    channels: int
    cluster: int
    bytes_per_op: int
    sends: tuple[int, ...]  # offsets of peers
    receives: tuple[int, ...]

    def peers(self, rank: int, ranks: int) -> tuple[list[int], list[int]]:
        """To whom a rank sends, and from whom it receives."""
        to = [(rank + offset) % ranks for offset in self.sends]
        return to, [(rank - offset) % ranks for offset in self.receives]


def order_for(kernel: Kernel, ranks: int, shared: bool) -> Order | None:
    """How NCCL does just what a kernel does; None if it can't.

    >>> from eplb_model.machine import FOOTPRINTS
    >>> meets = Meets("channel", sends=(1,), receives=(1,), kernel="k")
    >>> order_for(Kernel("k", "regular", 8, 4, FOOTPRINTS["nccl"], meets), 2, shared=True)
    Order(channels=8, cluster=4, bytes_per_op=16777216, sends=(1,), receives=(1,))
    """
    meets = kernel.meets
    if meets is None or meets.grain != "channel" or kernel.footprint.name != "nccl" or ranks < 2:
        return None
    if meets.kernel != kernel.name:
        return None  # one kernel sends and another receives: each has a size of its own
    for channels in CHANNELS:
        for size in SIZES:
            if _does(kernel, meets, ranks, channels, size, shared):
                cluster = kernel.cluster if kernel.cluster > 1 else 0
                return Order(channels, cluster, size, meets.sends, meets.receives)
    return None


def _does(kernel: Kernel, meets: Meets, ranks: int, channels: int, size: int, shared: bool) -> bool:
    rounds = sorted({*meets.sends, *meets.receives})
    transport = "network" if shared else "nvlink"
    per_peer = {"channels_per_peer": MOST_CHANNELS} if shared else {}
    used = nccl_p2p_channels(
        ranks, rounds, size, channels, channels, min_ctas=channels, transport=transport, **per_peer
    )
    of_ctas = rounds_of_ctas(used)
    return (
        len(of_ctas) == kernel.ctas
        and (not kernel.rounds or of_ctas == kernel.rounds)
        and nccl_cluster(kernel.ctas, kernel.cluster) == kernel.cluster
        and nccl_p2p_eager(used, size, transport=transport) == meets.eager
    )


def orders(world: World, shared: bool) -> Mapping[str, Order]:
    """The kernels that NCCL does, by name; those that it can't do are left to stand-ins."""
    ranks = len(world.ranks)
    found = {name: order_for(kernel, ranks, shared) for name, kernel in world.kernels.items()}
    return {name: order for name, order in found.items() if order is not None}
