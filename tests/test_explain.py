"""Why a run goes wrong: what is left of a schedule, the step that decides, checked cures."""

from __future__ import annotations

import pytest

from eplb_model.check import Search, check
from eplb_model.explain import cures as cures_module
from eplb_model.explain.asked import Asked
from eplb_model.explain.critical import critical
from eplb_model.explain.cures import cures
from eplb_model.explain.edges import Call, with_edge
from eplb_model.explain.explanation import explain
from eplb_model.explain.reduce import follow, reduced
from eplb_model.explore.search import explore
from eplb_model.explore.stall import has_fair_loop
from eplb_model.findings import finding_at
from eplb_model.ops.launch import AwaitComplete, Launch
from eplb_model.ops.locks import Acquire, Release
from eplb_model.render.explained import explanation_text
from eplb_model.step import enabled
from eplb_model.trace import ScheduleError, parse_schedule, replay, schedule_text
from eplb_model.wait_for import stuck_set
from tests.small import gang, kernel, meeting, rank, scenario
from tests.stories import FLAGSHIP, SMALL, explained, finding_in, question_of


def _ends_well(state) -> bool:
    """Asked of every schedule, without reduction."""
    found = explore(state.world, start=state)
    assert found.cut is None
    return any(not found.states[number].unfinished() for number in found.final)


# --- what is left of a schedule ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "found", "left"),
    [({}, 6, 6), ({"ranks": 3}, 9, 6), ({"order": "free"}, 8, 4)],
)
def test_a_reduced_schedule_has_no_rank_outside_the_circle_and_no_step_too_many(
    settings, found, left
):
    world = question_of(FLAGSHIP, **SMALL, **settings).scenario.world
    finding = finding_in(question_of(FLAGSHIP, **SMALL, **settings).scenario)
    small = reduced(world, finding)

    assert (len(finding.schedule), len(small.schedule)) == (found, left)
    assert small.ranks == (0, 1)
    assert set(small.circle) <= stuck_set(small.last)
    for at in range(left):
        rest = follow(world, (*small.schedule[:at], *small.schedule[at + 1 :]))
        assert rest is None or not set(small.circle) <= stuck_set(rest)


def test_a_rank_that_the_circle_needs_stays():
    """Rank 0 can take its second lock only after rank 1 has met it."""
    pair = kernel("pair", meets=meeting("first", "pair"))
    launch, locks = Launch("pair", "s"), (Acquire("x"), Acquire("y"), Release("y"), Release("x"))
    met = (launch, AwaitComplete("pair"), *locks)
    other = (locks[1], locks[0], *locks[3:1:-1])
    described = scenario(rank(met, other), rank((launch,)), kernels=[pair])
    finding = finding_in(described)
    small = reduced(described.world, finding)

    assert {actor.rank for actor in small.circle} == {0}
    assert small.ranks == (0, 1)
    assert schedule_text(small.schedule) == "0.a 1.a 0.s 0.a 0.a 0.b"


def test_a_broken_property_is_taken_as_it_was_shortened():
    described = question_of("event_wait_before_record").scenario
    finding = finding_in(described)

    assert reduced(described.world, finding).schedule == finding.schedule


# --- the step that decides ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (FLAGSHIP, {**SMALL, "order": "free"}),
        ("locks_in_opposite_order", {}),
        ("event_wait_before_record", {}),
        ("p2p_vs_collective_two_threads", {}),
    ],
)
def test_before_the_critical_step_some_schedule_ends_well_and_after_it_none(name, settings):
    described = question_of(name, **settings).scenario
    finding = finding_in(described)
    schedule = reduced(described.world, finding).schedule
    decides = critical(described.world, schedule, finding)
    states = replay(described.world, schedule).states

    assert decides.step is not None
    assert _ends_well(states[decides.step - 1])
    assert not _ends_well(states[decides.step])


def test_programs_that_force_the_end_have_no_critical_step():
    described = question_of(FLAGSHIP, **SMALL).scenario
    finding = finding_in(described)
    decides = critical(described.world, finding.schedule, finding)

    assert (decides.step, decides.always) == (None, True)


def test_of_a_stall_the_critical_step_is_the_last_before_which_nobody_has_to_be_left_out():
    """Once the main thread has set the flag, the worker's clear can only come too late."""
    described = question_of("clear_erases_rearm").scenario
    finding = finding_in(described)
    decides = critical(described.world, finding.schedule, finding)
    trace = replay(described.world, finding.schedule)
    (left_out,) = (each.actor for each in finding.waiting)
    served = [
        has_fair_loop(explore(described.world, start=state), [left_out]) for state in trace.states
    ]

    assert finding.verdict == "stall"
    assert decides.step is not None
    assert trace.steps()[decides.step - 1].does == "set wake"
    assert served == [n < decides.step for n in range(len(served))]


