"""Both NIXL communicators over a wrapper that reads another process's memory without RDMA."""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.communicators.plan import plan
from eplb_model.rearrangements import served
from eplb_real.communicators.nixl import nixl_available, open_nixl
from tests.real import on_nixl, on_rank
from tests.real.nixl_fake import can_read_another_process
from tests.real.test_exchange import MEMBERS, expected, numbered

pytestmark = pytest.mark.skipif(
    not can_read_another_process(), reason="this kernel forbids process_vm_readv between processes"
)


@settings(max_examples=20)
@given(data=st.data())
def test_staged_rows_arrive_where_the_model_says(ranks, data):
    drawn = data.draw(served(least_ranks=2))
    members = data.draw(st.sampled_from(MEMBERS[drawn.ranks]))
    dtypes = [torch.float32, torch.bfloat16, torch.int8]
    tags = numbered(drawn)

    seen = ranks.run(on_rank.exchange, members, "nixl staged", drawn.old, drawn.new, tags, dtypes)

    assert [seen[member] for member in members] == expected(drawn, tags, dtypes)


@settings(max_examples=20)
@given(data=st.data())
def test_rows_read_in_place_are_those_of_their_experts(ranks, data):
    drawn = data.draw(served(least_ranks=2))
    members = data.draw(st.sampled_from(MEMBERS[drawn.ranks]))
    batched = data.draw(st.booleans())
    dtypes = [torch.float32, torch.int64]
    tags = drawn.by_rank(drawn.old)  # replicas alike, as this backend assumes

    seen = ranks.run(on_rank.exchange, members, "nixl", drawn.old, drawn.new, tags, dtypes, batched)

    assert [seen[member] for member in members] == expected(drawn, tags, dtypes)


def test_of_two_rows_of_an_expert_the_last_is_read_in_place_and_the_first_is_sent(ranks):
    old, new, tags = [5, 5, 1, 2], [5, 5, 5, 2], [[50, 51], [1, 2]]

    read = ranks.run(on_rank.exchange, [0, 1], "nixl", old, new, tags, [torch.float32])
    sent = ranks.run(on_rank.exchange, [0, 1], "nixl staged", old, new, tags, [torch.float32])

    assert (read[1], sent[1]) == ([[51, 2]], [[50, 2]])


def test_a_staged_row_for_several_peers_is_packed_once(ranks):
    old, new = [1, 2, 3, 4], [1, 1, 1, 1]
    assert len(plan(old, new, 4).shares[0].sends) == 3

    seen = ranks.run(
        on_rank.exchange, [0, 1, 2, 3], "nixl staged", old, new, [[1], [2], [3], [4]], [torch.int8]
    )

    assert seen == [[[1]]] * 4


def test_staged_lists_that_differ_are_an_error_of_all_ranks(ranks):
    seen = ranks.run(on_nixl.mispaired)

    assert seen[2:] == [None, None]
    kind, text = seen[0]
    assert seen[:2] == [(kind, text)] * 2
    assert kind == "ExchangeError"
    assert text.startswith("nixl: rank 1: receive of float32[3] from rank 0 of the group: ")


def test_more_staged_rows_than_a_layer_has_are_an_error_of_all_ranks_at_once(ranks):
    seen = ranks.run(on_nixl.overflow)

    assert (
        seen[:2]
        == [
            (
                "ExchangeError",
                (
                    "nixl: rank 0: 24 bytes do not fit into the staging buffer of 12: "
                    "send of float32[3] to rank 1 of the group"
                ),
            )
        ]
        * 2
    )


@pytest.mark.parametrize("backend", ["nixl", "nixl staged"])
def test_a_read_that_fails_is_an_error_of_all_ranks_and_leaves_a_communicator_that_serves(
    ranks, backend
):
    seen = ranks.run(on_nixl.failing_read, backend)

    error = ("ExchangeError", "nixl: rank 1: READ from rank 0 ended as ERR")
    assert seen[:2] == [(error, None, 1, []), (error, None, 0, [])]


@pytest.mark.parametrize("backend", ["nixl", "nixl staged"])
def test_a_read_that_does_not_end_is_given_up_at_the_time_limit(ranks, backend):
    seen = ranks.run(on_nixl.endless_read, backend)

    error = ("ExchangeError", "nixl: rank 1: READ from rank 0 ended as PROC")
    assert seen[:2] == [(error, []), (error, [])]


def test_a_read_that_is_refused_leaves_nothing_behind(ranks):
    seen = ranks.run(on_nixl.refused_read)

    assert seen[:2] == [(("ExchangeError", "READ from rank 1 is ERR at once"), []), (None, [])]


def test_a_read_in_place_needs_its_layer_and_its_expert(ranks):
    seen = ranks.run(on_nixl.without_context)

    texts = [text.rsplit("; ", 1)[-1] for _, text in seen[0]]
    assert texts == [
        "expected set_transfer_context before",
        "expected expert_id",
        "expected a holder",
        "expected execute() first",
        "expected one of 1 layers",
    ]


def test_ranks_whose_rows_differ_in_size_cannot_read_in_place(ranks):
    seen = ranks.run(on_nixl.other_rows)

    assert (
        seen[:2]
        == [
            (
                "RuntimeError",
                (
                    "rank 1 has rows of [[16]] bytes by layer, rank 0 of [[12]]; "
                    "expected the same on all ranks"
                ),
            )
        ]
        * 2
    )


@pytest.mark.skipif(nixl_available(), reason="for a machine without NIXL")
def test_without_nixl_opening_it_says_what_to_install():
    with pytest.raises(RuntimeError, match="pip install nixl"):
        open_nixl()
