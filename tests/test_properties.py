"""Every property is seen to fail in a vector and to hold in its twin; every claim has its case."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from eplb_model.check import check
from eplb_model.outcome import Report
from eplb_model.properties import PROPERTIES
from eplb_model.vector import catalogue, load


class Row(NamedTuple):
    """What a vector breaks, with which verdict, and the twin that keeps it."""

    sentence: str
    vector: str
    verdict: str
    twin: str


# What every scenario has to keep.  `PROPERTIES` has the same sentences.
BUILT_IN = (
    Row(
        "no thread ends by an error",
        "cpu_gpu_event_double_record",
        "misuse",
        "cpu_gpu_event_handshake",
    ),
    Row(
        "no two accesses to one buffer, one of them a write, are in progress at once",
        "buffer_reused_before_copy_out",
        "race",
        "buffer_reuse_waits_consumed_event",
    ),
    Row(
        "every request has met its counterpart",
        "request_never_received",
        "violation",
        "every_request_received",
    ),
    Row(
        "somebody can move as long as somebody has work left",
        "coop_vs_nccl_opposite_order",
        "deadlock",
        "coop_vs_nccl_capped",
    ),
    Row(
        "whoever has work left does not wait for ever while others go on",
        "worker_dies_silently",
        "stall",
        "worker_death_reported",
    ),
)

# What a scenario claims of its variables: the sentence stands in both vectors.
CLAIMED = (
    Row("every published result is consumed", "result_never_consumed", "stall", "handshake_cycle"),
    Row("every cycle ends", "cycle_never_ends", "stall", "handshake_cycle"),
    Row("the worker returns to its wait", "worker_never_returns", "stall", "handshake_cycle"),
    Row("a result is published", "nothing_is_ever_asked", "violation", "handshake_cycle"),
    Row("the drain terminates", "drain_waits_for_a_dead_worker", "stall", "drain_terminates"),
    Row("every layer is moved", "drain_forgets_a_layer", "violation", "drain_terminates"),
    Row(
        "all ranks use weights of one version at one step",
        "versions_differ_at_one_step",
        "violation",
        "versions_agree_at_every_step",
    ),
    Row(
        "the flag that gates a collective is equal on all ranks at one step",
        "flags_drift_apart",
        "violation",
        "flags_fall_together",
    ),
)

# Sentences about the exchange that the law checks under the built-in ones, as the finding says it.
TOLD = (
    Row("both use buffer", "buffer_reused_before_copy_out", "race", BUILT_IN[1].twin),
    Row("both use weights", "weights_written_under_send", "race", "weights_written_after_send"),
    Row(
        "remote_read on 1.nixl both use weights",  # I2, by a peer that takes no part
        "weights_written_under_read",
        "race",
        "weights_written_after_fence",
    ),
    Row(
        "both use block 0 (activation, grad)",
        "freed_block_reused_in_flight",
        "race",
        "freed_block_held_until_wait",
    ),
    Row(
        "an NCCL group is open at a boundary",  # I8
        "pynccl_group_left_open",
        "violation",
        "group_closed_on_error",
    ),
    Row(
        "all_reduce max, all_reduce sum",  # of one group, paired
        "gated_gather_mispairs_payload",
        "violation",
        "gather_lifted_out_of_gate",
    ),
    Row("pairs 1 of rank 0 with 2 of rank 1", "votes_out_of_step", "violation", "votes_in_step"),
    Row("is never met", "request_never_received", "violation", "every_request_received"),
    Row("nobody can move", "p2p_lists_differ", "deadlock", "p2p_lists_agree"),
    Row(
        "waits on event done, which was never recorded",
        "unrecorded_wait_forbidden",
        "violation",
        "unrecorded_wait_never_happens",
    ),
)


ROWS = (*BUILT_IN, *CLAIMED, *TOLD)


def answered(name: str) -> Report:
    return check(load(name).scenario())


def outcomes(report: Report) -> dict[str, str]:
    return {each.sentence: each.outcome for each in report.claims}


def test_every_property_of_the_model_has_a_row_with_a_verdict_that_it_gives():
    assert [row.sentence for row in BUILT_IN] == list(PROPERTIES)
    assert all(row.verdict in PROPERTIES[row.sentence].verdicts for row in BUILT_IN)


@pytest.mark.parametrize("row", [*BUILT_IN, *TOLD], ids=lambda row: row.vector)
def test_a_property_is_broken_in_its_vector_and_kept_in_the_twin(row):
    report = answered(row.vector)

    assert report.verdict == row.verdict
    assert answered(row.twin).verdict == "ok"


@pytest.mark.parametrize("row", TOLD, ids=lambda row: row.vector)
def test_a_finding_says_what_is_broken(row):
    finding = answered(row.vector).finding

    assert finding is not None
    assert row.sentence in finding.message


@pytest.mark.parametrize("row", CLAIMED, ids=lambda row: row.sentence.replace(" ", "_"))
def test_a_claim_fails_in_its_vector_and_holds_in_the_twin(row):
    report, twin = answered(row.vector), answered(row.twin)

    assert report.verdict == row.verdict
    assert outcomes(report)[row.sentence] in ("fails", "not reached")
    assert twin.verdict == "ok"
    assert outcomes(twin)[row.sentence] in ("holds", "reached")


@pytest.mark.parametrize("row", CLAIMED, ids=lambda row: row.sentence.replace(" ", "_"))
def test_the_twin_of_a_claim_reaches_the_interesting_cases(row):
    kinds = {each.kind: each.outcome for each in answered(row.twin).claims}

    assert kinds["sometimes"] == "reached"


def test_every_vector_that_claims_something_says_what_must_be_reached():
    silent = [
        vector.name
        for vector in catalogue()
        if (claims := vector.scenario().claims)
        and "sometimes" not in {claim.kind for claim in claims}
    ]

    assert silent == []
