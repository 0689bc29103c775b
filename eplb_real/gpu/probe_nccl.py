"""How many CTAs an exchange of NCCL has, over caps, ranks, peers and sizes: SMs that it holds.

Rule: one rank exchanges alone, so that its kernel stays, and a census counts; then the others do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eplb_real.gpu.point import Point, Run
from eplb_real.gpu.pool import Pool, pool, set_up_exchange
from eplb_real.sharing import cannot_share, is_shared

MIB = 1 << 20
CAPS = (None, 32, 16, 12, 8, 4, 2, 1)
SIZES = (1024, 64 * 1024, MIB, 16 * MIB, 64 * MIB, 256 * MIB)
MOST_RANKS = 4
FREE = 32  # what NCCL takes where nobody caps it


def counts(gpus: int) -> Iterator[dict[str, Any]]:
    """The SMs that the exchange of one rank holds, for every number of ranks that fits."""
    for ranks in range(2, MOST_RANKS + 1):
        if cannot_share(ranks, gpus):
            return
        shared = is_shared(ranks, gpus)
        with pool(ranks, gpus=gpus) as processes:
            for cap in CAPS if not shared else CAPS[1:]:
                limits = {"max_ctas": cap or FREE, "min_ctas": (cap or 1) if shared else 1}
                processes.all("group_of", **limits)
                for peers in ("all", "next") if ranks > 3 else ("all",):
                    for size in SIZES:
                        yield {
                            "what": "nccl", "ranks": ranks, "cap": cap, "peers": peers,
                            "bytes_per_op": size, "shared": shared,
                            "held": _held(processes, peers, size),
                        }  # fmt: skip


def _held(processes: Pool, peers: Any, size: int) -> int:
    point = Point(len(processes), exchange="nccl", nccl_ctas=None, bytes_per_op=size, peers=peers)
    set_up_exchange(processes, size, point.peers_of_all())
    return Alone(processes, point).count()


class Alone(Run):
    """One rank exchanges, and waits for the others."""

    def count(self) -> int:
        """The SMs that it holds meanwhile."""
        self._launch_exchange(0)
        held = self._census(0)
        self._unwind()
        return len(held)
