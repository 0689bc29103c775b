"""Which channels of an NCCL communicator serve which round: the arithmetic behind the formulas.

Rule: numbers are not checked here; `formulas.py` does that, and is what others ask.
Source: N8, N8a, N9 and N16 (NCCL 2.28.9 `enqueue.cc`, `init.cc`, `channel.h`).
"""

from collections.abc import Mapping
from itertools import chain

KIB = 1024
MIB = 1024 * KIB
STEPS = 8  # of the FIFO of a channel towards one peer (N16)
STEP_BYTES = {"nvlink": 512 * KIB, "network": 128 * KIB}  # by transport (N9, N16)
MOST_PART_BYTES = {"nvlink": 16 * MIB, "network": 128 * KIB}  # of an operation on a channel (N9)


def channels_of_operation(size: int, per_peer: int, ranks: int, usable: int, most: int) -> int:
    """c(b) of N8: parts of at least 64 KiB, and of at most `most` bytes as far as channels go."""
    fair = per_peer
    while fair * ranks > usable and fair > 1:
        fair //= 2
    count = min(fair, -(-size // (64 * KIB)))
    while -(-size // count) > most and count <= per_peer // 2:
        count *= 2
    return count


def of_transport(table: Mapping[str, int], transport: str) -> int:
    """The entry of a transport; ValueError for one that is not known."""
    if transport not in table:
        raise ValueError(f"transport={transport!r}; expected one of {', '.join(table)}")
    return table[transport]


def places_of_nodes(ranks: int) -> dict[int, int]:
    """Distance -> its place in the schedule of ranks that are each on a node of their own (N8a).

    >>> places_of_nodes(4)
    {0: 0, 1: 1, 3: 2, 2: 3}
    """
    power, distance, found = pow2up(ranks), 0, list[int]()
    for step in range(1, power + 1):
        if distance < ranks:
            found.append(distance)
        distance = (distance + step) % power
    return {distance: place for place, distance in enumerate(found)}


def assign_channels(
    places: Mapping[int, int], usable: int, per_round: int
) -> dict[int, tuple[int, ...]]:
    """Place p takes `per_round` channels in a row from reverseBits(p mod usable) on (N8)."""
    runs = [
        tuple((reverse_bits(base, usable) + p) % usable for p in range(per_round))
        for base in range(usable)
    ]
    return {r: runs[place % usable] for r, place in places.items()}


def union(by_round: Mapping[int, tuple[int, ...]]) -> frozenset[int]:
    """The channels that any round uses."""
    return frozenset(chain.from_iterable(set(by_round.values())))


def reverse_bits(value: int, power: int) -> int:
    """`value` < `power` = 2**width, read from its last bit to its first in `width` bits."""
    width = power.bit_length() - 1
    return sum(1 << (width - 1 - bit) for bit in range(width) if value >> bit & 1)


def pow2up(value: int) -> int:
    """The least power of two that is not below a value."""
    return 1 << (value - 1).bit_length()
