"""The rules P1 to P6 of exchange plans: examples worked out by hand, and properties of any maps."""

from collections import Counter
from dataclasses import fields

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from eplb_model.communicators.plan import (
    EMPTY,
    Duplicate,
    Mismatch,
    Move,
    Plan,
    Receive,
    Send,
    Share,
    joined,
    mismatches,
    plan,
    plans_of,
    receivers_of,
    sender_of,
)
from eplb_model.rearrangements import rearrangements, served, views

# --- who serves whom (P4) --------------------------------------------------------------------

# senders, receivers: the positions in R that each sender serves
SPLITS = [
    (1, 0, [()]),
    (1, 3, [(0, 1, 2)]),
    (2, 1, [(0,), ()]),  # q = 0
    (3, 2, [(0,), (1,), ()]),  # q = 0
    (2, 2, [(0,), (1,)]),
    (2, 3, [(0, 2), (1,)]),
    (2, 4, [(0, 1), (2, 3)]),
    (2, 5, [(0, 1, 4), (2, 3)]),
    (3, 5, [(0, 3), (1, 4), (2,)]),
    (3, 8, [(0, 1, 6), (2, 3, 7), (4, 5)]),
]


@pytest.mark.parametrize(("senders", "receivers", "served_by"), SPLITS)
def test_p4_every_sender_serves_a_block_and_perhaps_one_of_the_remainder(
    senders, receivers, served_by
):
    split = [receivers_of(i, senders, receivers) for i in range(senders)]

    assert split == served_by


@given(st.integers(1, 40), st.integers(1, 40))
def test_p4_sender_and_receiver_compute_the_same_split(senders, receivers):
    by_sender = {j: i for i in range(senders) for j in receivers_of(i, senders, receivers)}
    by_receiver = {j: sender_of(j, senders, receivers) for j in range(receivers)}

    assert by_sender == by_receiver


@given(st.integers(1, 40), st.integers(0, 40))
def test_p4_no_sender_serves_more_than_one_receiver_more_than_another(senders, receivers):
    counts = [len(receivers_of(i, senders, receivers)) for i in range(senders)]

    assert sum(counts) == receivers
    assert max(counts) - min(counts) <= 1


# --- plans by hand ---------------------------------------------------------------------------


def test_equal_maps_move_nothing():
    ids = [0, EMPTY, 1, 1]

    assert plan(ids, ids, ranks=2) == Plan(2, (Share(0, (0, 1)), Share(1, (0, 1))))


def test_two_ranks_swap_an_expert():
    assert plan([0, 1, 2, 3], [0, 2, 1, 3], ranks=2) == Plan(
        2,
        (
            Share(0, unchanged=(0,), sends=(Send(1, 1, 1),), receives=(Receive(1, 2, 1),)),
            Share(1, unchanged=(1,), sends=(Send(0, 2, 0),), receives=(Receive(0, 1, 0),)),
        ),
    )


def test_a_local_move_starts_from_the_first_old_row_with_the_expert():
    (share,) = plan([4, 7, 7, 5], [5, 7, 4, 7], ranks=1).shares

    assert share == Share(0, unchanged=(1,), moves=(Move(3, 0), Move(0, 2), Move(1, 3)))


def test_an_unchanged_row_is_the_source_of_a_further_replica():
    (share,) = plan([0, 1], [0, 0], ranks=1).shares

    assert share == Share(0, unchanged=(0,), moves=(Move(0, 1),))


def test_an_expert_for_several_rows_travels_once_and_is_duplicated():
    sender, receiver = plan([0, 1, 2, 3, 4, 5], [0, 1, 2, 1, 4, 1], ranks=2).shares

    assert sender == Share(0, unchanged=(0, 1, 2), sends=(Send(1, 1, 1),))
    assert receiver == Share(
        1, unchanged=(1,), receives=(Receive(0, 1, 0),), duplicates=(Duplicate(0, 2),)
    )


def test_a_sender_takes_the_first_of_its_replicas():
    sender, receiver = plan([3, 3, 0, 1], [3, 3, 3, 1], ranks=2).shares

    assert sender.sends == (Send(1, 3, 0),)
    assert receiver.receives == (Receive(0, 3, 0),)


def test_empty_rows_are_filled_and_emptied():
    first, second = plan([0, EMPTY, 1, 2], [0, 1, EMPTY, 2], ranks=2).shares

    assert first == Share(0, unchanged=(0,), receives=(Receive(1, 1, 1),))
    assert second == Share(1, unchanged=(1,), sends=(Send(0, 1, 0),), emptied=(0,))


def test_an_expert_that_nobody_holds_is_committed_but_not_sent():
    first, second = plan([0, 1, 2, 3], [9, 9, 2, 9], ranks=2).shares

    assert first == Share(0, stale=(0,), duplicates=(Duplicate(0, 1),))
    assert second == Share(1, unchanged=(0,), stale=(1,))
    assert first.committed == (0,)


