"""`torch_gloo` and `torch_nccl` between real processes: failures, reuse, ranks of a group."""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from tests.real import on_rank

BACKENDS = ["torch_gloo", "torch_nccl"]
ROW = torch.ones(3)


def among(seen, members):
    """The answers of a group's ranks, in its order; the other ranks had none."""
    assert all(answer is None for rank, answer in enumerate(seen) if rank not in members)
    return [seen[member] for member in members]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("members", [[0, 1], [2, 3], [1, 0], [3, 1], [2, 3, 0, 1]])
def test_peers_are_ranks_of_the_group_whatever_its_global_ranks(ranks, backend, members):
    seen = ranks.run(on_rank.swap, members, backend, [])

    assert among(seen, members) == [[None, rank ^ 1] for rank in range(len(members))]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ranks_without_transfers_take_no_part(ranks, backend):
    seen = ranks.run(on_rank.swap, [0, 1], backend, [("execute", ())])

    assert among(seen, [0, 1]) == [[None, None, 1], [None, None, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_refused_transfer_leaves_a_communicator_that_serves_the_next_batch(ranks, backend):
    steps = [("add_recv", (ROW, 0)), ("add_send", (ROW, 1)), ("add_send", (ROW, 9))]

    seen = among(ranks.run(on_rank.swap, [2, 3], backend, steps), [2, 3])

    own = [
        [error and error[1].split(";")[0] for error in answer[:3]] + answer[3:] for answer in seen
    ]
    unknown = "peer=9"
    assert own == [
        ["peer=0 is this rank itself", None, unknown, None, 1],
        [None, "peer=1 is this rank itself", unknown, None, 0],
    ]


# --- the bug of 0.20 (vllm#55804) ------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_legacy_peers_are_right_where_global_ranks_are_those_of_the_group(ranks, backend):
    seen = ranks.run(on_rank.legacy_swap, [0, 1], backend, [])

    assert among(seen, [0, 1]) == [[None, 1], [None, 0]]


@pytest.mark.parametrize(("backend", "at"), [("torch_nccl", "add"), ("torch_gloo", "execute")])
def test_legacy_peers_outside_the_group_are_refused_when_added_or_when_executed(ranks, backend, at):
    seen = ranks.run(on_rank.legacy_errors, [2, 3], backend)

    errors = [{"add": add, "execute": execute}[at] for add, execute in among(seen, [2, 3])]
    assert [kind for kind, _ in errors] == ["ValueError", "ValueError"]
    if at == "execute":
        assert [add for add, _ in among(seen, [2, 3])] == [None, None]


@pytest.mark.parametrize("backend", BACKENDS)
def test_legacy_peers_inside_the_group_are_the_wrong_ones_without_a_word(ranks, backend):
    members = [2, 3, 0, 1]

    seen = ranks.run(on_rank.legacy_swap, members, backend, [])

    assert among(seen, members) == [[None, 3], [None, 2], [None, 1], [None, 0]]


# --- peers that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_peer_that_dies_is_an_error_that_names_the_transfer(own_ranks, backend):
    own_ranks.run(on_rank.swap, [0, 1], backend, [])
    own_ranks.kill(1)

    seen = own_ranks.on(0, on_rank.swap, [0, 1], backend, [])

    kind, text = seen[1][0]
    assert kind == "ExchangeError"
    assert "of float32[3] " in text
    assert "rank 1 of the group" in text


@pytest.mark.parametrize(
    ("method", "transfer"), [("add_send", "send of {} to"), ("add_recv", "receive of {} from")]
)
def test_a_transfer_without_its_partner_is_an_error_after_the_time_limit_of_the_group(
    ranks, method, transfer
):
    seen = ranks.run(on_rank.lonely, method)

    kind, text = seen[0]
    named = transfer.format("float32[3] of expert 4")
    assert kind == "ExchangeError"
    assert text.startswith(f"torch_gloo: {named} rank 1 of the group failed: ")
    assert text.endswith("(1 of 1 transfers; rows on a device are untouched)")


# --- staging ---------------------------------------------------------------------------------


def test_copies_to_the_host_are_waited_for_before_anything_is_sent(ranks):
    seen = ranks.run(on_rank.staged_order, False)

    done = ["synchronize", "send", "receive"]
    assert seen == [(done, None, 1), (done, None, 0), None, None]


def test_where_one_transfer_fails_no_staged_row_reaches_its_place(ranks):
    seen = ranks.run(on_rank.staged_order, True)

    assert seen[0][1:] == ("ExchangeError", 7)
    assert seen[1][1:] == (None, 0)
