"""The tables of E6-E8, N11 and N12, typed from the facts, against the formulas."""

import re
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eplb_model.formulas import (
    MIB,
    channels_of_grid,
    deepep_cluster,
    deepep_combine_grid,
    deepep_dispatch_grid,
    deepep_grid,
    deepep_threads,
    deepep_warp_groups,
    exchange_rounds,
    nccl_cluster,
    nccl_p2p_channels,
    nccl_p2p_ctas,
    rounds_of_ctas,
    torch_pool_stream,
)

H200, H20, B200 = 132, 78, 148  # SMs

# E6, S = 132: E, wg, threads, dispatch g, left, least and most combine g over T = 0..512,
# combine g at T = 64, 128, 256
E6 = [
    (32, 1, 1024, 32, 100, (32, 132), (64, 128, 128)),
    (64, 1, 1024, 64, 68, (64, 132), (64, 128, 128)),
    (128, 1, 1024, 128, 4, (128, 132), (128, 128, 128)),
    (132, 1, 1024, 132, 0, (132, 132), (132, 132, 132)),
    (264, 2, 1024, 132, 0, (132, 132), (132, 132, 132)),
    (396, 3, 960, 132, 0, (132, 132), (132, 132, 132)),
    (144, 2, 1024, 72, 60, (72, 132), (72, 128, 128)),
    (160, 2, 1024, 80, 52, (80, 132), (80, 128, 128)),
    (256, 2, 1024, 128, 4, (128, 132), (128, 128, 128)),
    (272, 3, 960, 91, 41, (91, 132), (91, 128, 128)),
    (288, 3, 960, 96, 36, (96, 132), (96, 128, 128)),
    (304, 3, 960, 102, 30, (102, 132), (102, 128, 128)),
    (320, 3, 960, 107, 25, (107, 132), (107, 128, 128)),
    (384, 3, 960, 128, 4, (128, 132), (128, 128, 128)),
    (512, 4, 1024, 128, 4, (128, 132), (128, 128, 128)),
]


@pytest.mark.parametrize(("experts", "groups", "threads", "grid", "left", "span", "at"), E6)
def test_e6_grids_on_132_sms(experts, groups, threads, grid, left, span, at):
    combine = [deepep_combine_grid(experts, tokens, H200) for tokens in range(513)]

    assert deepep_warp_groups(experts, H200) == groups
    assert deepep_threads(experts, H200) == threads
    assert deepep_dispatch_grid(experts, H200) == grid
    assert H200 - deepep_dispatch_grid(experts, H200) == left
    assert (min(combine), max(combine)) == span
    assert tuple(combine[tokens] for tokens in (64, 128, 256)) == at


@pytest.mark.parametrize(
    ("least", "tokens"),
    [
        (125, {*range(125, 133), *range(249, 265), *range(373, 397), *range(497, 529)}),
        (132, {132, 263, 264, 394, 395, 396, 525, 526, 527, 528}),
    ],
)
def test_e7_tokens_for_which_every_combine_is_large(least, tokens):
    few_experts = {t for t in range(600) if deepep_combine_grid(2, t, H200) >= least}

    assert few_experts == tokens
    assert all(
        deepep_combine_grid(experts, t, H200) >= least
        for experts in range(2, 1849, 71)
        for t in tokens
    )


@pytest.mark.parametrize("tokens", [128, 256, 384, 512])
def test_e7_usual_graph_sizes_give_at_least_128(tokens):
    assert deepep_combine_grid(2, tokens, H200) == 128


@pytest.mark.parametrize(
    ("sms", "experts", "grid", "left"),
    [
        (H20, 288, 72, 6),
        (H20, 384, 77, 1),
        (B200, 144, 144, 4),
        (B200, 288, 144, 4),
        (B200, 256, 128, 20),
    ],
)
def test_e8_grids_on_other_devices(sms, experts, grid, left):
    assert deepep_dispatch_grid(experts, sms) == grid
    assert sms - grid == left


def test_the_phase_chooses_the_grid():
    assert deepep_grid("dispatch", 144, 132, H200) == 72
    assert deepep_grid("combine", 144, 132, H200) == 132


@pytest.mark.parametrize(("grid", "cluster"), [(128, 2), (132, 2), (107, 1), (91, 1), (1, 1)])
def test_e1_a_gang_has_clusters_of_two_if_its_grid_is_even(grid, cluster):
    assert deepep_cluster(grid) == cluster


