"""The exchange on real processes, against the model's small interpreter of plans."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_model.communicators.commit import committed
from eplb_model.communicators.plan import plan
from eplb_model.rearrangements import Rearrangement, rearrangements
from eplb_real.exchange import WrongRow, check_weights, rearrange, transfer_layer
from tests.real import on_rank
from tests.real.nixl_fake import can_read_another_process

MEMBERS = {
    2: ([0, 1], [2, 3], [1, 0], [0, 2], [3, 1]),
    3: ([1, 2, 3], [3, 0, 2]),
    4: ([0, 1, 2, 3], [2, 0, 3, 1]),
}
OVER_NIXL = pytest.param(
    "nixl",
    marks=pytest.mark.skipif(
        not can_read_another_process(), reason="this kernel forbids process_vm_readv"
    ),
)
NOBODY: Any = None  # a communicator that must not be used
DTYPES = (
    torch.float32,
    torch.bfloat16,
    torch.int8,
    torch.float16,
    torch.int64,
    torch.float8_e4m3fn,
    torch.bool,
)


@pytest.mark.parametrize("backend", ["torch_gloo", "torch_gloo staged", "torch_nccl"])
@settings(max_examples=60)
@given(data=st.data())
def test_rows_arrive_where_the_model_says_on_any_group_and_with_any_dtypes(ranks, backend, data):
    drawn = data.draw(rearrangements(least_ranks=2))
    members = data.draw(st.sampled_from(MEMBERS[drawn.ranks]))
    dtypes = data.draw(st.lists(st.sampled_from(DTYPES[:5]), min_size=1, max_size=4))
    batched = data.draw(st.booleans())
    tags = numbered(drawn)

    seen = ranks.run(
        on_rank.exchange, members, backend, drawn.old, drawn.new, tags, dtypes, batched
    )

    assert [seen[member] for member in members] == expected(drawn, tags, dtypes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_any_dtype_arrives(ranks, dtype):
    drawn = Rearrangement((0, 1), (1, 0), 2)

    seen = ranks.run(
        on_rank.exchange, [2, 3], "torch_gloo", drawn.old, drawn.new, [[0], [1]], [dtype]
    )

    assert seen == [None, None, [[1]], [[0]]]


@pytest.mark.parametrize("backend", ["torch_gloo", "torch_nccl", OVER_NIXL])
@pytest.mark.parametrize("members", [[0, 1], [3, 2]])
def test_all_layers_with_redundant_experts_are_exchanged_one_after_the_other(
    ranks, backend, members
):
    old = [[0, 1, 2, 0], [2, 1, 0, 2], [0, 1, 2, 1]]
    new = [[0, 2, 2, 1], [1, 1, 0, 0], [0, 1, 2, 1]]

    seen = ranks.run(on_rank.exchange_layers, members, backend, old, new, False)

    assert [seen[member] for member in members] == [
        [row[:2] for row in new],
        [row[2:] for row in new],
    ]


def test_an_expert_that_nobody_holds_is_committed_as_the_buffer_has_it(ranks):
    seen = ranks.run(on_rank.exchange_layers, [0, 1], "torch_gloo", [[0, 1]], [[0, 7]], False)

    assert seen == [[[0]], [[on_rank.STALE]], None, None]


def test_strict_refuses_an_expert_that_nobody_holds_before_anything_moves(ranks):
    seen = ranks.run(on_rank.exchange_layers, [0, 1], "torch_gloo", [[0, 1]], [[1, 7]], True)

    kind, text = seen[0]
    assert seen == [(kind, text), (kind, text), None, None]
    assert kind == "ValueError"
    assert text.startswith("new map: experts [7] are held by no rank")


def test_maps_of_another_number_of_layers_are_refused():
    with pytest.raises(ValueError, match="maps of 1 and 2 layers, weights of 1"):
        rearrange([[0]], [[0], [0]], [[]], [], NOBODY, rank=0, ranks=1)


def test_weights_of_another_number_of_rows_are_refused():
    with pytest.raises(ValueError, match=r"weights of \[\(3,\)\], a buffer of \[\(2,\)\]"):
        transfer_layer(
            plan([0, 1], [1, 0], 1), 0, [0, 1], [torch.zeros(3)], [torch.zeros(2)], NOBODY
        )


def test_checking_weights_names_the_rows_that_are_wrong():
    weights = [torch.tensor([[1.0], [2.0], [float("nan")]]), torch.tensor([1, 9, 3])]
    right = {(1, 0): [1.0], (2, 0): [2.0], (3, 0): [float("nan")], (1, 1): 1, (2, 1): 2, (3, 1): 3}

    def content(expert, place):
        return torch.tensor(right[expert, place])

    assert check_weights([1, 2, 3], weights, content) == (WrongRow(1, 2, 1),)
    assert check_weights([-1, -1, -1], weights, content) == ()


def numbered(drawn):
    """A tag for each row of each rank, all different."""
    return [[rank * drawn.rows + row for row in range(drawn.rows)] for rank in range(drawn.ranks)]


def expected(drawn, tags, dtypes):
    stale = [[on_rank.STALE + row for row in range(drawn.rows)]] * drawn.ranks
    after = committed(tags, drawn.plan, stale)
    return [
        [
            [None] * drawn.rows if place % 4 == 3 else list(rows)  # rows of no elements have no tag
            for place in range(len(dtypes))
        ]
        for rows in after
    ]
