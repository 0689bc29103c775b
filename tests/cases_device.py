"""Cases of the device: who gets SMs when, and who has to meet whom.  Rule ids: specs/sources.md."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from eplb_model.scenario import Scenario
from eplb_model.world import Grain, Meets, Stream
from tests.cases import TINY, case, gang, kernel, launch, meeting, op, rank, scenario, spinner

# --- the distributor -------------------------------------------------------------------------


def behind_a_pending_gang(second: Any, *third: Any, streams: Sequence[Any] = ()) -> Scenario:
    """Rank 0: two SMs are held for ever, a gang of three waits, then comes `second` on stream c."""
    body = [launch("spinner", "a"), launch("gang", "b"), second, *third]
    return scenario(
        rank(body, streams=streams or ("a", "b", "c")),
        kernels=[spinner(2), gang("gang", 3), kernel("small", footprint="tiny"), gang("two", 2)],
    )


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g12_a_pending_gang_stops_a_later_kernel() -> Scenario:
    return behind_a_pending_gang(launch("small", "c"))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g12_it_stops_a_later_kernel_of_higher_priority() -> Scenario:
    return behind_a_pending_gang(launch("small", "c"), streams=("a", "b", Stream("c", -1)))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g13_a_memset_does_not_pass_a_pending_gang() -> Scenario:
    return behind_a_pending_gang(op("memset", "c"))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g13_a_copy_within_the_device_does_not_pass_a_pending_gang() -> Scenario:
    return behind_a_pending_gang(op("copy", "d2d", "c"))


@case("5 states: 1 deadlock 0.a 0.b")
def g13_a_copy_from_the_host_passes_a_pending_gang() -> Scenario:
    return behind_a_pending_gang(op("copy", "h2d", "c"))


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g17a_a_gang_does_not_overtake_a_pending_gang() -> Scenario:
    return behind_a_pending_gang(launch("two", "c"))


@case("6 states: 1 deadlock 0.b 0.c")
def g14_the_pending_gang_goes_first_when_the_holders_leave() -> Scenario:
    """Both want all SMs and the gang keeps them: had the urgent kernel been first, it would end."""
    return scenario(
        rank(
            [launch("spinner", "a"), launch("gang", "b"), launch("urgent", "c"), op("set", "go")],
            streams=("a", "b", Stream("c", -1)),
        ),
        kernels=[spinner(2), gang("gang", 4, until="never"), kernel("urgent", 4)],
    )


def two_wait_for_all_sms(priority: int) -> Scenario:
    """All SMs are held; one kernel that would keep them waits, then one that would end."""
    body = [launch("spinner", "a"), launch("keeps", "b"), launch("ends", "c"), op("set", "go")]
    return scenario(
        rank(body, streams=("a", "b", Stream("c", priority))),
        kernels=[spinner(4), kernel("keeps", 4, until="never"), kernel("ends", 4)],
    )


@case("6 states: 1 deadlock 0.b 0.c")
def of_two_waiting_kernels_the_first_takes_all_it_can() -> Scenario:
    return two_wait_for_all_sms(priority=0)


@case("7 states: 1 deadlock 0.b")
def g18_of_two_waiting_kernels_the_urgent_one_goes_first() -> Scenario:
    return two_wait_for_all_sms(priority=-1)


@case("4 states: 1 deadlock 0.a 0.b")
def g11_a_gang_that_fits_beside_others_starts() -> Scenario:
    return scenario(
        rank([launch("k", "b"), launch("gang", "a"), op("await_resident", "gang")]),
        kernels=[gang("gang", 3, until="never"), kernel("k", until="never")],
    )


@case("6 states: 1 deadlock 0.a 0.b 1.b")
def g11_a_gang_starts_whole_or_not_at_all() -> Scenario:
    """Two free SMs don't let the first CTA of a gang of three meet its peer."""
    meets = meeting("first", 1, with_="gang")
    return scenario(
        rank([launch("spinner", "a"), launch("gang", "b")]),
        rank([launch("gang", "b")]),
        kernels=[spinner(2), gang("gang", 3, meets=meets)],
    )


@case("11 states: 1 deadlock 0.a")
def g10_a_regular_kernel_starts_with_what_is_free() -> Scenario:
    """The same as a regular kernel: the CTAs that find room meet."""
    meets = meeting("first", 1, with_="k")
    return scenario(
        rank([launch("spinner", "a"), launch("k", "b")]),
        rank([launch("k", "b")]),
        kernels=[spinner(2), kernel("k", 3, meets=meets)],
    )


