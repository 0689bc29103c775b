"""How `advise` asks the model: two ranks for more, an enforced order first, few states first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eplb_model.advise import Checks, Question
from eplb_model.advise import judging as judging_module
from eplb_model.advise.judging import NCCL_VECTOR, cases, scenario
from eplb_model.check import check
from eplb_model.outcome import Actor, Report

# 512 KiB keep the exchange at 8 CTAs (N8) and the searches short.
ONE = Question(ranks=2, tokens=(64,), phases=("dispatch",), bytes_per_op=512 << 10)
EIGHT = Question(ranks=8, tokens=(64,), phases=("dispatch",))
TINY = Question("tiny", 3, experts=4, tokens=(1,), phases=("dispatch",), cluster_size=2)


# --- what is left out does not matter ------------------------------------------------------------


def _both(question: Question, cap: int, size: int, order: str | None) -> tuple[str, str]:
    """The verdicts of two ranks that stand for all, and of all."""
    asked = replace(question, cluster_size=size)
    whole = replace(asked, check_ranks=asked.ranks)
    verdicts = [
        check(scenario(each, cases(each, NCCL_VECTOR, cap, size)[0], order)).verdict
        for each in (asked, whole)
    ]
    return verdicts[0], verdicts[1]


@pytest.mark.parametrize("experts", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cap", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [1, 2])
def test_two_ranks_that_stand_for_three_say_what_three_say(experts, cap, size):
    two, three = _both(replace(TINY, experts=experts), cap, size, None)

    assert two == three


@pytest.mark.parametrize(
    ("ranks", "experts", "cap", "expected"),
    [
        (4, 256, 8, "deadlock"),
        (3, 256, 4, "ok"),
        (3, 264, 1, "deadlock"),
        (3, 288, 64, "ok"),
        pytest.param(4, 256, 4, "ok", marks=pytest.mark.slow),
        pytest.param(5, 256, 8, "deadlock", marks=pytest.mark.slow),
    ],
)
def test_the_same_on_real_grids_where_the_order_is_enforced(ranks, experts, cap, expected):
    question = replace(EIGHT, ranks=ranks, experts=experts)

    assert _both(question, cap, 4, "opposite") == (expected, expected)


@pytest.mark.parametrize("experts", [2, 3, 4])
@pytest.mark.parametrize("cap", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 2])
def test_what_hangs_under_the_enforced_order_hangs_where_the_threads_race(experts, cap, size):
    question = replace(TINY, ranks=2, experts=experts)
    (case,) = cases(question, NCCL_VECTOR, cap, size)

    enforced = check(scenario(question, case, "opposite")).verdict
    assert enforced != "deadlock" or check(scenario(question, case)).verdict == "deadlock"


# --- what is asked first --------------------------------------------------------------------------


def _asked(monkeypatch) -> list[tuple[str, bool]]:
    """The order and the engine (fast or not) of every check from here on."""
    asked: list[tuple[str, bool]] = []

    def watched(given, search):
        asked.append((given.parameters["order"], search.fast))
        return check(given, search)

    monkeypatch.setattr(judging_module, "check", watched)
    return asked


def _circle(report: Report) -> tuple[Actor, ...]:
    return report.finding.circle if report.finding else ()


def _case(question: Question, cap: int, size: int = 4):
    return cases(question, NCCL_VECTOR, cap, size)[0]


def test_what_hangs_in_the_enforced_order_is_not_asked_where_the_threads_race(monkeypatch):
    asked = _asked(monkeypatch)

    assert Checks().judge(EIGHT, _case(EIGHT, 64)).verdict == "deadlock"
    assert asked == [("opposite", False)]


def test_where_the_threads_race_and_all_ends_well_no_order_is_searched_to_its_end(monkeypatch):
    asked = _asked(monkeypatch)

    assert Checks().judge(ONE, _case(ONE, 64, 1)).verdict == "ok"
    assert asked == [("opposite", False), ("free", True)]


def test_an_order_of_many_states_is_still_what_is_told_of_a_hang(monkeypatch):
    expected = Checks().judge(EIGHT, _case(EIGHT, 64)).report
    monkeypatch.setattr(judging_module, "FEW", 3)
    asked = _asked(monkeypatch)
    found = Checks().judge(EIGHT, _case(EIGHT, 64)).report

    assert asked == [("opposite", False), ("free", True), ("opposite", True)]
    assert (found.parameters["order"], found.verdict) == ("opposite", "deadlock")
    assert _circle(found) == _circle(expected) != ()


def test_more_ranks_are_asked_in_the_enforced_order_at_once(monkeypatch):
    question = replace(TINY, check_ranks=3)
    asked = _asked(monkeypatch)

    assert Checks().judge(question, _case(question, 2, 2)).verdict == "deadlock"
    assert asked == [("opposite", True)]


@pytest.mark.parametrize("machine", ["h200", "h20", "b200"])
@pytest.mark.parametrize("cap", [1, 4, 8])
def test_few_states_say_of_an_order_what_all_say(machine, cap):
    question = replace(EIGHT, machine=machine, experts=288)
    order = scenario(question, _case(question, cap), "opposite")
    report = Checks()._enforced(question, order)
    whole = check(order)

    assert report is not None or whole.verdict == "ok"
    if report is not None:
        assert report.verdict == whole.verdict
        assert report.serialised == whole.serialised
        assert _circle(report) == _circle(whole)
