"""The assertions for users' tests, without any runner: what they answer, raise and carry."""

from __future__ import annotations

import json

import pytest

from eplb_model.build import Build
from eplb_model.check import check
from eplb_model.machine import MACHINES
from eplb_model.scenario import Scenario
from eplb_model.testing import (
    CheckFailed,
    assert_expected,
    assert_finds,
    assert_no_hang,
    assert_run,
)
from eplb_model.trace import parse_schedule
from eplb_model.vector import load

FLAGSHIP = "coop_vs_nccl_opposite_order"


def test_a_failure_carries_the_vector_without_any_runner():
    with pytest.raises(CheckFailed, match=f"{FLAGSHIP}: deadlock, on every run") as raised:
        assert_no_hang(FLAGSHIP, nccl_ctas=12)

    document = json.loads(raised.value.checked.vector())
    assert document["parameters"]["nccl_ctas"]["default"] == 12
    assert "expect" not in document
    assert raised.value.checked.report.verdict == "deadlock"


def test_a_vector_on_its_own_base_is_written_whole(tmp_path):
    vector = load("deepep_ll_async_eplb_ordered")
    assert "base" in vector.document
    with pytest.raises(CheckFailed) as raised:
        assert_finds(vector, "race", experts=4)
    path = tmp_path / "whole.json"
    path.write_text(raised.value.checked.vector())

    assert load(path).scenario().ranks == vector.scenario({"experts": 4}).ranks
    assert "base" not in load(path).document


def test_a_machine_of_the_users_own_is_found_from_anywhere(tmp_path):
    machine = {"schema": "eplb-machine/1", "name": "mine", "groups": [4], "placement": "measured"}
    (tmp_path / "mine.json").write_text(json.dumps(machine))
    path = tmp_path / "there.json"
    shipped = json.loads(json.dumps(dict(load("two_gangs").document)))
    shipped["parameters"]["machine"] = "./mine.json"
    shipped.pop("expect", None)
    path.write_text(json.dumps(shipped))
    with pytest.raises(CheckFailed) as raised:
        assert_finds(path, "race")

    written = json.loads(raised.value.checked.vector())
    assert written["parameters"]["machine"] == str((tmp_path / "mine.json").resolve())


def test_another_answer_than_the_expected_one_fails():
    with pytest.raises(
        CheckFailed, match=r"expected ok; got\ncoop_vs_nccl_opposite_order: deadlock"
    ):
        assert_finds(FLAGSHIP, "ok")
    with pytest.raises(CheckFailed, match="expected deadlock on some run; got"):
        assert_finds(FLAGSHIP, "deadlock", when="some")


def test_a_vector_is_held_to_what_it_says_itself_in_every_case():
    vector = load(FLAGSHIP)
    reports = assert_expected(vector)

    assert [each.verdict for each in reports] == [expect.verdict for _, expect in vector.cases()]
    assert len(reports) > 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"expect": {"verdict": "ok"}}, "expects verdict 'ok', got 'deadlock'"),
        ({"expect": {"verdict": "deadlock", "when": "some"}}, "expects when 'some', got 'every'"),
        (
            {"cases": [{"set": {"nccl_ctas": 4}, "expect": {"verdict": "race"}}]},
            f"{FLAGSHIP} nccl_ctas=4 expects verdict 'race', got",
        ),
    ],
)
def test_a_vector_that_does_not_keep_its_word_fails(changed, message, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**load(FLAGSHIP).document, **changed}))

    with pytest.raises(CheckFailed, match=message):
        assert_expected(path)


def test_a_vector_that_says_nothing_is_an_error():
    with pytest.raises(TypeError, match="idle expects nothing; write down `expect`"):
        assert_expected(Build("idle", machine="tiny"))


def test_a_scenario_has_no_parameters():
    with pytest.raises(TypeError, match="got ranks"):
        assert_no_hang(Scenario("idle", MACHINES["tiny"], {}, ()), ranks=2)


def test_a_scenario_is_written_like_a_vector():
    scenario = load(FLAGSHIP).scenario()
    with pytest.raises(CheckFailed) as raised:
        assert_no_hang(scenario)

    assert json.loads(raised.value.checked.vector())["schema"] == "eplb-vector/1"


HANGS = "0.eplb 0.main 0.main 1.main 1.eplb 1.eplb"


def test_a_run_that_ends_stuck_fails_with_its_circle():
    scenario = load(FLAGSHIP).scenario()
    with pytest.raises(CheckFailed, match="none can be the first to move") as raised:
        assert_run(scenario, parse_schedule(scenario.world, HANGS))

    report = raised.value.checked.report
    assert (report.verdict, report.when, report.depth) == ("deadlock", "some", 6)
    assert report.finding is not None
    assert " ".join(map(str, report.finding.schedule)) == HANGS


def test_a_run_that_is_cut_off_passes():
    scenario = load(FLAGSHIP).scenario()

    assert_run(scenario, parse_schedule(scenario.world, HANGS)[:-1])


def test_a_run_of_a_named_vector_follows_its_settings():
    scenario = load(FLAGSHIP).scenario({"order": "free"})
    found = check(scenario).finding
    assert found is not None

    with pytest.raises(CheckFailed):
        assert_run(FLAGSHIP, found.schedule, order="free")