@case("6 states: 1 ok")
def g15_a_pending_gang_holds_nothing() -> Scenario:
    """A kernel of its stream's past gives room; the gang of four needs all SMs at one instant."""
    return scenario(
        rank([launch("spinner", "a"), launch("gang", "b"), op("set", "go")]),
        kernels=[spinner(1), gang("gang", 4)],
    )


@case("2 states: 1 misuse")
def g19_a_grid_that_can_never_be_resident_fails_at_the_call() -> Scenario:
    return scenario(rank([launch("gang")]), kernels=[gang("gang", 5)])


@case("3 states: 1 deadlock 0.a 0.b")
def g27_a_cluster_needs_a_whole_tpc() -> Scenario:
    """Three CTAs leave one SM; of five SMs' worth only two share a TPC."""
    return scenario(
        rank([launch("spinner", "a"), launch("pair", "b")]),
        kernels=[spinner(3), kernel("pair", 2, cluster=2)],
    )


@case("7 states: 1 ok")
def g32_sms_come_back_cta_by_cta() -> Scenario:
    """Five CTAs on four SMs: the fifth starts when the first ends."""
    return scenario(rank([launch("k")]), kernels=[kernel("k", 5, ends="each")])


@case("4 states: 1 deadlock 0.t0 0.a 0.b")
def g24_exclusive_kernels_do_not_share_an_sm() -> Scenario:
    """The second starts only after the first, which ends once the host says so."""
    return scenario(
        rank([launch("spinner", "a"), launch("k", "b"), op("stream_synchronize", "b")]),
        kernels=[spinner(4), kernel("k")],
    )


@case("3 states: 1 deadlock 0.a 0.b")
def g25_a_small_resident_cta_keeps_a_large_one_off_its_sm() -> Scenario:
    """The bytes would fit; the split between L1 and shared memory is not changed under it."""
    return scenario(
        rank([launch("spinner", "a"), launch("k", "b")]),
        kernels=[spinner(4, footprint="tiny"), kernel("k", footprint="one_warp_200k")],
    )


# --- meetings --------------------------------------------------------------------------------


def opposite(exchange: int, moe: int) -> Scenario:
    """Rank 0 starts the exchange first, rank 1 the gang."""
    launches = [launch("moe", "a")], [launch("exchange", "b")]
    first = [[op("await_resident", "exchange"), *launches[0]], launches[1]]
    second = [launches[0], [op("await_resident", "moe"), *launches[1]]]
    return scenario(
        rank(*first),
        rank(*second),
        kernels=[
            gang("moe", moe, meets=meeting("first", 1, with_="moe")),
            kernel(
                "exchange",
                exchange,
                cluster=2,
                footprint="nccl",
                ends="each",
                meets=meeting("channel", 1, with_="exchange"),
            ),
        ],
    )


@case("16 states: 1 deadlock 0.a 0.b 1.a 1.b")
def the_hang_of_opposite_orders() -> Scenario:
    return opposite(exchange=2, moe=3)


@case("103 states: 1 ok")
def its_cure() -> Scenario:
    return opposite(exchange=2, moe=2)


@case("4 states: 1 deadlock 0.a 1.a")
def a_rendezvous_waits_for_every_peer() -> Scenario:
    """Rank 2 never launches; ranks 0 and 1 wait for it for ever."""
    return scenario(
        rank([launch("k")]),
        rank([launch("k")]),
        rank([]),
        kernels=[kernel("k", meets=meeting("first", 1, 2))],
    )


@case("5 states: 1 deadlock 1.a")
def an_offset_counts_upwards_from_the_sender() -> Scenario:
    """Rank 0 sends to rank 1 and ends; rank 1 sends to rank 2, who did not come."""
    return scenario(
        rank([launch("k")]),
        rank([launch("k")]),
        rank([]),
        kernels=[kernel("k", meets=Meets("first", (1,), (), "k"))],
    )


@case("3 states: 1 ok")
def n16_an_eager_send_ends_without_its_receiver() -> Scenario:
    return scenario(
        rank([launch("k")]),
        rank([]),
        kernels=[kernel("k", meets=Meets("first", (1,), (), "k", eager=True))],
    )


