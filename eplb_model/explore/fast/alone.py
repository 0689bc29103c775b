"""A rank by itself: the world cut down to one rank whose peers have always come already.

Rules:
- Nothing of the rank is written anew: its programs, kernels and GPU are those of the world.  Only
  the partners of its kernels are taken away, so that every meeting is possible.
- What peers have done is then the only thing that is missing; each step says what it asks of them.
- What can't be cut like this is refused, by name (`not_covered`).
"""

from __future__ import annotations

from dataclasses import replace

from eplb_model.ops.moves import peers_read
from eplb_model.world import HostOperation, Kernel, Rank, World

COUPLING = frozenset({"all_reduce", "barrier", "isend", "irecv", "wait_requests", "read"})
PEER = Rank((), ())  # does nothing; it is there so that odd ranks stay odd


class NotCovered(Exception):
    """Why the fast search says nothing of a scenario; another one has to."""


def alone(world: World, rank: int, described: Rank | None = None) -> tuple[World, int]:
    """The world of one rank without partners, and the number that the rank has in it.

    What it runs may be given, if not all that it runs in the world.
    """
    kernels = {name: _without_partners(kernel) for name, kernel in world.kernels.items()}
    described = described or world.ranks[rank]
    odd = world.backwards(rank)
    ranks = (PEER, described) if odd else (described,)
    return World(world.machine, kernels, ranks, {}, (), world.forbids), int(odd)


def _without_partners(kernel: Kernel) -> Kernel:
    if kernel.meets is None:
        return kernel
    return replace(kernel, meets=replace(kernel.meets, sends=(), receives=()))


def not_covered(world: World) -> str | None:
    """What of a world couples ranks otherwise than by kernels that meet; None if nothing does."""
    if world.cyclic:
        return "programs that loop for ever"
    if world.claims:
        return "claims"
    for kernel in world.kernels.values():
        by_channel = kernel.meets is not None and kernel.meets.grain == "channel"
        if by_channel and kernel.ends == "together":
            return f"kernel {kernel.name}, whose channels leave together"
    operations = {op for rank in set(map(id, world.ranks)) for op in _operations(world, rank)}
    kinds = sorted(op.kind for op in operations if _couples(op))
    return f"operation {kinds[0]}" if kinds else None


def _operations(world: World, rank: int) -> list[HostOperation]:
    described = next(each for each in world.ranks if id(each) == rank)
    return [op for program in described.threads for op in program.code]


def _couples(op: HostOperation) -> bool:
    """Whether an operation reads or changes something of another rank."""
    if op.kind in COUPLING:
        return True
    if getattr(op, "timeout", False):
        return True  # asks whether a peer can still come
    return any(True for _ in peers_read(getattr(op, "moves", ())))
