"""Vectors of every verdict, replayed by each driver; and a harness that can say no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eplb_model.check import check
from eplb_model.scenario import Scenario
from eplb_model.vector import catalogue, load
from eplb_real import runner
from eplb_real.drivers.threads import THREADS
from eplb_real.runner import Plan, Replay, Wish, document, judge, plan_of
from tests.real.places import handing_over, hanging

# One vector or more of every verdict; none takes a second.
HOST_ONLY = [
    ("p2p_lists_agree", "completed"),
    ("p2p_lists_differ", "hung"),
    ("locks_in_opposite_order", "hung"),
    ("p2p_group_rank_as_global", "completed"),
    ("idle_rank_skips_step", "hung"),
]
WITH_DEVICES = [
    ("coop_vs_nccl_opposite_order", "hung"),
    ("coop_vs_nccl_capped", "completed"),
    ("staging_rewritten_during_copy", "completed"),
    ("event_wait_before_record", "completed"),
    ("grid_too_large", "completed"),
    ("launch_queue_depth", "hung"),
]
LOOPING = [("lazy_connect_peer_elsewhere", "hung"), ("worker_death_reported", "went on")]
NEED_TORCH = [
    ("cpu_gpu_event_handshake", "completed"),
    ("cpu_gpu_event_lost_wake_up", "hung"),
    ("cpu_gpu_event_two_producers", "completed"),
    ("cpu_gpu_event_double_record", "completed"),
    ("clear_erases_rearm", "hung"),
]


def _agrees(replay: Replay, name: str, outcome: str) -> None:
    (replayed,) = replay.scenario(load(name).scenario(), Wish())

    assert (replayed.answer, replayed.why) == ("agrees", "")
    assert {result.outcome for result in replayed.runs} == {outcome}


@pytest.mark.parametrize(("name", "outcome"), [*HOST_ONLY, *WITH_DEVICES])
def test_a_vector_on_threads_agrees_with_the_model(threads, name, outcome):
    _agrees(threads, name, outcome)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "outcome"), LOOPING)
def test_a_vector_that_loops_agrees_with_the_model(threads, name, outcome):
    _agrees(threads, name, outcome)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "outcome"), NEED_TORCH)
def test_a_vector_with_the_two_thread_event_agrees_with_the_model(threads, name, outcome):
    pytest.importorskip("torch", reason="the library's CpuGpuEvent needs torch")
    _agrees(threads, name, outcome)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        *HOST_ONLY,
        ("event_wait_before_record", "completed"),
        ("crossed_communicators", "hung"),
        ("p2p_group_peer", "completed"),
        ("lazy_connect_peer_elsewhere", "hung"),
        ("cpu_gpu_event_double_record", "completed"),
    ],
)
def test_a_vector_on_gloo_agrees_with_the_model(gloo, name, outcome):
    _agrees(gloo, name, outcome)


@pytest.mark.slow
def test_gloo_declines_collectives_of_different_kinds_that_pair(gloo):
    (replayed,) = gloo.scenario(load("gated_gather_mispairs_payload").scenario(), Wish())

    why = "different collectives pair, and gloo does not look what it pairs"
    assert (replayed.answer, replayed.why, replayed.runs) == ("declined", why, ())


def test_each_setting_of_a_switch_that_nobody_measured_is_replayed(threads):
    found = threads.scenario(load("queue_aliasing").scenario(), Wish())

    assert {each.setting: (each.expected, each.answer) for each in found} == {
        "queue_map=counted": ("ok", "agrees"),
        "queue_map=round_robin": ("deadlock, every run", "agrees"),
        "queue_map=apart": ("ok", "agrees"),
        "queue_map=together": ("deadlock, every run", "agrees"),
    }


def test_what_happens_on_every_run_is_left_to_happen_and_the_rest_is_enforced():
    plans = {
        name: plan_of(check(load(name).scenario()))
        for name in ("p2p_lists_agree", "p2p_lists_differ", "locks_in_opposite_order")
    }
    finding = check(load("locks_in_opposite_order").scenario()).finding

    assert finding is not None
    assert plans == {
        "p2p_lists_agree": Plan(3),
        "p2p_lists_differ": Plan(1),
        "locks_in_opposite_order": Plan(1, finding.schedule),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"value": 17},
        {"op": "take"},
        {"pc": 1},
        {"event": "raise", "family": "violation", "text": ""},
    ],
)
def test_a_tampered_observation_is_refused(on_threads, change):
    one = handing_over()
    result = on_threads(one)
    lines = list(result.observations)
    at = next(n for n, line in enumerate(lines) if line.get("value") == 1)
    lines[at] = {**lines[at], **change}
    if change.keys() & {"op", "pc"}:
        mine = [n for n in range(at) if lines[n].get("actor") == lines[at]["actor"]]
        lines[mine[-1]] = {**lines[mine[-1]], **change}

    assert judge(one, result).holds is True
    assert judge(one, replace(result, observations=tuple(lines))).holds is False


def test_a_hang_that_the_model_does_not_have_disagrees(threads):
    (holds,) = threads.scenario(load("p2p_lists_agree").scenario(), Wish(runs=1))
    (hangs,) = threads.scenario(hanging(), Wish(runs=1))
    told_to_hang = replace(hangs.runs[0], outcome="completed", pending=())

    assert holds.answer == hangs.answer == "agrees"
    assert judge(hanging(), told_to_hang).holds is False


def _in_any_order(scenario: Scenario) -> Scenario:
    switches = replace(scenario.machine.switches, distributor="any")
    return scenario.on(replace(scenario.machine, switches=switches))


@pytest.mark.parametrize(
    ("loosened", "answer"),
    [(lambda _: None, "disagrees"), (_in_any_order, "inconclusive")],
    ids=["an order that is kept", "an order that is not kept"],
)
def test_a_run_in_an_order_that_a_driver_does_not_keep_says_nothing(
    monkeypatch, on_threads, loosened, answer
):
    scenario = load("head_of_line").scenario()
    runs = (on_threads(_in_any_order(scenario), seed=seed, schedule=None) for seed in range(100))
    overtaken = next(run for run in runs if run.outcome == "completed")
    monkeypatch.setattr(runner, "run", lambda *_: overtaken)

    with Replay(replace(THREADS, loosened=loosened)) as replay:
        (replayed,) = replay.scenario(scenario, Wish(runs=1))

    assert replayed.answer == answer
    told = replayed.why.startswith("its order was not reached in 3 runs: ")
    assert told == (answer == "inconclusive")


def test_a_run_whose_order_was_not_reached_is_tried_again(monkeypatch, on_threads):
    scenario = load("head_of_line").scenario()
    runs = (on_threads(_in_any_order(scenario), seed=seed) for seed in range(100))
    overtaken = next(run for run in runs if run.outcome == "completed")
    kept = on_threads(scenario)
    answers = iter([overtaken, overtaken, kept])
    monkeypatch.setattr(runner, "run", lambda *_: next(answers))

    with Replay(replace(THREADS, loosened=_in_any_order)) as replay:
        (replayed,) = replay.scenario(scenario, Wish(runs=1))

    assert (replayed.answer, replayed.runs) == ("agrees", (kept,))


def test_what_has_to_be_brought_about_is_declined_where_nobody_grants_steps():
    with Replay(replace(THREADS, enforces=False)) as replay:
        (replayed,) = replay.scenario(load("locks_in_opposite_order").scenario(), Wish())

    assert (replayed.answer, replayed.runs) == ("declined", ())
    assert replayed.why == "it has to be brought about, and nobody grants NCCL steps"


def test_the_document_of_a_replay_has_what_was_seen(threads):
    (replayed,) = threads.scenario(load("p2p_lists_differ").scenario(), Wish())
    written = document(replayed)

    assert (written["vector"], written["driver"], written["answer"], written["expected"]) == (
        "p2p_lists_differ",
        "threads",
        "agrees",
        "deadlock, every run",
    )
    (run,) = written["runs"]
    assert run["outcome"] == "hung"
    assert {each["op"] for each in run["pending"]} == {"wait_requests"}


def test_an_error_that_the_step_of_a_peer_raises_is_refined_too(threads):
    (replayed,) = threads.scenario(load("gated_gather_mispairs_payload").scenario(), Wish())

    assert replayed.answer == "agrees", replayed.why
    assert {line["family"] for line in replayed.runs[0].exceptions} == {"violation"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [vector.name for vector in catalogue()])
@pytest.mark.parametrize("driver", ["threads", "gloo"])
def test_every_vector_agrees_or_is_declined(driver, name, request):
    pytest.importorskip("torch", reason="gloo, and the library's CpuGpuEvent, need torch")
    replay = request.getfixturevalue(driver)
    expected = {"agrees", "declined"}
    found = replay.scenario(load(name).scenario(), Wish())

    assert {each.answer for each in found} <= expected, [each.why for each in found]