def half_placed_peer(grain: Grain, ends: str = "together", order: str = "index") -> Scenario:
    """Rank 1 has room for one of two CTAs, for a spinner holds the other SMs."""
    return scenario(
        rank([launch("k")]),
        rank([launch("spinner", "a"), launch("k", "b")]),
        kernels=[spinner(3), kernel("k", 2, ends=ends, meets=meeting(grain, 1))],
        machine=TINY.with_switch("cta_order", order),
    )


@case("11 states: 1 deadlock 1.a")
def grain_first_needs_the_first_cta_of_the_peer() -> Scenario:
    return half_placed_peer("first")


@case("6 states: 1 deadlock 0.a 1.a 1.b")
def grain_grid_needs_the_whole_grid_of_the_peer() -> Scenario:
    return half_placed_peer("grid")


@case("6 states: 1 deadlock 0.a 1.a 1.b")
def a_grid_that_ends_cta_by_cta_meets_whole_all_the_same() -> Scenario:
    return half_placed_peer("grid", ends="each")


@case("6 states: 1 deadlock 0.a 1.a 1.b")
def started_from_the_last_cta_the_first_one_is_missing() -> Scenario:
    """The switch `cta_order`: rank 1 starts CTA 1 and has no room for CTA 0, which would meet."""
    return half_placed_peer("first", order="opposed")


def smaller_peer(grain: Grain) -> Scenario:
    """Two CTAs meet a kernel that has one."""
    meets = meeting(grain, 1, with_="one")
    return scenario(
        rank([launch("two")]),
        rank([launch("one")]),
        kernels=[kernel("two", 2, ends="each", meets=meets), kernel("one")],
    )


@case("8 states: 1 deadlock 0.a")
def grain_channel_needs_a_cta_for_each_cta() -> Scenario:
    return smaller_peer("channel")


@case("10 states: 1 ok")
def grain_first_does_not() -> Scenario:
    return smaller_peer("first")


@case("7 states: 1 deadlock 0.a 1.a")
def n8_a_channel_needs_the_peers_of_its_rounds_only() -> Scenario:
    """Channel 0 serves rank + 1, channel 1 rank + 2; rank 2 does not come.

    On rank 0 channel 0 sends to rank 1, on rank 1 channel 1 sends to rank 0: these end.
    """
    both = {"ends": "each", "rounds": ((1,), (2,))}
    return scenario(
        rank([launch("k")]),
        rank([launch("k")]),
        rank([]),
        kernels=[kernel("k", 2, meets=Meets("channel", (1, 2), (), "k"), **both)],
    )


@case("9 states: 1 ok")
def grain_end_needs_the_end_of_the_peer() -> Scenario:
    return scenario(
        rank([launch("after")]),
        rank([launch("k"), op("set", "go")]),
        kernels=[kernel("k", until="go"), kernel("after", meets=meeting("end", 1))],
    )


@case("2 states: 1 deadlock 0.a")
def v9_a_grid_barrier_of_a_half_placed_kernel_waits_for_itself() -> Scenario:
    return scenario(rank([launch("k")]), kernels=[kernel("k", 5, meets=Meets("grid", (), (), "k"))])


@case("12 states: 1 deadlock 0.a")
def the_second_launch_meets_the_second_launch() -> Scenario:
    return scenario(
        rank([launch("k"), launch("k")]),
        rank([launch("k")]),
        kernels=[kernel("k", meets=meeting("first", 1))],
    )


def beside_a_pair(singles: int, cluster: int) -> Scenario:
    """A pair holds a TPC of the first group of four; then come single CTAs, then a cluster."""
    pair, last = kernel("pair", 2, cluster=2, until="go"), kernel("last", cluster, cluster=cluster)
    return scenario(
        rank(
            [launch("pair", "a"), launch("gang", "b"), launch("last", "c")], streams=("a", "b", "c")
        ),
        kernels=[pair, gang("gang", singles, until="go"), last],
        machine=replace(TINY, groups=(4, 4)),
    )


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g31d_a_single_cta_goes_where_the_fewest_tpcs_are_in_use() -> Scenario:
    """It takes one of the second group, so that no group has four SMs left."""
    return beside_a_pair(1, cluster=4)


@case("4 states: 1 deadlock 0.a 0.b 0.c")
def g31d_then_where_the_fewest_are_full() -> Scenario:
    """Three take one SM of every other TPC, the fourth a second one in the second group."""
    return beside_a_pair(4, cluster=2)
