"""One run: what comes of it, how schedules are enforced, how rest is told from work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Set
from eplb_model.ops.launch import Launch
from eplb_model.ops.locks import Release
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.threads import Die, Join, Raise, Start
from eplb_model.ops.two_thread_event import CpuGpuEventRecord
from eplb_model.ops.variables import Assert, Put, Test
from eplb_model.scenario import Forever, RankPlan, Scenario, Statement, ThreadPlan, Try
from eplb_model.trace import parse_schedule
from eplb_real.run import Pending
from eplb_real.runner import judge
from eplb_real.watchdog import Watchdog
from tests.real.places import handing_over, hanging, scenario
from tests.small import TINY, kernel, rank


def test_a_run_that_completes_has_its_values(on_threads):
    result = on_threads(handing_over())

    assert (result.outcome, result.variables) == ("completed", {0: {"x": 1, "y": 2}})
    assert (result.pending, result.exceptions) == ((), ())


def test_a_hang_names_the_calls_that_never_came_back_and_keeps_the_stacks(on_threads):
    result = on_threads(hanging())

    assert result.outcome == "hung"
    assert result.pending == (Pending("0.main", "wait_flag", 0), Pending("1.main", "barrier", 0))
    assert list(result.stacks) == [0]
    assert "operations.py" in result.stacks[0]


def test_an_error_goes_to_the_handler_and_one_that_nobody_takes_is_reported(on_threads):
    body: list[Statement] = [Try((Raise("lost"),), (Put("caught", Value(1)),)), Release("lock")]
    result = on_threads(
        Scenario("t", TINY, {}, (RankPlan((ThreadPlan("main", tuple(body)),), ()),))
    )

    assert result.outcome == "completed"
    assert result.variables == {0: {"caught": 1}}
    assert [(line["op"], line["family"]) for line in result.exceptions] == [("release", "misuse")]


@pytest.mark.parametrize(
    ("body", "family"),
    [
        ([Assert(Condition(Value(1), "==", Value(2)))], "violation"),
        ([Put("x", Value(1)), Die()], "fault"),
        ([Raise("asked for")], "fault"),
        ([Join("never")], "misuse"),
    ],
)
def test_an_error_has_its_family(on_threads, body, family):
    threads = (ThreadPlan("main", tuple(body)), ThreadPlan("never", (), started=False))
    result = on_threads(Scenario("t", TINY, {}, (RankPlan(threads, ()),)))

    assert [line["family"] for line in result.exceptions] == [family]


def test_a_thread_that_is_started_under_gates_stands_at_its_first_step(on_threads):
    threads = (
        ThreadPlan("main", (Start("worker"), Join("worker"))),
        ThreadPlan("worker", (Put("x", Value(1)),), started=False),
    )
    one = Scenario("t", TINY, {}, (RankPlan(threads, ()),))
    schedule = parse_schedule(one.world, "0.main 0.worker 0.main")
    result = on_threads(one, schedule=schedule)

    assert (result.outcome, result.granted) == ("completed", schedule)


def test_the_order_of_an_enforced_schedule_is_the_order_in_which_things_happen(on_threads):
    two = scenario(
        {
            "one": [Put("x", Value(1))],
            "other": [Test(Condition(Variable("x"), "==", Value(1)), "seen")],
        }
    )
    seen = [
        on_threads(two, schedule=parse_schedule(two.world, words)).variables[0]["seen"]
        for words in ("0.one 0.other", "0.other 0.one")
    ]

    assert seen == [True, False]


def test_a_step_that_can_not_be_taken_is_not_reached(on_threads, monkeypatch):
    monkeypatch.setattr("eplb_real.run.STEP_WITHIN", 0.2)
    one = handing_over()
    result = on_threads(one, schedule=parse_schedule(one.world, "0.taker"))

    assert result.outcome == "not reached"
    assert result.evidence == ("step 1, 0.taker: it was not taken within 0.2 s",)


def test_programs_that_loop_for_ever_go_on_until_they_are_stopped(on_threads):
    loop = Forever((Put("x", Value(1)), Put("x", Value(2))))
    plan = RankPlan((ThreadPlan("main", (loop,)),), ())
    result = on_threads(Scenario("t", TINY, {}, (plan,)))

    assert (result.outcome, result.pending) == ("went on", ())


def test_a_call_that_waits_while_others_loop_for_ever_is_hung(on_threads):
    plan = RankPlan(
        (
            ThreadPlan("main", (Forever((Put("x", Value(1)),)),)),
            ThreadPlan("worker", (Join("main"),)),
        ),
        (),
    )
    result = on_threads(Scenario("t", TINY, {}, (plan,)))

    assert (result.outcome, result.pending) == ("hung", (Pending("0.worker", "join", 0),))


def test_what_goes_wrong_inside_the_harness_is_an_error_of_the_thread(on_threads):
    one = scenario({"main": [CpuGpuEventRecord("event", "side")]})

    result = on_threads(one)  # no stream of that name

    assert result.outcome == "completed"
    assert [line["family"] for line in result.exceptions] == ["misuse"]


def test_a_busy_process_is_not_at_rest_and_a_waiting_one_is(tmp_path):
    for code, expected in (("while True: pass", False), ("input()", True)):
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
            _await_birth(process.pid, expected)
            watchdog = Watchdog([process.pid], [tmp_path / "nothing"])
            looks = 0
            while not (rests := watchdog.at_rest()) and looks < 20:
                looks += 1
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.02)
            process.kill()
        assert rests is expected


def _await_birth(pid: int, sleeps: bool) -> None:
    """Let an interpreter come to what it was told to do."""
    if not sleeps:
        return
    while Path(f"/proc/{pid}/wchan").exists() and not _reads(pid):
        pass


def _reads(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize(
    ("keeps", "words", "outcome"),
    [(True, "0.a 0.a 0.a", "hung"), (False, "0.a 0.a", "completed")],
)
def test_a_call_that_keeps_the_interpreter_lock_stops_the_other_threads(
    on_threads, keeps, words, outcome
):
    plan = rank((Launch("spinner", "s"), StreamSynchronize("s", gil=keeps)), (Set("go"),))
    one = Scenario("t", TINY, {"spinner": kernel("spinner", until="go")}, (plan,))
    result = on_threads(one, schedule=parse_schedule(one.world, words))

    assert result.outcome == outcome
    assert judge(one, result).holds is True