@pytest.mark.parametrize("channels", [24, 32])
@pytest.mark.parametrize(
    ("max_ctas", "ctas", "cluster"),
    [(None, 16, 4), (32, 16, 4), (16, 8, 4), (8, 4, 4), (4, 4, 4), (2, 2, 1), (1, 1, 1)],
)
def test_n11_measured_ctas_of_64_mib_between_two_h200(channels, max_ctas, ctas, cluster):
    assert nccl_p2p_ctas(2, "all", 64 * MIB, max_ctas, channels) == ctas
    assert nccl_cluster(ctas, 4) == cluster


# N12: cap, then "n/cluster" at 16, 64 and 256 MiB in the order of its columns
COLUMNS = [(2, "all"), (4, "all"), (4, "next"), (8, "all"), (8, "next")]
N12 = [
    (None, "16/4 16/4 16/4", "24/4 24/4 32/4", "16/4 16/4 24/4", "28/4 28/4 32/4", "8/4 8/4 28/4"),
    (16, "8/4 8/4 16/4", "12/4 12/4 16/4", "8/4 8/4 16/4", "14/1 16/4 16/4", "4/4 8/4 16/4"),
    (8, "4/4 4/4 8/4", "6/1 8/4 8/4", "4/4 6/1 8/4", "7/1 8/4 8/4", "2/1 7/1 8/4"),
    (4, "2/1 4/4 4/4", "3/1 4/4 4/4", "2/1 4/4 4/4", "4/4 4/4 4/4", "2/1 4/4 4/4"),
    (2, "1/1 2/1 2/1", "2/1 2/1 2/1", "1/1 2/1 2/1", "2/1 2/1 2/1", "1/1 2/1 2/1"),
    (1, "1/1 1/1 1/1", "1/1 1/1 1/1", "1/1 1/1 1/1", "1/1 1/1 1/1", "1/1 1/1 1/1"),
]
N12_CELLS = [
    pytest.param(ranks, peers, size, cap, cell, id=f"cap={cap}-{ranks}-{peers}-{size}MiB")
    for cap, *columns in N12
    for (ranks, peers), column in zip(COLUMNS, columns, strict=True)
    for size, cell in zip((16, 64, 256), column.split(), strict=True)
]


@pytest.mark.parametrize("channels", [24, 32])
@pytest.mark.parametrize(("ranks", "peers", "size", "cap", "cell"), N12_CELLS)
def test_n12_ctas_and_clusters_on_one_node(channels, ranks, peers, size, cap, cell):
    ctas = nccl_p2p_ctas(ranks, peers, size * MIB, cap, channels)

    assert f"{ctas}/{nccl_cluster(ctas, 4)}" == cell


def test_n10_a_cap_is_rounded_up_and_the_minimum_beats_it():
    assert nccl_p2p_ctas(2, "all", 256 * MIB, 12) == nccl_p2p_ctas(2, "all", 256 * MIB, 16) == 16
    assert nccl_p2p_ctas(2, "all", 256 * MIB, 4, min_p2p_channels=16) == 16
    assert nccl_p2p_ctas(2, "all", 256 * MIB, 4, min_ctas=16) == 16


def test_n13_pairs_at_half_the_distance_use_one_round_and_fewer_channels():
    assert nccl_p2p_ctas(4, [2], 16 * MIB, 8) == 2
    assert nccl_p2p_ctas(4, "next", 16 * MIB, 8) == 4


def test_n13_a_self_pair_occupies_round_0():
    assert nccl_p2p_channels(2, [0], 64 * MIB, 8) == {0: (0, 1, 2, 3)}


def test_n14_few_channels_per_peer_make_a_small_exchange():
    assert nccl_p2p_ctas(16, [8], 64 * MIB, 16, channels_per_peer=2) == 2


def test_n8_small_operations_use_one_channel_per_64_kib():
    assert nccl_p2p_channels(2, "all", 3 * 65536, None) == {1: (16, 17, 18)}
    assert nccl_p2p_channels(2, "all", 1, None) == {1: (16,)}


def test_n8_channels_of_four_ranks_capped_at_eight():
    # P = 8, c = 2; reverseBits of 1, 2, 3 in three bits is 4, 2, 6
    assert nccl_p2p_channels(4, "all", 16 * MIB, 8) == {1: (4, 5), 2: (2, 3), 3: (6, 7)}
    assert rounds_of_ctas(nccl_p2p_channels(4, "all", 16 * MIB, 8)) == (
        (2,),
        (2,),
        (1,),
        (1,),
        (3,),
        (3,),
    )


