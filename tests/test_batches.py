"""The batches of a plan (P8)."""

from hypothesis import given

from eplb_model.communicators.batches import Flow, batches, flows
from eplb_model.communicators.plan import plan
from eplb_model.rearrangements import rearrangements


def test_p8_flows_come_by_first_expert_then_sender():
    planned = plan([0, 1, 2, 3, 4, 5], [2, 4, 0, 5, 1, 3], ranks=3)

    assert flows(planned) == (
        Flow(0, 1, (0,)),
        Flow(0, 2, (1,)),
        Flow(1, 0, (2,)),
        Flow(1, 2, (3,)),
        Flow(2, 0, (4,)),
        Flow(2, 1, (5,)),
    )
    assert batches(planned) == tuple((flow,) for flow in flows(planned))


def test_p8_a_later_flow_joins_the_first_batch_where_both_its_ranks_are_idle():
    # 0 -> 1 and 0 -> 2 of expert 0 need two batches; 3 -> 2 fits into the first, 3 -> 1 the second.
    planned = plan([0, 5, 1, 6, 2, 7, 3, 4], [0, 5, 0, 4, 0, 3, 3, 4], ranks=4)

    assert batches(planned) == (
        (Flow(0, 1, (0,)), Flow(3, 2, (3,))),
        (Flow(0, 2, (0,)), Flow(3, 1, (4,))),
    )


def test_p8_of_several_batches_with_room_the_first_is_taken():
    planned = plan([0, 1, 2, 3, 4], [0, 0, 0, 3, 3], ranks=5)

    assert batches(planned) == ((Flow(0, 1, (0,)), Flow(3, 4, (3,))), (Flow(0, 2, (0,)),))


def test_p8_both_directions_of_a_pair_need_two_batches():
    planned = plan([0, 1, 2, 3], [2, 3, 0, 1], ranks=2)

    assert batches(planned) == ((Flow(0, 1, (0, 1)),), (Flow(1, 0, (2, 3)),))


def test_p8_a_plan_without_transfers_has_no_batch():
    assert batches(plan([0, 1], [0, 1], ranks=2)) == ()


@given(rearrangements())
def test_p8_batches_hold_every_flow_once_and_no_rank_twice(maps):
    planned = maps.plan
    made = batches(planned)

    assert sorted(flow for batch in made for flow in batch) == sorted(flows(planned))
    for batch in made:
        ranks = [rank for flow in batch for rank in (flow.sender, flow.receiver)]
        assert len(ranks) == len(set(ranks))


@given(rearrangements())
def test_p8_flows_carry_what_the_shares_send(maps):
    carried = {(flow.sender, flow.receiver): flow.experts for flow in flows(maps.plan)}
    sent = {
        (share.rank, peer): tuple(send.expert for send in share.sends_to(peer))
        for share in maps.plan.shares
        for peer in range(maps.ranks)
        if share.sends_to(peer)
    }
    firsts = [(flow.experts[0], flow.sender) for flow in flows(maps.plan)]

    assert carried == sent
    assert firsts == sorted(firsts)


@given(rearrangements())
def test_p8_no_flow_would_fit_into_an_earlier_batch(maps):
    order = flows(maps.plan)
    for number, batch in enumerate(batches(maps.plan)):
        for flow in batch:
            ends = {flow.sender, flow.receiver}
            for earlier in batches(maps.plan)[:number]:
                before = (f for f in earlier if order.index(f) < order.index(flow))
                assert any(ends & {f.sender, f.receiver} for f in before)