def test_two_holders_share_three_receivers():
    # Expert 0 is held by ranks 0 and 2; ranks 1, 3 and 4 want it.  q = 1: rank 0 serves the first
    # and the remaining one, rank 2 the second.
    planned = plan([0, 1, 0, 2, 3], [0, 0, 0, 0, 0], ranks=5)

    assert [share.sends for share in planned.shares] == [
        (Send(1, 0, 0), Send(4, 0, 0)),
        (),
        (Send(3, 0, 0),),
        (),
        (),
    ]
    assert [share.receives for share in planned.shares] == [
        (),
        (Receive(0, 0, 0),),
        (),
        (Receive(2, 0, 0),),
        (Receive(0, 0, 0),),
    ]


def test_of_more_holders_than_receivers_the_last_ones_idle():
    planned = plan([0, 0, 0, 1], [0, 0, 0, 0], ranks=4)

    assert [share.sends for share in planned.shares] == [(Send(3, 0, 0),), (), (), ()]
    assert planned.shares[3].receives == (Receive(0, 0, 0),)


def test_transfers_are_listed_by_expert_whatever_the_rows():
    first, second = plan([5, 2, 8, 9, 1, 4], [9, 1, 4, 2, 8, 5], ranks=2).shares

    assert first.sends == (Send(1, 2, 1), Send(1, 5, 0), Send(1, 8, 2))
    assert first.receives == (Receive(1, 1, 1), Receive(1, 4, 2), Receive(1, 9, 0))
    assert second.sends == (Send(0, 1, 1), Send(0, 4, 2), Send(0, 9, 0))
    assert second.receives == (Receive(0, 2, 0), Receive(0, 5, 2), Receive(0, 8, 1))


def test_redundant_experts_over_three_ranks():
    # Four experts on six rows: expert 3 gets the copy that expert 0 loses.
    first, second, third = plan([0, 1, 2, 3, 0, 1], [3, 1, 2, 0, 3, 1], ranks=3).shares

    assert first == Share(0, (1,), sends=(Send(1, 0, 0),), receives=(Receive(1, 3, 0),))
    assert second == Share(
        1, (0,), sends=(Send(0, 3, 1), Send(2, 3, 1)), receives=(Receive(0, 0, 1),)
    )
    assert third == Share(2, (1,), receives=(Receive(1, 3, 0),))


# --- what is refused -------------------------------------------------------------------------

REFUSED = [
    ([0, 1], [0], 1, "maps of 2 and 1 experts; expected equal lengths (P1)"),
    ([0, 1, 2], [0, 1, 2], 2, "maps of 3 experts on 2 ranks; expected as many on every rank (P1)"),
    ([0], [0], 0, "ranks=0; expected at least 1"),
    ([0, -2], [0, 1], 1, "old[1]=-2; expected a logical expert or -1"),
    ([0, 1], [0, -7], 1, "new[1]=-7; expected a logical expert or -1"),
    ([0, True], [0, 1], 1, "old[1]=True; expected a logical expert or -1"),
]


