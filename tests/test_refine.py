"""Refinement: every run of the model is one of its behaviours, and a changed one is not."""

from __future__ import annotations

from random import Random

import pytest

from eplb_model.check import Search, check
from eplb_model.explore.walk import uniform, walk
from eplb_model.observation import ObservationError, observation
from eplb_model.refine import Ending, refine
from eplb_model.trace import schedule_text
from eplb_model.vector import catalogue, load
from tests.observer import lines_of

SMALL = [
    file.name for file in catalogue() if file.name not in ("async_eplb", "deepep_ll_async_eplb")
]


def _walk(scenario, seed):
    return walk(scenario.world, uniform(Random(seed)), 400)


def _ending(run) -> Ending:
    if not run.finished:
        return "cut"
    return "hung" if run.last.unfinished() else "completed"


@pytest.mark.parametrize("name", SMALL)
def test_a_run_of_the_model_refines_the_model(name):
    scenario = load(name).scenario()
    for seed in range(3):
        run = _walk(scenario, seed)
        seen = observation(scenario.world, lines_of(scenario.world, run.schedule))
        ending = _ending(run) if run.broken is None else "cut"  # the programs would go on

        found = refine(scenario, seen, ending)
        assert found.holds is True, (seed, found.message)


@pytest.mark.parametrize("name", ["coop_vs_nccl_opposite_order", "p2p_vs_collective_two_threads"])
def test_a_hang_refines_and_is_granted_word_by_word(name):
    scenario = load(name).scenario()
    finding = check(scenario, Search()).finding
    assert finding is not None
    lines = lines_of(scenario.world, finding.schedule)
    seen = observation(scenario.world, lines)

    assert refine(scenario, seen, "hung", schedule_text(finding.schedule)).holds is True
    refused = refine(scenario, seen, "completed")
    assert refused.holds is False


def test_a_hang_where_the_model_goes_on_is_refused_with_the_call():
    scenario = load("cpu_gpu_event_handshake").scenario()
    run = _walk(scenario, 0)
    lines = [line for line in lines_of(scenario.world, run.schedule) if line["event"] != "final"]
    last = max(i for i, line in enumerate(lines) if line["event"] == "end")
    cut = [line for i, line in enumerate(lines) if i != last and line["event"] != "exit"]
    actor, op = lines[last]["actor"], lines[last]["op"]
    found = refine(scenario, observation(scenario.world, cut), "hung")

    assert found.holds is False
    assert f"{actor}: {op}" in found.message


def _tampered(lines, what):
    """A run that nobody could see: one thing changed."""
    lines = [dict(line) for line in lines]
    ends = [i for i, line in enumerate(lines) if line["event"] == "end" and "value" in line]
    items = [i for i, line in enumerate(lines) if line["event"] == "item"]
    if what == "a value":
        lines[ends[0]]["value"] = 77
    elif what == "a final value":
        final = next(line for line in lines if line["event"] == "final" and line["variables"])
        name = next(iter(final["variables"]))
        final["variables"] = {**final["variables"], name: 77}
    elif what == "an item twice":
        lines.insert(items[0], lines[items[0]])
    else:
        del lines[items[0]]
    return lines


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("p2p_lists_agree", "a final value", "is 77, in the model"),
        ("gather_lifted_out_of_gate", "a value", "gave 77, not"),
        ("cpu_gpu_event_handshake", "an item twice", "0.side: produce ended, the model has record"),
        (
            "cpu_gpu_event_handshake",
            "an item left out",
            "0.side: record ended, the model has produce",
        ),
    ],
)
def test_a_tampered_observation_is_refused_with_the_step(name, what, message):
    scenario = load(name).scenario()
    run = _walk(scenario, 1)
    assert run.finished
    lines = _tampered(lines_of(scenario.world, run.schedule), what)
    found = refine(scenario, observation(scenario.world, lines), _ending(run))

    assert found.holds is False
    assert message in found.message


def test_a_wait_that_returned_before_its_record_is_refused():
    scenario = load("cpu_gpu_event_handshake").scenario()
    run = _walk(scenario, 2)
    lines = lines_of(scenario.world, run.schedule)
    record = next(line["actor"] for line in lines if line.get("op") == "cpu_gpu_event_record")
    first = next(
        i
        for i, line in enumerate(lines)
        if line.get("actor") == record and line.get("op") == "cpu_gpu_event_record"
    )
    kept = [
        line
        for i, line in enumerate(lines)
        if not (line.get("actor") == record and i >= first) and line["event"] != "final"
    ]
    found = refine(scenario, observation(scenario.world, kept), "cut")

    assert found.holds is False
    assert "cpu_gpu_event_wait" in found.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"event": "lauch"}, "unknown event 'lauch'"),
        ({"event": "begin", "actor": "9.main", "op": "put"}, "no thread '9.main'"),
        ({"event": "end", "actor": "0.main", "op": "put"}, "is in no call of 'put'"),
        ({"event": "final", "rank": 0, "variables": {"zz": 1}}, "no variable 'zz'"),
        ({"actor": "0.main"}, "'event'"),
    ],
)
def test_lines_that_are_no_observation_are_named(line, message):
    world = load("coop_vs_nccl_capped").scenario().world
    with pytest.raises(ObservationError, match=message) as error:
        observation(world, [line])

    assert "line 1" in str(error.value)
