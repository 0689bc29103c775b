"""What a launch is told before it begins: whom each CTA meets, and which grants let it end.

Rules (specs/semantics.md#meetings, #run-kernel):
- The n-th launch of a kernel meets the n-th launch of the kernel that it names on its peers.
- By channel a CTA meets those of its rounds only; otherwise all CTAs meet all peers.
- CTAs whose channels serve the same rounds are one class and end in the order of their index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eplb_model.machine import Footprint
from eplb_model.world import Kernel, Meets
from eplb_real.cuda.layout import GRAINS


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """The words of a launch that don't change."""

    grain: int  # of layout.GRAINS; 0: it meets nobody
    peers: tuple[int, ...]  # global ranks; bit i of a mask is the i-th
    masks: tuple[int, ...]  # by CTA
    places: tuple[int, ...]  # by CTA: class << 16 | place in its class
    as_one: bool


def launch_plan(kernel: Kernel, rank: int, ranks: int) -> LaunchPlan:
    """The plan of a kernel on a rank.

    >>> from eplb_model.machine import FOOTPRINTS
    >>> meets = Meets("first", sends=(1,), receives=(1,), kernel="moe")
    >>> plan = launch_plan(Kernel("moe", "cooperative", 2, 1, FOOTPRINTS["tiny"], meets), 0, 2)
    >>> plan.peers, plan.masks, plan.places, plan.as_one
    ((1,), (1, 1), (0, 1), False)
    """
    by_cta = [_peers(kernel.meets, _rounds(kernel, cta), rank, ranks) for cta in range(kernel.ctas)]
    peers = tuple(sorted({peer for each in by_cta for peer in each}))
    bits = {peer: 1 << bit for bit, peer in enumerate(peers)}
    places = {
        position: number << 16 | place
        for number, members in enumerate(kernel.classes(backwards=False))
        for place, position in enumerate(members)
    }
    return LaunchPlan(
        GRAINS[kernel.meets.grain] if kernel.meets else 0,
        peers,
        tuple(sum(bits[peer] for peer in each) for each in by_cta),
        tuple(places[cta] for cta in range(kernel.ctas)),
        kernel.ends == "together" and not (kernel.meets and kernel.meets.grain == "channel"),
    )


def shape_of(kernel: Kernel) -> Mapping[str, int | bool]:
    """How a kernel is launched, apart from its registers, as the fields of `nvidia.Shape`."""
    footprint = kernel.footprint
    return {
        "ctas": kernel.ctas,
        "cluster": kernel.cluster,
        "threads": footprint.threads,
        "shared_bytes": footprint.shared_bytes,
        "cooperative": kernel.gang,
    }


def registers_of(footprint: Footprint) -> int:
    """Registers per thread as the hardware gives them out, in units of 8 (G22)."""
    return -(-footprint.registers_per_thread // 8) * 8


def _rounds(kernel: Kernel, cta: int) -> tuple[int, ...] | None:
    """The rounds that a CTA's channel serves; None if it serves all."""
    by_channel = kernel.meets is not None and kernel.meets.grain == "channel"
    return kernel.rounds[cta] if by_channel and kernel.rounds else None


def _peers(meets: Meets | None, rounds: tuple[int, ...] | None, rank: int, ranks: int) -> set[int]:
    if meets is None:
        return set()

    def served(offsets: tuple[int, ...]) -> list[int]:
        return [offset for offset in offsets if rounds is None or offset in rounds]

    received = {(rank - offset) % ranks for offset in served(meets.receives)}
    sent = {(rank + offset) % ranks for offset in served(meets.sends)}
    return received if meets.eager else received | sent