def test_a_bound_that_cuts_the_question_is_named(monkeypatch):
    monkeypatch.setattr("eplb_model.explain.critical.GROWING", (1,))
    described = question_of(FLAGSHIP, **SMALL, order="free").scenario
    finding = finding_in(described)
    decides = critical(described.world, finding.schedule, finding)

    assert decides.bound == 20


# --- cures -------------------------------------------------------------------------------------

CURED = {
    FLAGSHIP: {**SMALL},
    "locks_in_opposite_order": {},
    "event_wait_before_record": {},
    "clear_erases_rearm": {},
    "gated_collective": {},
}


@pytest.mark.parametrize(("name", "settings"), CURED.items())
def test_every_cure_holds_by_the_plain_search_and_what_is_said_not_to_does_not(name, settings):
    asked = question_of(name, **settings)
    finding = finding_in(asked.scenario)
    found = cures(asked, finding, reduced(asked.scenario.world, finding))

    assert found.found
    assert asked.vector is not None
    for cure in found.found:
        if cure.settings:
            given = dict(asked.vector.setting(text) for text in cure.settings)
            assert check(asked.under(given), Search(settle=False)).verdict == "ok"
        if cure.beside:
            given = dict([asked.vector.setting(cure.beside.split()[0])])
            assert check(asked.under(given)).verdict not in ("ok", "unknown")


def test_the_first_cure_is_what_the_catalogue_says():
    asked = question_of("event_wait_before_record")
    finding = finding_in(asked.scenario)
    found = cures(asked, finding, reduced(asked.scenario.world, finding))

    assert found.found[0].kind == "the fixed twin event_wait_after_record"
    assert found.found[0].settings == ("gated=true",)


def test_the_missing_edge_of_a_race_is_tried_and_holds():
    described = question_of("event_wait_before_record").scenario
    finding = finding_in(described)
    found = cures(Asked(described), finding, reduced(described.world, finding))

    (edge,) = found.found
    assert edge.kind == "an event edge"
    assert edge.words == (
        "on every rank `consumer: launch consume compute reads buffer` waits for "
        "`producer: launch produce side writes buffer`"
    )


def test_a_circle_for_sms_is_broken_by_an_edge_between_the_two_launches():
    described = question_of(FLAGSHIP, **SMALL, order="free").scenario
    finding = finding_in(described)
    found = cures(Asked(described), finding, reduced(described.world, finding))

    edges = [each for each in found.found if each.kind == "an event edge"]
    assert len(edges) == 2
    assert all("launch moe compute" in each.words for each in edges)


def test_a_kernel_whose_size_is_no_parameter_is_made_smaller_in_whole_clusters():
    """Of a protocol that somebody wrote down with numbers in it."""
    described = question_of(FLAGSHIP, coop_ctas=128, nccl_ctas=8, order="free").scenario
    finding = finding_in(described)
    found = cures(Asked(described), finding, reduced(described.world, finding))
    fewer = {each.words: (each.kind, each.beside) for each in found.found[:2]}

    assert fewer == {
        "kernel moe with 124 CTAs": ("fewer CTAs (it has 128)", "125 do not hold"),
        "kernel exchange with 4 CTAs": ("fewer CTAs (it has 8)", ""),
    }
    for ctas, verdict in (({"coop_ctas": 124, "nccl_ctas": 8}, "ok"),
                          ({"coop_ctas": 125, "nccl_ctas": 8}, "deadlock"),
                          ({"coop_ctas": 128, "nccl_ctas": 4}, "ok")):  # fmt: skip
        asked = question_of(FLAGSHIP, **ctas, order="free")
        assert check(asked.scenario).verdict == verdict


def test_a_kernel_that_a_parameter_sizes_is_changed_by_the_parameter_alone():
    asked = question_of(FLAGSHIP, **SMALL)
    finding = finding_in(asked.scenario)
    found = cures(asked, finding, reduced(asked.scenario.world, finding))

    assert [each.settings for each in found.found if each.kind == "fewer CTAs"]
    assert not [each for each in found.found if each.words.startswith("kernel")]


def test_an_edge_is_an_event_a_flag_and_two_waits_where_both_calls_are():
    both = rank((Launch("k", "s"),), (Launch("k", "t"),), streams=("s", "t"))
    one = rank((Launch("k", "s"),))
    described = scenario(both, one, kernels=[kernel("k")])
    changed = with_edge(described, Call("a", "launch k s", "s"), Call("b", "launch k t", "t"))

    assert changed is not None
    kinds = [[op.kind for op in plan.body] for plan in changed.ranks[0].threads]  # type: ignore[union-attr]
    assert kinds == [
        ["launch", "record_event", "set"],
        ["wait_flag", "stream_wait_event", "launch"],
    ]
    assert changed.ranks[1] == described.ranks[1]


def test_an_edge_between_calls_that_no_rank_has_is_none():
    described = scenario(rank([Launch("k", "s")]), kernels=[kernel("k")])

    assert with_edge(described, Call("a", "launch k s", "s"), Call("z", "set x", None)) is None