@pytest.mark.parametrize(
    ("ctas", "size", "cluster"),
    [(16, 4, 4), (6, 4, 1), (6, 2, 2), (16, 0, 1), (16, 8, 8), (12, 8, 1), (5, 1, 1), (2, 4, 1)],
)
def test_n4_a_cluster_size_that_does_not_divide_the_grid_is_dropped(ctas, size, cluster):
    assert nccl_cluster(ctas, size) == cluster


@st.composite
def exchanges(draw):
    ranks = draw(st.integers(2, 12))
    offsets = draw(st.lists(st.integers(0, ranks - 1), min_size=1, unique=True))
    return ranks, tuple(sorted(offsets))


@given(st.integers(1, 64), exchanges())
def test_a_grid_serves_every_round_and_nothing_else(ctas, exchange):
    ranks, offsets = exchange

    served = channels_of_grid(ctas, ranks, offsets)

    assert len(served) == ctas
    assert all(rounds and rounds == tuple(sorted(rounds)) for rounds in served)
    assert {r for rounds in served for r in rounds} == set(offsets)


@given(st.integers(1, 64))
def test_every_cta_of_two_ranks_serves_round_1(ctas):
    assert channels_of_grid(ctas, 2, (1,)) == ((1,),) * ctas


@given(st.integers(1, 64), st.integers(2, 12), st.data())
def test_every_cta_serves_the_only_round(ctas, ranks, data):
    offset = data.draw(st.integers(0, ranks - 1))

    assert channels_of_grid(ctas, ranks, (offset,)) == ((offset,),) * ctas


def test_the_only_cta_serves_every_round():
    assert channels_of_grid(1, 4, (1, 2, 3)) == ((1, 2, 3),)


def test_over_a_network_parts_are_small_and_distances_grow_as_triangular_numbers():
    count = partial(nccl_p2p_ctas, transport="network", channels_per_peer=32)

    assert count(4, "next", 1024, 2, min_ctas=2) == 2  # places 1 and 2 of the schedule
    assert nccl_p2p_ctas(4, "next", 1024, 2, min_ctas=2) == 1  # rounds 1 and 3
    assert (count(2, "all", MIB, 16, 16), count(2, "all", 64 * MIB, 16, 16)) == (8, 16)
    assert nccl_p2p_ctas(2, "all", 64 * MIB, 16, 16) == 8


def test_without_a_number_two_channels_go_to_a_peer_over_a_network():
    found = nccl_p2p_channels(
        2, "all", 64 * MIB, None, 16, channels_per_peer=2, transport="network"
    )

    assert found == {1: (8, 9)}


def test_a_grid_that_no_count_gives_serves_every_round_everywhere():
    # P = 8, bases 4, 2, 6, 1, 5, 3, 7: one channel each gives 7, two give 8; 5 is out of reach
    assert channels_of_grid(5, 8, range(1, 8)) == (tuple(range(1, 8)),) * 5


@given(exchanges(), st.integers(1, 1 << 30), st.none() | st.integers(1, 64))
def test_ctas_are_the_channels_that_some_round_uses(exchange, size, cap):
    ranks, offsets = exchange

    by_round = nccl_p2p_channels(ranks, offsets, size, cap)

    assert tuple(by_round) == offsets
    assert len({len(ids) for ids in by_round.values()}) == 1
    assert len(rounds_of_ctas(by_round)) == nccl_p2p_ctas(ranks, offsets, size, cap)


# cap -> MiB per operation where n does not tell P and c, among the cells of N12
GUESSED_WRONG: dict[tuple[int, str], dict[int | None, tuple[int, ...]]] = {
    (2, "all"): {},
    (4, "all"): {16: (256,), 8: (256,), 4: (64, 256), 2: (64, 256)},
    (4, "next"): {None: (16, 64), 16: (16, 64, 256), 8: (16, 256), 4: (16, 64, 256)},
    (8, "all"): {None: (256,), 16: (256,), 8: (64, 256), 4: (64, 256), 2: (64, 256)},
    (8, "next"): {None: (16, 64), 16: (16, 64, 256), 8: (16, 256), 4: (16, 64, 256)},
}


