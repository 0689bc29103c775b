"""Claims: what they mean on whole runs, how they are read, and that no reduction hides them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from eplb_model.check import Search, check
from eplb_model.claims import Agree, Stated, StatedKind
from eplb_model.explore.search import explore
from eplb_model.explore.settle import Settling
from eplb_model.explore.stall import given_up
from eplb_model.format.claims import written_claim
from eplb_model.format.document import VectorError, dump
from eplb_model.format.writing import scenario_document
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.point_to_point import Irecv
from eplb_model.ops.registry import HostStep
from eplb_model.ops.variables import Put, Take
from eplb_model.protocols.registry import PROTOCOLS
from eplb_model.render.documents import report_document
from eplb_model.render.text import report_text
from eplb_model.scenario import Forever, If, Planned, Scenario
from eplb_model.step import enabled, initial, step
from eplb_model.vector import load
from eplb_model.without import compare
from eplb_model.words import scenario_text
from tests.claimed import claiming, writing
from tests.small import plain, rank, scenario

BOUND = 1_000


def is_(kind: StatedKind, name: str, value: object, on: int | None = None) -> Stated:
    condition = Condition(Variable(name), "==", Value(value))
    return Stated(kind, condition, f"{name} is {value} {kind}", None if on is None else (on,))


def put(name: str, value: object) -> Put:
    return Put(name, Value(value))


def spin() -> Forever:
    return Forever((put("z", 0),))


def answer(described: Scenario, **more) -> tuple[str, str | None, list[str]]:
    report = plain(described, **more)
    return report.verdict, report.when, [each.outcome for each in report.claims]


# --- whole runs --------------------------------------------------------------------------------


def test_a_case_that_is_never_reached_is_a_violation_although_nothing_goes_wrong():
    described = scenario(rank([put("x", 1)]), claims=(is_("sometimes", "x", 2),))

    assert answer(described) == ("violation", "every", ["not reached"])
    finding = plain(described).finding
    assert finding is not None
    assert finding.message == "the interesting case is never reached: x is 2 sometimes"


def test_a_case_of_all_ranks_has_to_be_reached_on_each_in_a_state_of_its_own():
    both = [rank([put("x", 1), put("x", 0)], x=0)] * 2
    only_one = [both[0], rank([put("x", 0)])]
    claims = (is_("sometimes", "x", 1),)

    assert answer(scenario(*both, claims=claims)) == ("ok", None, ["reached"])
    assert answer(scenario(*only_one, claims=claims)) == ("violation", "every", ["not reached"])


def test_a_search_that_was_cut_does_not_say_that_a_case_is_never_reached():
    claims = (is_("sometimes", "x", 2), is_("always", "y", None))
    described = scenario(rank([put("x", 1), put("x", 2)]), claims=claims)

    assert answer(described, max_states=2) == ("unknown", None, ["unknown", "unknown"])


def test_a_case_that_a_deadlock_bars_is_not_reached_and_the_verdict_stays_deadlock():
    described = scenario(rank([WaitFlag("f"), put("x", 1)]), claims=(is_("sometimes", "x", 1),))

    assert answer(described) == ("deadlock", "every", ["not reached"])


def test_what_stays_false_in_a_fair_loop_is_a_stall_although_nobody_waits():
    described = scenario(rank([spin()]), claims=(is_("eventually", "x", 1),))

    assert answer(described) == ("stall", "every", ["fails"])
    finding = plain(described).finding
    assert finding is not None
    assert finding.message == "x is 1 eventually: x == 1 stays false on rank 0 while others go on"
    assert finding.waiting == ()


def test_what_a_fair_thread_brings_about_comes_at_last():
    described = scenario(rank([spin()], [put("x", 1)]), claims=(is_("eventually", "x", 1),))

    assert answer(described) == ("ok", None, ["holds"])


def test_what_comes_true_once_and_never_again_is_given_up():
    described = scenario(
        rank([spin()], [put("x", 1), put("x", 0)]), claims=(is_("eventually", "x", 1),)
    )

    assert answer(described) == ("stall", "every", ["fails"])


def test_what_comes_true_again_and_again_holds():
    forth_and_back = Forever((put("x", 1), put("x", 0)))
    claims = (is_("eventually", "x", 1), is_("eventually", "x", 0))

    assert answer(scenario(rank([forth_and_back]), claims=claims)) == ("ok", None, ["holds"] * 2)


def test_what_only_some_runs_give_up_is_a_stall_on_some():
    race = If(Condition(Variable("y"), "==", Value(1)), (Forever((put("x", 1), put("x", 0))),))
    described = scenario(rank([race, spin()], [put("y", 1)]), claims=(is_("eventually", "x", 1),))

    assert answer(described) == ("stall", "some", ["fails"])


def test_a_claim_of_all_ranks_is_given_up_if_one_rank_gives_it_up():
    forth_and_back = Forever((put("x", 1), put("x", 0)))
    described = scenario(
        rank([forth_and_back]), rank([spin()]), claims=(is_("eventually", "x", 1),)
    )
    finding = plain(described).finding

    assert finding is not None
    assert "on rank 1" in finding.message


def test_a_deadlock_names_the_claims_that_come_to_nothing_with_it():
    described = scenario(rank([WaitFlag("f")]), claims=(is_("eventually", "x", 1),))
    finding = plain(described).finding

    assert answer(described) == ("deadlock", "every", ["fails"])
    assert finding is not None
    assert finding.message == "nobody can move; fails: x is 1 eventually"


def test_the_loop_of_a_claim_that_is_given_up_can_be_run_and_keeps_it_false():
    described = scenario(rank([spin()], [spin()]), claims=(is_("eventually", "x", 1),))
    found = explore(described.world)
    (gave_up,) = given_up(found)
    state = found.states[gave_up.entry]
    for action in gave_up.loop:
        assert action in enabled(state)
        state = step(state, action)
        assert not gave_up.claim.holds_on(state, 0)

    assert state == found.states[gave_up.entry]
    assert {str(action.actor) for action in gave_up.loop} == {"0.a", "0.b"}


def test_the_claims_after_a_broken_one_are_unknown_unless_they_were_seen_to_fail():
    claims = (is_("always", "x", None), is_("always", "y", None), is_("sometimes", "x", 1))
    described = scenario(rank([put("x", 1)]), claims=claims)

    assert answer(described) == ("violation", "every", ["fails", "unknown", "reached"])


def test_the_way_to_a_broken_claim_is_shortest_in_the_plain_search():
    described = scenario(
        rank([put("y", 1), put("y", 2), put("x", 1)], [put("x", 1)]),
        claims=(is_("always", "x", None),),
    )
    finding = plain(described).finding

    assert finding is not None
    assert [str(action) for action in finding.schedule] == ["0.b"]


@pytest.mark.parametrize("strategy", ["uniform", "pct"])
def test_sampling_finds_what_fails_and_never_says_that_something_holds(strategy):
    claims = (is_("always", "x", None), is_("sometimes", "y", 1), is_("sometimes", "y", 2))
    fine = scenario(rank([put("y", 1)]), claims=claims)
    wrong = scenario(rank([put("x", 1)]), claims=claims)
    search = Search(strategy=strategy, runs=3)

    assert [each.outcome for each in check(fine, search).claims] == [
        "unknown",
        "reached",
        "unknown",
    ]
    assert [each.outcome for each in check(wrong, search).claims] == ["fails", "unknown", "unknown"]


def test_without_asks_whether_a_claim_needs_an_operation():
    described = scenario(rank([put("x", 1)]), claims=(is_("at_end", "x", 1),))
    comparison = compare(described, "a: put x 1")

    assert (comparison.present.verdict, comparison.absent.verdict) == ("ok", "violation")
    assert comparison.needed


# --- settling ----------------------------------------------------------------------------------


@given(claiming())
@settings(max_examples=80)
def test_settling_keeps_what_becomes_of_claims(described: Scenario):
    compare_searches(described)


@given(claiming(forever=True))
@settings(max_examples=80)
def test_settling_keeps_what_becomes_of_claims_where_programs_loop_for_ever(described: Scenario):
    compare_searches(described)


@given(writing())
@settings(max_examples=120)
def test_settling_keeps_what_becomes_of_claims_about_how_writes_meet(described: Scenario):
    compare_searches(described)


def compare_searches(described: Scenario) -> None:
    full = check(described, Search(settle=False, max_states=BOUND))
    if full.bounds["cut"]:
        return
    reduced = check(described, Search(settle=True))

    assert (reduced.verdict, reduced.when, reduced.serialised, reduced.claims) == (
        full.verdict,
        full.when,
        full.serialised,
        full.claims,
    )
    assert set(reduced.ends) == set(full.ends)


def test_a_step_that_writes_a_claimed_variable_is_not_settled_and_others_are():
    described = scenario(rank([put("x", 1)], [put("y", 1)]), claims=(is_("sometimes", "x", 1),))
    state = initial(described.world)
    alone = Settling(described.world).alone(state, enabled(state))

    assert list(map(str, alone)) == ["0.b"]


def test_states_in_which_two_ranks_differ_for_a_moment_are_seen_with_settling():
    both = [rank([put("x", 1), put("x", 2)], key=1, x=0)] * 2
    agree = Agree("x", "key", "ranks agree")

    assert check(scenario(*both, claims=(agree,))).verdict == "violation"


@pytest.mark.parametrize(
    ("op", "written"),
    [
        (Put("x", Variable("y")), {"x"}),
        (Take("x", "y"), {"x", "y"}),
        (Irecv("world", 0, "x"), {"x"}),
        (Set("f"), {"f"}),
    ],
)
def test_an_operation_says_which_variables_it_writes(op: HostStep, written: set[str]):
    assert op.written_variables() == written


# --- vectors -----------------------------------------------------------------------------------

CLAIMS: list[dict[str, Any]] = [
    {"always": ["x", "<=", {"var": "y", "plus": 1}], "on": 0, "sentence": "x is small"},
    {"agree": "x", "when": "y", "sentence": "ranks agree"},
    {"sometimes": [{"var": "x"}, "==", "$n"], "on": "all", "sentence": "x comes to n"},
]
PROGRAMS = {"*.main": [["put", "x", 1], ["put", "y", 0], ["put", "x", "$n"]]}


@pytest.fixture
def written(tmp_path):
    """Writes a vector with these sections and loads its scenario."""

    def write(**sections):
        about = {"schema": "eplb-vector/1", "name": "x", "about": ""}
        parameters = {"ranks": 2, "n": 2}
        document = {**about, "parameters": parameters, "programs": PROGRAMS, **sections}
        path = tmp_path / "x.json"
        path.write_text(dump(document), "utf-8")
        return load(path).scenario()

    return write


def test_claims_are_read_from_a_vector(written):
    small = Condition(Variable("x"), "<=", Variable("y", 1))
    comes = Condition(Variable("x"), "==", Value(2))

    assert written(claims=CLAIMS).claims == (
        Stated("always", small, "x is small", (0,)),
        Agree("x", "y", "ranks agree"),
        Stated("sometimes", comes, "x comes to n"),
    )


def test_claims_and_what_is_forbidden_survive_the_way_through_a_document(written, tmp_path):
    described = written(claims=CLAIMS, forbid=["wait on an unrecorded event"])
    path = tmp_path / "back.json"
    path.write_text(dump(scenario_document(described)), "utf-8")
    again = load(path).scenario()

    assert (again.claims, again.forbids) == (described.claims, described.forbids)
    assert [written_claim(each)["sentence"] for each in again.claims] == [
        each["sentence"] for each in CLAIMS
    ]


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"never": ["x", "==", 1], "sentence": "s"}, "expected a claim: an object with one of"),
        ({"always": ["x", "==", 1]}, "has no 'sentence'"),
        ({"always": ["x", "=", 1], "sentence": "s"}, "expected one of"),
        (
            {"always": ["z", "==", 1], "sentence": "s"},
            "unknown variable 'z' on rank 0; known: x, y",
        ),
        ({"always": ["x", "==", 1], "on": 2, "sentence": "s"}, "an integer of 0..1"),
        ({"always": ["x", "==", 1], "sentence": "ranks agree"}, "a second claim says"),
        ({"agree": "x", "sentence": "s"}, "has no 'when'"),
        ({"agree": "x", "when": "z", "sentence": "s"}, "unknown variable 'z' on rank 0"),
    ],
)
def test_what_is_no_claim_is_refused(written, claim, said):
    with pytest.raises(VectorError) as refused:
        written(claims=[*CLAIMS, claim])

    assert "/claims/3" in str(refused.value)
    assert said.replace("'", '"') in str(refused.value).replace("'", '"')


def test_what_nobody_can_forbid_is_refused(written):
    with pytest.raises(VectorError, match="expected one of wait on an unrecorded event"):
        written(forbid=["fun"])


def test_a_vector_adds_its_claims_to_those_of_its_protocol(monkeypatch):
    made = load("async_eplb").scenario().ranks
    own = is_("sometimes", "rebalanced", 1)
    monkeypatch.setitem(PROTOCOLS, "async_eplb", lambda values: Planned(made, (own,)))

    assert load("async_eplb").scenario().claims == (own,)


# --- reports -----------------------------------------------------------------------------------


def test_a_report_says_what_became_of_each_claim():
    report = check(load("result_never_consumed").scenario())

    assert report_document(report)["claims"][0] == {
        "kind": "eventually",
        "sentence": "every published result is consumed",
        "outcome": "fails",
    }
    assert "  fails        every published result is consumed\n" in report_text(report)
    assert max(map(len, report_text(report, None).splitlines())) <= 100


def test_a_scenario_in_words_has_its_claims():
    described = replace(
        load("handshake_cycle").scenario(), forbids=frozenset({"wait on an unrecorded event"})
    )

    text = scenario_text(described)

    assert "  every cycle ends (eventually rebalanced == 0)\n" in text
    assert "  no wait on an unrecorded event\n" in text
