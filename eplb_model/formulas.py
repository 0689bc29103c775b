"""Numbers that people can compute by hand: DeepEP grids, NCCL CTA counts, PyTorch streams.

Rule: pure functions of numbers, standard library only; a vector calls them by name.
Rule: an argument outside the stated range raises ValueError with the value and what was expected.
Sources: the rule ids E*, N* and G* are those of the GPU facts that the project is built on
(DeepEP `legacy/launch.cuh` and `internode_ll.cu`; NCCL 2.28.9 `graph/connect.cc`, `enqueue.cc`
and `init.cc`; PyTorch's stream pool). For any other NCCL version measure again (N27).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from eplb_model import nccl_schedule as nccl
from eplb_model.nccl_schedule import MIB as MIB  # noqa: PLC0414 (part of what users import here)

WARPS_PER_CTA = 32  # DeepEP shares 32 warps among the warp groups of a CTA (E2)
MAX_WARP_GROUPS = 14  # E5: DeepEP asserts wg < 15, and with it more than one warp per group
POOL_STREAMS = 32  # G7


def deepep_warp_groups(experts: int, sms: int) -> int:
    """Warp groups per CTA of a low-latency kernel, wg = ceil(E/S); one group serves one expert.

    Parameters: experts E with the redundant ones; sms S of the whole device (E4).
    Raises ValueError below 1 and where DeepEP asserts wg < 15 (E5; its top-k limit has no bearing
    on grids).
    Source: E2, E5.

    >>> deepep_warp_groups(256, 132)
    2
    """
    _require("experts", experts, 1)
    _require("sms", sms, 1)
    groups = _ceil_div(experts, sms)
    if groups > MAX_WARP_GROUPS:
        raise ValueError(
            f"experts={experts} on sms={sms} gives {groups} warp groups per CTA; "
            f"expected at most {MAX_WARP_GROUPS}, so at most {MAX_WARP_GROUPS * sms} experts (E5)"
        )
    return groups


def deepep_threads(experts: int, sms: int) -> int:
    """Threads per CTA of a low-latency kernel: 32 * wg * floor(32/wg).

    Raises ValueError as `deepep_warp_groups` does. Source: E2.

    >>> deepep_threads(288, 132)
    960
    """
    groups = deepep_warp_groups(experts, sms)
    return 32 * groups * (WARPS_PER_CTA // groups)


def deepep_dispatch_grid(experts: int, sms: int) -> int:
    """CTAs of a low-latency dispatch, g = ceil(E/wg).

    Raises ValueError as `deepep_warp_groups` does, and for a grid of one CTA (E5). Source: E2, E5.

    >>> deepep_dispatch_grid(256, 132)
    128
    """
    return _grid_above_one(_expert_ctas(experts, sms), f"experts={experts} on sms={sms}")


def deepep_combine_grid(experts: int, tokens: int, sms: int) -> int:
    """CTAs of a low-latency combine, g = max(ceil(E/wg), T == 0 ? 1 : ceil(T/ceil(T/S))).

    Parameters: experts and sms as in `deepep_warp_groups`; tokens T of this rank, from 0 on.
    Ranks with different T have different grids (E7).
    Raises ValueError as `deepep_dispatch_grid` does, and for negative tokens. Source: E3, E5.

    >>> deepep_combine_grid(144, 64, 132), deepep_combine_grid(144, 132, 132)
    (72, 132)
    """
    _require("tokens", tokens, 0)
    expert_ctas = _expert_ctas(experts, sms)
    token_ctas = 1 if tokens == 0 else _ceil_div(tokens, _ceil_div(tokens, sms))
    given = f"experts={experts}, tokens={tokens} on sms={sms}"
    return _grid_above_one(max(expert_ctas, token_ctas), given)


def deepep_grid(phase: str, experts: int, tokens: int, sms: int) -> int:
    """CTAs of the low-latency kernel of a phase, "dispatch" (tokens do not matter) or "combine".

    Raises ValueError for another phase, and as the two functions do. Source: E2, E3.

    >>> deepep_grid("dispatch", 384, 64, 132), deepep_grid("combine", 384, 512, 132)
    (128, 128)
    """
    match phase:
        case "dispatch":
            return deepep_dispatch_grid(experts, sms)
        case "combine":
            return deepep_combine_grid(experts, tokens, sms)
        case _:
            raise ValueError(f"phase={phase!r}; expected 'dispatch' or 'combine'")


def deepep_cluster(grid: int) -> int:
    """CTAs per cluster of a legacy DeepEP kernel: 2 if the grid is even, else 1.

    Raises ValueError for a grid below 1. Source: E1 (`DISABLE_SM90_FEATURES` is not considered).

    >>> deepep_cluster(128), deepep_cluster(107)
    (2, 1)
    """
    _require("grid", grid, 1)
    return 2 if grid % 2 == 0 else 1


def exchange_rounds(ranks: int, peers: str | Sequence[int]) -> tuple[int, ...]:
    """The rounds with work, ascending: in round r a rank sends to rank + r, receives from rank - r.

    Parameters: peers "all" (every other rank), "next" (send to *and* receive from rank + 1, which
    are the two rounds 1 and ranks - 1), or the rounds themselves, from 0 (with itself, N13) to
    ranks - 1. A one-way ring is [1].
    Raises ValueError below 2 ranks and for other, repeated or no rounds. Source: N8, N12, N13.

    >>> exchange_rounds(4, "all"), exchange_rounds(4, "next"), exchange_rounds(4, [2])
    ((1, 2, 3), (1, 3), (2,))
    >>> exchange_rounds(2, "next")
    (1,)
    """
    _require("ranks", ranks, 2)
    if peers == "all":
        return tuple(range(1, ranks))
    if peers == "next":
        return (1,) if ranks == 2 else (1, ranks - 1)
    if not _are_offsets(peers, ranks):
        raise ValueError(
            f"peers={peers!r}; expected 'all', 'next' or different offsets of 0..{ranks - 1}"
        )
    return tuple(sorted(peers))


def nccl_p2p_channels(
    ranks: int,
    peers: str | Sequence[int],
    bytes_per_op: int,
    max_ctas: int | None,
    channels: int = 24,
    *,
    min_ctas: int = 1,
    max_p2p_channels: int = 64,
    min_p2p_channels: int = 1,
    channels_per_peer: int = 36,
    transport: str = "nvlink",
) -> dict[int, tuple[int, ...]]:
    """Round -> ids of the channels that serve it, part by part of each operation.

    Parameters: peers as in `exchange_rounds`; bytes_per_op of each send and receive; max_ctas is
    `NCCL_MAX_CTAS`, None for no cap; channels of the communicator before caps (24 or 32, N12);
    min_ctas, max_p2p_channels, min_p2p_channels are `NCCL_MIN_CTAS`, `NCCL_MAX_P2P_NCHANNELS`,
    `NCCL_MIN_P2P_NCHANNELS`; channels_per_peer is 2*floor(path bandwidth/20.6), the least over the
    peers: 36 with 18 NVLinks; over a network 2, or `NCCL_NCHANNELS_PER_NET_PEER`; transport is
    "nvlink", all on one node, or "network", each on a node of its own (N9); over PCIe parts have
    yet another size.
    Raises ValueError for counts below 1, for bad peers and for another transport.
    Source: N8, N8a, N9, N14 (NCCL 2.28.9).

    >>> nccl_p2p_channels(4, "next", 64 * MIB, 8)
    {1: (4, 5, 6, 7), 3: (6, 7, 0, 1)}
    """
    counts = {
        "bytes_per_op": bytes_per_op,
        "channels": channels,
        "min_ctas": min_ctas,
        "max_p2p_channels": max_p2p_channels,
        "min_p2p_channels": min_p2p_channels,
        "channels_per_peer": channels_per_peer,
    }
    for name, count in counts.items():
        _require(name, count, 1)
    if max_ctas is not None:
        _require("max_ctas", max_ctas, 1)
    rounds = exchange_rounds(ranks, peers)
    most = nccl.of_transport(nccl.MOST_PART_BYTES, transport)

    capped = max(channels if max_ctas is None else min(channels, max_ctas), min_ctas)
    usable = nccl.pow2up(max(min(capped, max_p2p_channels), min_p2p_channels))
    per_peer = min(usable, nccl.pow2up(channels_per_peer))
    per_round = nccl.channels_of_operation(bytes_per_op, per_peer, ranks, usable, most)
    places = {r: r for r in rounds} if transport == "nvlink" else nccl.places_of_nodes(ranks)
    return nccl.assign_channels({r: places[r] for r in rounds}, usable, per_round)


def nccl_p2p_ctas(
    ranks: int,
    peers: str | Sequence[int],
    bytes_per_op: int,
    max_ctas: int | None,
    channels: int = 24,
    *,
    min_ctas: int = 1,
    max_p2p_channels: int = 64,
    min_p2p_channels: int = 1,
    channels_per_peer: int = 36,
    transport: str = "nvlink",
) -> int:
    """CTAs n of one NCCL exchange kernel: the channels that any round uses.

    Parameters and errors as in `nccl_p2p_channels`. Source: N1, N8; measured for two ranks (N11).

    >>> nccl_p2p_ctas(2, "all", 64 * MIB, 8), nccl_p2p_ctas(2, "all", 256 * MIB, 8)
    (4, 8)
    """
    by_round = nccl_p2p_channels(
        ranks,
        peers,
        bytes_per_op,
        max_ctas,
        channels,
        min_ctas=min_ctas,
        max_p2p_channels=max_p2p_channels,
        min_p2p_channels=min_p2p_channels,
        channels_per_peer=channels_per_peer,
        transport=transport,
    )
    return len(nccl.union(by_round))


def nccl_cluster(ctas: int, size: int) -> int:
    """CTAs per cluster of an NCCL kernel: the configured size if it divides the grid, else 1.

    Parameters: ctas of the grid; size is `NCCL_CGA_CLUSTER_SIZE`, from 0 (no cluster attribute)
    to 8; NCCL's default is 4.
    Raises ValueError outside these. Source: N4.

    >>> nccl_cluster(8, 4), nccl_cluster(6, 4), nccl_cluster(8, 0)
    (4, 1, 1)
    """
    _require("ctas", ctas, 1)
    _require("size", size, 0, 8)
    return size if size > 0 and ctas % size == 0 else 1


def rounds_of_ctas(by_round: Mapping[int, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """For each CTA, in order of channel id (N2), the rounds it serves.

    by_round is what `nccl_p2p_channels` returns. Source: N2.

    >>> rounds_of_ctas({1: (2, 3), 3: (3, 0)})
    ((3,), (1,), (1, 3))
    """
    return tuple(
        tuple(sorted(r for r, ids in by_round.items() if channel in ids))
        for channel in sorted(nccl.union(by_round))
    )


def nccl_p2p_eager(
    by_round: Mapping[int, tuple[int, ...]], bytes_per_op: int, *, transport: str = "nvlink"
) -> bool:
    """Whether a send ends without its receiver: every channel's share fits into its FIFO.

    Parameters: by_round is what `nccl_p2p_channels` returns; bytes_per_op of one send; transport
    as there.
    The FIFO of the SIMPLE protocol holds 8 steps: 512 KiB each over NVLink, 128 over a network.
    Raises ValueError for another transport.  Source: N9, N16; over NVLink measured on H200
    (frontier_sweep: the SMs that an exchange holds whose peers are partly there).

    >>> nccl_p2p_eager({1: (0, 1)}, 8 << 20), nccl_p2p_eager({1: (0,)}, 8 << 20)
    (True, False)
    """
    fifo = nccl.STEPS * nccl.of_transport(nccl.STEP_BYTES, transport)
    return all(-(-bytes_per_op // len(ids)) <= fifo for ids in by_round.values() if ids)


def every_round(ctas: int, ranks: int) -> tuple[tuple[int, ...], ...]:
    """For each CTA all rounds: CTA c meets CTA c of every other rank.

    What the synthetic channels of a sweep do.

    >>> every_round(2, 3)
    ((1, 2), (1, 2))
    """
    return (tuple(range(1, ranks)),) * ctas


def channels_of_grid(ctas: int, ranks: int, offsets: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """For each CTA, in order of channel id, the rounds it serves, from the number of CTAs alone.

    P = pow2up(ctas) channels; every round takes c channels from its N8 base on, c the least for
    which the rounds together use exactly `ctas`. Where no c does, every CTA serves every round.
    With one round (two ranks) all CTAs serve it.
    A guess from three ranks on: exchanges of the same n differ in P and c (N12: 8 ranks, all
    peers, cap 8, 64 or 256 MiB: n = 8 with c = 4 or 8), so it may couple rounds less or more than
    NCCL does. Where sizes are known, `rounds_of_ctas(nccl_p2p_channels(...))` is exact.

    Parameters: ctas of the grid; offsets are the rounds with work, as in `exchange_rounds`.
    Raises ValueError for ctas below 1 and for bad offsets. Source: N8.

    >>> channels_of_grid(3, 4, (1, 2, 3))
    ((2,), (1,), (3,))
    >>> channels_of_grid(6, 4, (1, 3))
    ((3,), (3,), (1,), (1,), (1, 3), (1, 3))
    >>> channels_of_grid(1, 4, (1, 2, 3))
    ((1, 2, 3),)
    """
    _require("ctas", ctas, 1)
    rounds = exchange_rounds(ranks, offsets)
    places = {r: r for r in rounds}
    usable = nccl.pow2up(ctas)

    def used(per_round: int) -> int:
        return len(nccl.union(nccl.assign_channels(places, usable, per_round)))

    least = 1 + bisect_left(range(1, ctas + 1), ctas, key=used)  # more channels never use fewer
    if used(least) != ctas:
        return (rounds,) * ctas
    return rounds_of_ctas(nccl.assign_channels(places, usable, least))


def torch_pool_stream(i: int) -> int:
    """The pool stream behind the i-th `torch.cuda.Stream()` of a process: after 32 they repeat.

    Parameters: i from 0; high-priority streams have a pool of their own.
    Raises ValueError for a negative i. Source: G7.

    >>> torch_pool_stream(31), torch_pool_stream(32)
    (31, 0)
    """
    _require("i", i, 0)
    return i % POOL_STREAMS


def _expert_ctas(experts: int, sms: int) -> int:
    return _ceil_div(experts, deepep_warp_groups(experts, sms))


def _grid_above_one(grid: int, given: str) -> int:
    if grid == 1:
        raise ValueError(f"{given} gives a grid of 1 CTA; expected at least 2 (E5)")
    return grid


def _ceil_div(value: int, by: int) -> int:
    return -(-value // by)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_offsets(peers: object, ranks: int) -> TypeGuard[Sequence[int]]:
    if not isinstance(peers, Sequence) or not peers:
        return False
    return all(_is_count(r) and 0 <= r < ranks for r in peers) and len(set(peers)) == len(peers)


def _require(name: str, value: object, least: int, most: int | None = None) -> None:
    """Vectors hand over what their JSON says, so the type is checked too."""
    if _is_count(value) and least <= value and (most is None or value <= most):
        return
    expected = f"at least {least}" if most is None else f"of {least}..{most}"
    raise ValueError(f"{name}={value!r}; expected an integer {expected}")