@pytest.mark.parametrize(("old", "new", "ranks", "message"), REFUSED)
def test_what_is_no_map_is_refused_with_the_value(old, new, ranks, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the whole message is compared
        plan(old, new, ranks)

    assert str(refused.value) == message


def test_strict_refuses_experts_that_nobody_holds():
    with pytest.raises(ValueError, match=r"experts \[7, 9\] are held by no rank; expected"):
        plan([0, 1], [9, 7], ranks=2, strict=True)


@given(served())
def test_strict_changes_nothing_where_somebody_holds_every_expert(maps):
    assert plan(maps.old, maps.new, maps.ranks, strict=True) == maps.plan


def test_positions_outside_their_list_are_refused():
    with pytest.raises(ValueError, match="sender=2; expected a position below 2"):
        receivers_of(2, senders=2, receivers=3)
    with pytest.raises(ValueError, match="receiver=3; expected a position below 3"):
        sender_of(3, senders=2, receivers=3)
    with pytest.raises(ValueError, match="senders=0; expected at least 1"):
        sender_of(0, senders=0, receivers=1)


# --- any maps --------------------------------------------------------------------------------


@given(rearrangements())
def test_every_row_is_named_once(maps):
    for share in maps.plan.shares:
        named = [
            *share.unchanged,
            *(move.row for move in share.moves),
            *(receive.row for receive in share.receives),
            *(duplicate.row for duplicate in share.duplicates),
            *share.stale,
            *share.emptied,
        ]

        assert sorted(named) == list(range(maps.rows))


@given(rearrangements())
def test_p5_the_two_lists_of_a_pair_agree(maps):
    shares = maps.plan.shares
    sent = {
        (a.rank, b.rank): [send.expert for send in a.sends_to(b.rank)]
        for a in shares
        for b in shares
    }
    received = {
        (a.rank, b.rank): [receive.expert for receive in b.receives_from(a.rank)]
        for a in shares
        for b in shares
    }

    assert sent == received
    assert all(experts == sorted(set(experts)) for experts in sent.values())
    assert not any(sent[rank, rank] for rank in range(maps.ranks))


@given(rearrangements())
def test_every_receive_has_one_sender_that_holds_the_expert_in_the_row_it_sends(maps):
    old = maps.by_rank(maps.old)
    sends = Counter(
        (share.rank, send.peer, old[share.rank][send.row])
        for share in maps.plan.shares
        for send in share.sends
    )
    receives = Counter(
        (receive.peer, share.rank, receive.expert)
        for share in maps.plan.shares
        for receive in share.receives
    )

    assert sends == receives
    assert set(sends.values()) <= {1}


@given(rearrangements())
def test_nobody_receives_what_it_holds_or_sends_what_it_lacks(maps):
    for share, held in zip(maps.plan.shares, maps.by_rank(maps.old), strict=True):
        assert not {receive.expert for receive in share.receives} & set(held)
        assert all(held.index(send.expert) == send.row for send in share.sends)


@given(rearrangements(), st.lists(st.integers(1, 5), min_size=8, max_size=8))
def test_renaming_experts_in_order_keeps_the_shape_of_the_plan(maps, gaps):
    name = {EMPTY: EMPTY} | {expert: sum(gaps[: expert + 1]) for expert in range(len(gaps))}
    renamed = plan([name[e] for e in maps.old], [name[e] for e in maps.new], maps.ranks)

    assert renamed == Plan(maps.rows, tuple(_renamed(share, name) for share in maps.plan.shares))


def _renamed(share: Share, name: dict[int, int]) -> Share:
    return Share(
        share.rank,
        share.unchanged,
        share.moves,
        tuple(send._replace(expert=name[send.expert]) for send in share.sends),
        tuple(receive._replace(expert=name[receive.expert]) for receive in share.receives),
        share.duplicates,
        share.stale,
        share.emptied,
    )


# --- ranks that believe in different maps (P5) -----------------------------------------------

OLD = (0, 1, 2, 3)
SWAP_1_AND_2 = (OLD, (0, 2, 1, 3))
SWAP_0_AND_3 = (OLD, (3, 1, 2, 0))
STAY = (OLD, OLD)


def test_one_rank_that_stays_leaves_the_other_alone():
    assert mismatches(plans_of({0: SWAP_1_AND_2, 1: STAY})) == (
        Mismatch(0, 1, sent=(1,), received=()),
        Mismatch(1, 0, sent=(), received=(2,)),
    )


def test_lists_of_one_length_may_name_different_experts():
    assert mismatches(plans_of({0: SWAP_1_AND_2, 1: SWAP_0_AND_3})) == (
        Mismatch(0, 1, sent=(1,), received=(0,)),
        Mismatch(1, 0, sent=(3,), received=(2,)),
    )


def test_a_mismatch_is_printed_with_both_lists():
    assert str(Mismatch(0, 1, sent=(1, 4), received=(0,))) == (
        "rank 0 sends experts [1, 4] to rank 1, which expects [0]"
    )


@given(rearrangements())
def test_ranks_that_believe_in_the_same_maps_have_no_mismatches(maps):
    plans = plans_of(dict.fromkeys(range(maps.ranks), (maps.old, maps.new)))

    assert plans == (maps.plan,) * maps.ranks
    assert joined(plans) == maps.plan
    assert mismatches(plans) == ()


@pytest.mark.parametrize(
    ("believed", "message"),
    [
        ({0: STAY, 2: STAY}, r"views of ranks \[0, 2\]; expected 0\.\.1, each once"),
        ({0: STAY, 1: ((0, 1), (0, 1))}, r"lengths by rank \{0: 4, 1: 2\}; expected maps of one"),
        ({0: STAY, 1: (OLD, (0, 1))}, "maps of 4 and 2 experts; expected equal lengths"),
    ],
)
def test_views_that_make_no_plans_are_refused(believed, message):
    with pytest.raises(ValueError, match=message):
        plans_of(believed)


@pytest.mark.parametrize("plans", [[], [plan(*STAY, ranks=2)], [plan(*STAY, ranks=1)] * 2])
def test_plans_of_other_numbers_of_ranks_are_not_joined(plans):
    with pytest.raises(ValueError, match="expected one plan per rank"):
        joined(plans)


# --- what is drawn ---------------------------------------------------------------------------

unshrunk = settings(max_examples=500, phases=[Phase.generate])


@pytest.mark.parametrize("part", [f.name for f in fields(Share) if f.name != "rank"])
def test_drawn_maps_reach_every_part_of_a_share(part):
    found = find(
        rearrangements(),
        lambda maps: any(getattr(share, part) for share in maps.plan.shares),
        settings=unshrunk,
    )

    assert found.rows * found.ranks == len(found.new)


@pytest.mark.parametrize("pairs_up", [False, True])
def test_drawn_views_differ_with_and_without_a_mismatch(pairs_up):
    found = find(
        views(),
        lambda believed: (
            len(set(believed.values())) > 1 and (mismatches(plans_of(believed)) == ()) is pairs_up
        ),
        settings=unshrunk,
    )

    assert len(found) > 1
