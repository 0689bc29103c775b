"""The hand-written specifications and the vectors of the catalogue: each says of the other's cases
that they hold, or go wrong in the way that belongs to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from eplb_model.check import check
from eplb_model.vector import load
from tests.specs.by_hand import models

ROWS = {
    (each.row["file"], tuple(sorted(each.row["defines"].items())), each.row["property"]): each.row
    for each in models()
}


class Pair(NamedTuple):
    """A case of a vector with its verdict, and the row that asks the same of the specification."""

    vector: str
    settings: Mapping[str, Any]
    verdict: str
    defines: Mapping[str, Any]
    claim: str

    @property
    def name(self) -> str:
        return f"{self.vector}-{self.claim}"


def event(vector: str, verdict: str, misuse: str, claim: str, **settings: object) -> Pair:
    defines = {"MISUSE": misuse} if misuse else {}
    return Pair(vector, settings, verdict, defines, claim)


EVENT = (
    event("cpu_gpu_event_handshake", "ok", "", "safety"),
    event("cpu_gpu_event_wait_first", "ok", "", "returns"),
    event("cpu_gpu_event_same_thread", "ok", "SAME_THREAD", "g2"),
    event("cpu_gpu_event_double_record", "misuse", "DOUBLE_RECORD", "accepted"),
    event("cpu_gpu_event_double_record", "ok", "DOUBLE_RECORD", "g4", caught=True),
    event("cpu_gpu_event_record_before_clear", "misuse", "EARLY_ANSWER", "accepted"),
    event("cpu_gpu_event_second_wait", "deadlock", "EXTRA_WAIT", "safety"),
    event("cpu_gpu_event_two_waiters", "violation", "TWO_WAITERS", "g3"),
    event("cpu_gpu_event_lost_wake_up", "deadlock", "TWO_WAITERS", "g4"),
    event("cpu_gpu_event_two_producers", "race", "TWO_PRODUCERS", "g2"),
    event("cpu_gpu_event_other_stream", "race", "RECORD_ELSEWHERE", "g2"),
    event(
        "cpu_gpu_event_other_stream", "race", "WAIT_ELSEWHERE", "g2", record="side", wait="default"
    ),
    event("cpu_gpu_event_wait_raises", "misuse", "A3_RAISES", "accepted"),
    event("cpu_gpu_event_wait_retried", "stall", "A3_RETRIED", "consumed"),
    event("cpu_gpu_event_record_raises", "deadlock", "B3_RAISES", "safety"),
    event("cpu_gpu_event_record_raises", "ok", "B3_RETRIED", "safety", retried=True),
    event("cpu_gpu_event_consumer_killed", "misuse", "CONSUMER_DIES", "accepted"),
    event("cpu_gpu_event_dead_producer", "deadlock", "PRODUCER_DIES", "safety"),
    event("event_wait_before_record", "race", "BARE_EVENT", "g1"),
)


def worker(verdict: str, claim: str, defines: Mapping[str, Any], **settings: object) -> Pair:
    """One rank suffices for what goes on between the two threads of a rank."""
    small = {"ranks": 1, "moved": "local", "layers": 2, **settings}
    return Pair("async_eplb_small", small, verdict, {"VERSION": 20, **defines}, claim)


ASYNC = (
    worker("ok", "cycles_end", {}),
    worker("ok", "kept", {"COMMIT_BLOCKS": 0}, commit_blocks=False),
    worker("ok", "kept", {"WAITS_CONSUMED": 0}, waits_consumed=False),
    worker(
        "race",
        "kept",
        {"COMMIT_BLOCKS": 0, "WAITS_CONSUMED": 0},
        commit_blocks=False,
        waits_consumed=False,
    ),
    worker("race", "whole", {"SYNCHRONISES": 0}, synchronises=False),
    worker("stall", "cycles_end", {"DIES": 1}, dies=0),
)


def asked(pair: Pair) -> str:
    file = "async_eplb.pml" if pair.vector.startswith("async") else "cpu_gpu_event.pml"
    expected: str = ROWS[file, tuple(sorted(pair.defines.items())), pair.claim]["expected"]
    return expected


@pytest.mark.parametrize("pair", EVENT, ids=lambda pair: pair.name)
def test_every_misuse_of_the_event_goes_wrong_in_both(pair):
    report = check(load(pair.vector).scenario(pair.settings))

    assert report.verdict == pair.verdict
    assert asked(pair) == ("holds" if pair.verdict == "ok" else "violated")


@pytest.mark.parametrize("pair", ASYNC, ids=lambda pair: f"{pair.name}-{pair.verdict}")
def test_every_what_if_of_the_handshake_has_one_answer(pair):
    report = check(load(pair.vector).scenario(pair.settings))

    assert report.verdict == pair.verdict
    assert asked(pair) == ("holds" if pair.verdict == "ok" else "violated")