def test_what_a_bound_cut_is_no_cure_and_is_counted(monkeypatch):
    monkeypatch.setattr(cures_module, "STATES_OF_A_CHECK", 1)
    monkeypatch.setattr(cures_module, "SAMPLING", Search("uniform", runs=1))
    asked = question_of(FLAGSHIP, **SMALL, order="free", layers=3)
    finding = finding_in(asked.scenario)
    found = cures(asked, finding, reduced(asked.scenario.world, finding))

    assert found.undecided > 0
    assert all(each.states <= 100 for each in found.found)


def test_when_the_states_are_used_up_nothing_more_is_tried(monkeypatch):
    asked = question_of(FLAGSHIP, **SMALL)
    finding = finding_in(asked.scenario)
    small = reduced(asked.scenario.world, finding)
    whole = cures(asked, finding, small)
    monkeypatch.setattr(cures_module, "STATES_OF_ALL", 400)
    bounded = cures(asked, finding, small)

    assert whole.not_tried == 0
    assert bounded.not_tried > 0
    assert set(bounded.found) < set(whole.found)


def test_an_interruption_ends_the_search_for_cures():
    asked = question_of("event_wait_before_record")
    finding = finding_in(asked.scenario)
    small = reduced(asked.scenario.world, finding)
    found = cures(asked, finding, small, enough=lambda: "interrupted")

    assert found.found == ()
    assert found.not_tried > 0


# --- any finding -------------------------------------------------------------------------------


def test_two_gangs_are_explained_without_a_vector():
    """What is built in code has no parameters to change; the rest is said all the same."""
    described = scenario(
        rank([Acquire("x"), Launch("g", "s"), Release("x")], [Acquire("x"), Launch("h", "t")],
             streams=("s", "t")),
        kernels=[gang("g", 4), gang("h", 4, until="never")],
    )  # fmt: skip
    report = check(described)
    told = explanation_text(explain(Asked(described), report))

    assert report.verdict == "deadlock"
    assert schedule_text(report.finding.schedule) if report.finding else False
    assert "spins until the host sets never" in told


STALLS = [
    ("clear_erases_rearm", 17, 16),
    ("cpu_gpu_event_wait_retried", 10, 7),
    ("lazy_connect_peer_elsewhere", 21, 15),
    ("worker_dies_silently", 47, 44),
]


@pytest.mark.parametrize(("name", "found", "left"), STALLS)
def test_of_a_stall_every_step_is_left_without_which_its_loop_would_not_go_on(name, found, left):
    world = question_of(name).scenario.world
    finding = finding_in(question_of(name).scenario)
    small = reduced(world, finding)

    assert (len(finding.schedule), len(small.schedule)) == (found, left)
    assert _leaves_out(world, small.schedule, finding)
    for at in range(left):
        rest = (*small.schedule[:at], *small.schedule[at + 1 :])
        assert not _leaves_out(world, rest, finding)


def _leaves_out(world, schedule, finding) -> bool:
    """Whether the loop comes back to where it begins, is fair, and always leaves the same out."""
    try:
        states = replay(world, (*schedule, *finding.loop)).states[len(schedule) :]
    except ScheduleError:
        return False
    able = [{each.actor for each in enabled(state)} for state in states]
    moving = {action.actor for action in finding.loop}
    waiting = {each.actor for each in finding.waiting}
    fair = all(a in moving or any(a not in each for each in able) for a in world.actors)
    return states[0] == states[-1] and fair and not any(each & waiting for each in able)


def test_a_stall_without_a_loop_that_comes_back_is_taken_as_it_is():
    described = question_of("clear_erases_rearm").scenario
    finding = finding_in(described)
    broken = finding._replace(loop=finding.loop[:1])

    assert reduced(described.world, broken).schedule == finding.schedule


def test_known_gap_channels_keep_ranks_outside_the_circle():
    """Without the parameter `ranks`, the other channels of 0.side need their peers to be stuck."""
    asked = question_of(FLAGSHIP, ranks=6)
    world = asked.scenario.world
    words = ["0.eplb 0.main 0.main", *(f"{r}.main {r}.eplb {r}.eplb" for r in range(1, 6))]
    schedule = parse_schedule(world, " ".join(words))
    finding = finding_at(replay(world, schedule).last, schedule)
    assert finding is not None
    small = reduced(world, finding)

    assert {actor.rank for actor in small.circle} == {0, 1}
    assert len(small.ranks) > 2


def test_a_claim_that_is_given_up_has_no_critical_step():
    told = explained("cycle_never_ends")

    assert "stays false" in told
    assert "The critical step" not in told


def test_a_bounded_search_for_the_critical_step_does_not_blame_the_programs(monkeypatch):
    monkeypatch.setattr("eplb_model.explain.critical.GROWING", (1,))
    asked = question_of("p2p_vs_collective_two_threads")
    told = explain(asked, check(asked.scenario), with_cures=False).critical

    assert "within 20 states" in told
    assert "force" not in told
