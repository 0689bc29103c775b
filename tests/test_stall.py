"""Silent stalls: found by fair cycles, explained by who is left out."""

from __future__ import annotations

from eplb_model.explore.search import explore
from eplb_model.explore.stall import find_stall
from eplb_model.ops.flags import Clear, Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.ops.threads import Die
from eplb_model.scenario import Forever
from eplb_model.step import enabled, step
from tests.small import gang, kernel, meeting, plain, rank, scenario

SERVES = Forever((Launch("k", "s"), StreamSynchronize("s")))


def test_a_thread_that_waits_for_nobody_while_another_serves_for_ever_is_a_stall():
    report = plain(scenario(rank([SERVES], [WaitFlag("ready")]), kernels=[kernel("k")]))

    assert (report.verdict, report.when) == ("stall", "every")
    assert report.finding is not None
    assert [str(each.actor) for each in report.finding.waiting] == ["0.b"]
    assert {str(action.actor) for action in report.finding.loop} == {"0.a", "0.s"}


def test_the_loop_of_a_stall_can_be_run():
    described = scenario(rank([SERVES], [WaitFlag("ready")]), kernels=[kernel("k")])
    found = explore(described.world)
    stall = find_stall(found)
    assert stall is not None
    state = found.states[stall.entry]
    for action in stall.loop:
        assert action in enabled(state)
        state = step(state, action)

    assert state == found.states[stall.entry]


def test_a_dead_producer_stalls_its_consumer_but_not_the_server():
    report = plain(
        scenario(rank([SERVES], [Die(), Set("ready")], [WaitFlag("ready")]), kernels=[kernel("k")])
    )

    assert report.verdict == "stall"
    assert report.finding is not None
    assert "nobody is left to set" in report.finding.waiting[0].why


def test_serving_for_ever_alone_is_no_stall():
    report = plain(scenario(rank([SERVES]), kernels=[kernel("k")]))

    assert (report.verdict, report.ends) == ("ok", {"goes on": 1})


def test_a_wait_that_a_fair_schedule_ends_is_no_stall():
    report = plain(scenario(rank([Forever((Set("ready"),))], [WaitFlag("ready")])))

    assert report.verdict == "ok"


def test_a_wait_between_set_and_clear_is_no_stall_as_long_as_it_is_sometimes_possible():
    report = plain(scenario(rank([Forever((Set("ready"), Clear("ready")))], [WaitFlag("ready")])))

    assert report.verdict == "ok"


def test_ranks_that_meet_for_ever_have_finitely_many_states():
    meet = gang("m", 2, meets=meeting("first", "m"))
    serve = Forever((Launch("m", "s"), StreamSynchronize("s")))
    report = plain(scenario(rank([serve]), rank([serve]), kernels=[meet]))

    assert (report.verdict, report.bounds["cut"]) == ("ok", None)


def test_a_rank_that_stops_meeting_stops_everybody_which_is_a_deadlock():
    meet = gang("m", 2, meets=meeting("first", "m"))
    serve = Forever((Launch("m", "s"), StreamSynchronize("s")))
    report = plain(scenario(rank([serve]), rank([Launch("m", "s")]), kernels=[meet]))

    assert (report.verdict, report.when) == ("deadlock", "every")
