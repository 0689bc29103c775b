"""What becomes of the weights (P6, P7), also where ranks believe in different maps (P5)."""

import pytest
from hypothesis import given

from eplb_model.communicators.commit import committed
from eplb_model.communicators.plan import EMPTY, joined, mismatches, plan, plans_of
from eplb_model.rearrangements import Rearrangement, rearrangements, served, views

OLD = (0, 1, 2, 3)


def expected_rows(maps: Rearrangement) -> list[tuple[int | None, ...]]:
    """The new map, but None where nobody holds the expert and the old one where it says empty."""
    held = set(maps.old)
    rows = [
        was if becomes == EMPTY else (becomes if becomes in held else None)
        for was, becomes in zip(maps.old, maps.new, strict=True)
    ]
    # An unchanged row of an expert is held, so None never replaces weights that are there.
    return [tuple(rows[r * maps.rows : (r + 1) * maps.rows]) for r in range(maps.ranks)]


@given(rearrangements())
def test_every_rank_ends_with_the_new_map_wherever_somebody_holds_the_expert(maps):
    assert list(committed(maps.by_rank(maps.old), maps.plan)) == expected_rows(maps)


@given(served())
def test_every_rank_ends_with_the_new_map_if_every_expert_is_held(maps):
    after = committed(maps.by_rank(maps.old), maps.plan)

    for became, new, old in zip(after, maps.by_rank(maps.new), maps.by_rank(maps.old), strict=True):
        kept = zip(new, old, strict=True)
        assert became == tuple(was if wanted == EMPTY else wanted for wanted, was in kept)


def test_p6_a_stale_row_takes_what_the_buffer_held_and_so_do_its_duplicates():
    planned = plan([0, 1, 2, 3], [9, 9, 2, 0], ranks=2)
    after = committed([["a", "b"], ["c", "d"]], planned, [["old 0", "old 1"], ["old 2", "old 3"]])

    assert after == (("old 0", "old 0"), ("c", "a"))


def test_local_moves_in_a_circle_read_the_old_weights():
    assert committed([["a", "b", "c"]], plan([0, 1, 2], [1, 2, 0], ranks=1)) == (("b", "c", "a"),)


def test_weights_and_buffers_of_another_shape_are_refused():
    planned = plan([0, 1], [1, 0], ranks=2)

    with pytest.raises(ValueError, match=r"weights of \[2\] rows by rank; expected \[1, 1\]"):
        committed([["a", "b"]], planned)
    with pytest.raises(ValueError, match=r"buffers of \[\] rows by rank; expected \[1, 1\]"):
        committed([["a"], ["b"]], planned, [])


def test_lists_of_different_lengths_do_not_end():
    divergent = joined(plans_of({0: (OLD, (0, 2, 1, 3)), 1: (OLD, OLD)}))

    with pytest.raises(ValueError, match="rank 1 sends 0 rows to rank 0, which expects 1"):
        committed([["a", "b"], ["c", "d"]], divergent)


def test_lists_of_one_length_that_differ_put_the_wrong_weights_into_rows():
    # Rank 0 swaps experts 1 and 2, rank 1 swaps 0 and 3.
    divergent = joined(plans_of({0: (OLD, (0, 2, 1, 3)), 1: (OLD, (3, 1, 2, 0))}))

    assert committed([["a", "b"], ["c", "d"]], divergent) == (("a", "d"), ("c", "b"))


@given(views())
def test_without_mismatches_every_rank_gets_the_map_that_it_believes_in(believed):
    plans = plans_of(believed)
    ranks = len(plans)
    own = [Rearrangement(old, new, ranks) for old, new in believed.values()]
    if mismatches(plans):
        assert len(set(believed.values())) > 1
        return

    after = committed(own[0].by_rank(own[0].old), joined(plans))
    assert list(after) == [expected_rows(maps)[rank] for rank, maps in enumerate(own)]