@pytest.mark.parametrize(("ranks", "peers", "size", "cap", "cell"), N12_CELLS)
def test_known_gap_a_grid_of_many_ranks_may_differ_from_its_exchange(ranks, peers, size, cap, cell):
    ctas = int(cell.split("/")[0])
    exact = rounds_of_ctas(nccl_p2p_channels(ranks, peers, size * MIB, cap))

    guess = channels_of_grid(ctas, ranks, exchange_rounds(ranks, peers))

    assert len(guess) == len(exact)
    assert (guess != exact) == (size in GUESSED_WRONG[ranks, peers].get(cap, ()))


def test_two_exchanges_of_the_same_ctas_differ_in_their_channels():
    small, large = (nccl_p2p_channels(8, "all", size * MIB, 8) for size in (64, 256))

    assert len(rounds_of_ctas(small)) == len(rounds_of_ctas(large)) == 8
    assert (len(small[1]), len(large[1])) == (4, 8)


def test_the_33rd_stream_of_torch_is_the_first():
    assert [torch_pool_stream(i) for i in range(40)] == [*range(32), *range(8)]


PEERS_OF_FOUR = "expected 'all', 'next' or different offsets of 0..3"
BAD_CALLS: list[tuple[Callable[..., object], tuple[object, ...], str]] = [
    (deepep_warp_groups, (0, 132), "experts=0; expected an integer at least 1"),
    (deepep_warp_groups, (256, 0), "sms=0; expected an integer at least 1"),
    (deepep_warp_groups, (True, 132), "experts=True; expected an integer at least 1"),
    (deepep_warp_groups, ("256", 132), "experts='256'; expected an integer at least 1"),
    (deepep_warp_groups, (256.0, 132), "experts=256.0; expected an integer at least 1"),
    (
        deepep_warp_groups,
        (1849, 132),
        "experts=1849 on sms=132 gives 15 warp groups per CTA; expected at most 14, so at most",
    ),
    (
        deepep_dispatch_grid,
        (1, 132),
        "experts=1 on sms=132 gives a grid of 1 CTA; expected at least 2 (E5)",
    ),
    (
        deepep_combine_grid,
        (1, 1, 132),
        "experts=1, tokens=1 on sms=132 gives a grid of 1 CTA; expected at least 2 (E5)",
    ),
    (deepep_combine_grid, (256, -1, 132), "tokens=-1; expected an integer at least 0"),
    (deepep_combine_grid, (256, 64, 0), "sms=0; expected an integer at least 1"),
    (deepep_grid, ("both", 256, 64, 132), "phase='both'; expected 'dispatch' or 'combine'"),
    (deepep_cluster, (0,), "grid=0; expected an integer at least 1"),
    (exchange_rounds, (1, "all"), "ranks=1; expected an integer at least 2"),
    (exchange_rounds, (4, "some"), f"peers='some'; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, []), f"peers=[]; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, [4]), f"peers=[4]; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, [1, 1]), f"peers=[1, 1]; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, [True]), f"peers=[True]; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, [[1]]), f"peers=[[1]]; {PEERS_OF_FOUR}"),
    (exchange_rounds, (4, None), f"peers=None; {PEERS_OF_FOUR}"),
    (nccl_p2p_ctas, (2, "all", 0, None), "bytes_per_op=0; expected an integer at least 1"),
    (nccl_p2p_ctas, (2, "all", 1, 0), "max_ctas=0; expected an integer at least 1"),
    (nccl_p2p_ctas, (2, "all", 1, None, 0), "channels=0; expected an integer at least 1"),
    (
        partial(nccl_p2p_ctas, transport="pcie"),
        (2, "all", 1, None),
        "transport='pcie'; expected one of nvlink, network",
    ),
    (nccl_cluster, (8, 9), "size=9; expected an integer of 0..8"),
    (nccl_cluster, (0, 4), "ctas=0; expected an integer at least 1"),
    (channels_of_grid, (0, 2, (1,)), "ctas=0; expected an integer at least 1"),
    (channels_of_grid, (4, 4, (4,)), f"peers=(4,); {PEERS_OF_FOUR}"),
    (torch_pool_stream, (-1,), "i=-1; expected an integer at least 0"),
]


@pytest.mark.parametrize(("formula", "arguments", "message"), BAD_CALLS)
def test_a_bad_argument_is_answered_with_its_value_and_what_was_expected(
    formula, arguments, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        formula(*arguments)
