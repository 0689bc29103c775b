"""What a user's own tests get from the plugin: explanations, files, properties, nothing else."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from eplb_model.check import STRATEGIES as OF_THE_CHECK
from eplb_model.cli import main
from eplb_model.machine import MACHINES
from eplb_model.pytest_plugin import STRATEGIES, _failed
from eplb_model.scenario import RankPlan, Scenario, ThreadPlan
from eplb_model.session import Checked
from eplb_model.testing import CheckFailed, assert_no_hang

pytest_plugins = ["pytester"]

INSTALLED = entry_points(group="pytest11", name="eplb")
PLUGIN = () if INSTALLED else ("-p", "eplb_model.pytest_plugin")
FLAGSHIP = "coop_vs_nccl_opposite_order"

PROTOCOL = """
from eplb_model.build import Build
from eplb_model.testing import assert_finds, assert_no_hang

def protocol(copies):
    build = Build("waits for nobody", machine="tiny", ranks=2)
    with build.every_rank() as rank:
        with rank.thread("main") as t:
            t.barrier("world")
    with build.rank(0) as rank, rank.thread("more") as t:
        with t.repeat(copies):
            t.barrier("world")
    return build
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the user's tests in this process."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(tests: str, *options: str):
        pytester.makepyfile(test_mine=PROTOCOL + tests)
        quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # it is loaded here already
        return pytester.runpytest_inprocess(*PLUGIN, *quiet, "-p", "no:cacheprovider", *options)

    return run


@pytest.fixture
def written(pytester):
    """The files in the folder of failed checks."""
    return lambda folder="eplb-failures": sorted((pytester.path / folder).glob("*"))


def test_a_failure_prints_the_explanation_and_writes_a_vector_that_says_the_same(
    run, written, capsys
):
    result = run("def test_it(): assert_no_hang(protocol(1))\n")

    result.assert_outcomes(failed=1)
    (path,) = written()
    result.stdout.fnmatch_lines(
        [
            "E*waits_for_nobody: deadlock, on every run",
            "E*However",
            "E*How to get there*",
            "*eplb-checker*",
            f"eplb-failures/{path.name} holds the vector of this deadlock; *",
            f"  eplb-model check eplb-failures/{path.name} --explain",
            "*vectors of failed checks*",
            f"eplb-failures/{path.name}",
        ]
    )
    capsys.readouterr()
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.startswith("waits_for_nobody: deadlock, on every run\n")


def test_the_traceback_ends_in_the_users_line(run):
    result = run("def test_it(): assert_no_hang(protocol(1))\n", "--tb=short")

    result.stdout.fnmatch_lines(["test_mine.py:*: in test_it"])
    assert "testing.py" not in result.stdout.str()


def test_what_holds_writes_nothing_and_says_nothing(run, written):
    result = run("def test_it(): assert assert_no_hang(protocol(0)).verdict == 'ok'\n")

    result.assert_outcomes(passed=1)
    assert written() == []
    assert "eplb-failures" not in result.stdout.str()
    assert "eplb-model" not in result.stdout.str()


def test_the_same_failure_has_the_same_file_whoever_runs_it(run, written):
    run(
        "def test_one(): assert_no_hang(protocol(1))\ndef test_two(): assert_no_hang(protocol(1))\n"
    )
    once = [(path.name, path.read_bytes()) for path in written()]
    run("def test_three(): assert_no_hang(protocol(1))\n")

    assert len(once) == 1
    assert [(path.name, path.read_bytes()) for path in written()] == once


HYPOTHESIS = """
from hypothesis import given, settings, strategies as st

@settings(database=None, deadline=None)
@given(st.integers(0, 3))
def test_any(copies):
    assert_no_hang(protocol(copies))
"""


def test_of_all_that_hypothesis_tries_only_the_smallest_becomes_a_file(run, written):
    result = run(HYPOTHESIS)

    result.assert_outcomes(failed=1)
    (path,) = written()
    result.stdout.fnmatch_lines(["*test_any(", "*copies=1,"])
    assert json.loads(path.read_text())["programs"]["r0.more"] == [
        {"repeat": 1, "do": [["barrier", "world"]]}
    ]


def test_a_schedule_that_hypothesis_draws_becomes_a_file_too(run, written, capsys):
    result = run(
        "from hypothesis import given, settings\n"
        "from eplb_model.strategies import schedules\n"
        "from eplb_model.testing import assert_run\n"
        "SCENARIO = protocol(1).scenario()\n"
        "@settings(database=None, deadline=None)\n"
        "@given(schedules(SCENARIO))\n"
        "def test_any(schedule): assert_run(SCENARIO, schedule)\n"
    )

    result.assert_outcomes(failed=1)
    assert len(written()) == 1
    result.stdout.fnmatch_lines(["E*How to get there (*"])
    capsys.readouterr()
    again = next(line for line in result.outlines if line.startswith("  eplb-model replay"))
    assert main(shlex.split(again)[1:]) == 0
    assert "is in barrier on group world: waits for rank 1" in capsys.readouterr().out
    drawn = shlex.split(again)[-1]
    result.stdout.fnmatch_lines([f"*schedule='{drawn}',"])


def test_a_schedule_that_was_printed_is_pasted_as_an_example(run):
    result = run(
        "from hypothesis import example, given, settings\n"
        "from eplb_model.strategies import schedules\n"
        "from eplb_model.testing import assert_run\n"
        "@settings(database=None, deadline=None, max_examples=1)\n"
        "@given(schedules(protocol(0)))\n"
        "@example('0.main 1.main')\n"
        "def test_good(schedule): assert_run(protocol(0), schedule)\n"
        "def test_text(): assert_run(protocol(1), '1.main 0.main 0.more 1.main 0.main')\n"
    )

    result.assert_outcomes(passed=1, failed=1)


def test_verdicts_are_counted_in_the_statistics_of_hypothesis(run):
    holds = HYPOTHESIS.replace("protocol(copies)", "protocol(0)")
    result = run(holds, "--hypothesis-show-statistics")

    result.stdout.fnmatch_lines(["*100.00%, eplb: ok"])


def test_a_profile_of_the_users_own_is_left_alone(run, pytester):
    pytester.makeconftest(
        "from hypothesis import settings\n"
        "settings.register_profile('mine', max_examples=7)\n"
        "settings.load_profile('mine')\n"
    )
    result = run(
        "from hypothesis import settings\n"
        "def test_it(): assert settings().max_examples == 7; assert_no_hang(protocol(0))\n",
        "--eplb-profile=thorough",
    )

    result.assert_outcomes(passed=1)


def properties(pytester, name: str) -> dict[str, str]:
    tree = ET.parse(pytester.path / "junit.xml")
    case = next(each for each in tree.iter("testcase") if each.get("name") == name)
    return {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}


def test_junit_has_the_hash_and_the_verdict(run, pytester, written):
    run(
        "def test_good(): assert_no_hang(protocol(0))\n"
        "def test_bad(): assert_no_hang(protocol(1))\n"
        "def test_twice(): assert_no_hang(protocol(0)); assert_finds(protocol(1), 'deadlock')\n"
        "def test_else(): pass\n",
        "--junitxml=junit.xml",
    )

    (path,) = written()
    good, bad = properties(pytester, "test_good"), properties(pytester, "test_bad")
    assert (good["eplb_verdict"], len(good["eplb_vector"])) == ("ok", 64)
    assert bad["eplb_verdict"] == "deadlock"
    assert path.name == f"waits_for_nobody-{bad['eplb_vector'][:12]}.json"
    assert bad["eplb_file"] == f"eplb-failures/{path.name}"
    assert properties(pytester, "test_twice") == {"eplb_checks": "2"}
    assert properties(pytester, "test_else") == {}


@pytest.mark.slow
def test_workers_write_each_vector_once_and_the_controller_lists_all(pytester, monkeypatch):
    """All tests of one protocol fail alike, in two processes at once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    tests = "".join(f"def test_{n}(): assert_no_hang(protocol(1 + {n} % 2))\n" for n in range(8))
    pytester.makepyfile(test_mine=PROTOCOL + tests)
    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "2", "--junitxml=junit.xml")

    result.assert_outcomes(failed=8)
    files = sorted((pytester.path / "eplb-failures").glob("*"))
    assert [path.suffix for path in files] == [".json", ".json"]
    summary = result.stdout.str().rpartition("vectors of failed checks")[2]
    assert [line for line in summary.splitlines() if line.startswith("eplb-failures/")] == [
        f"eplb-failures/{path.name}" for path in files
    ]
    hashes = {properties(pytester, f"test_{n}")["eplb_vector"][:12] for n in range(8)}
    assert hashes == {path.stem.rpartition("-")[2] for path in files}


# --- options -----------------------------------------------------------------------------------

CUT = "def test_it(): assert_no_hang(protocol(5))\n"


def test_a_search_that_was_cut_fails_and_names_the_option(run):
    result = run(CUT, "--eplb-max-states=3")

    result.stdout.fnmatch_lines(
        [
            "*waits_for_nobody: unknown*",
            "*cut by max_states (3): a larger --eplb-max-states goes on*",
        ]
    )


def test_a_time_limit_cuts_too(run):
    result = run(CUT, "--eplb-time-limit=1e-9")

    result.stdout.fnmatch_lines(["*cut by time_limit (1e-09)*"])


def test_what_is_allowed_passes(run):
    allowed = CUT.replace("protocol(5)", "protocol(5), allow=['unknown']")
    result = run(allowed, "--eplb-max-states=3")

    result.assert_outcomes(passed=1)


def test_options_stand_in_the_configuration_file_too_and_the_command_line_goes_first(
    run, pytester, written
):
    pytester.makeini("[pytest]\neplb_max_states = 3\neplb_artifacts = kept\n")

    run(CUT).stdout.fnmatch_lines(["*cut by max_states (3)*"])
    assert len(written("kept")) == 1
    run(CUT, "--eplb-max-states=4", "--eplb-artifacts=here").stdout.fnmatch_lines(
        ["*cut by max_states (4)*"]
    )
    assert len(written("here")) == 1


def test_sampling_can_be_asked_for(run):
    result = run(CUT, "--eplb-strategy=uniform", "--eplb-runs=5", "--eplb-seed=1")

    result.stdout.fnmatch_lines(["*sampled uniformly*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--eplb-strategy=best", "*--eplb-strategy: got 'best'; known: bfs, dfs, uniform, pct"),
        ("--eplb-profile=huge", "*--eplb-profile huge: known: quick, default, thorough"),
        ("--eplb-max-states=0", "*--eplb-max-states: got 0; expected more than 0"),
        ("--eplb-max-states=many", "*--eplb-max-states: invalid int value: 'many'"),
    ],
)
def test_an_option_that_can_not_be_used_ends_the_run(run, option, message):
    result = run(CUT, option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_wrong_setting_of_the_configuration_file_ends_the_run(run, pytester):
    pytester.makeini("[pytest]\neplb_max_states = many\n")

    assert run(CUT).ret == pytest.ExitCode.USAGE_ERROR


def test_the_help_names_every_option(run):
    printed = run("", "--help").stdout.str()

    names = ("max-states", "time-limit", "strategy", "runs", "seed", "artifacts", "profile")
    assert all(f"--eplb-{name}" in printed for name in names)


def test_the_strategies_are_those_of_the_check():
    assert set(STRATEGIES) <= set(OF_THE_CHECK)


def test_loading_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, eplb_model.pytest_plugin\n"
        "print(sorted(name for name in sys.modules if name.startswith('eplb_model')),"
        " sorted({'hypothesis', 'networkx', 'torch', 'json.decoder'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    modules = ["eplb_model", "eplb_model.pytest_plugin", "eplb_model.session"]
    assert done.stdout.startswith(f"{modules} [")
    assert not any(name in done.stdout for name in ("hypothesis", "networkx", "torch"))


def test_a_scenario_that_no_vector_can_hold_is_told(run, written):
    result = run(
        "from dataclasses import replace\n"
        "def test_it():\n"
        "    scenario = protocol(1).scenario()\n"
        "    assert_no_hang(scenario.on(replace(scenario.machine, name='mine')))\n"
    )

    result.stdout.fnmatch_lines(["no vector can hold this scenario: machine mine is no preset*"])
    assert written() == []


def test_a_scenario_may_have_any_text_as_its_name(run, written, capsys):
    run(
        "from dataclasses import replace\n"
        "def test_it(): assert_no_hang(replace(protocol(1).scenario(), name='../2 of mine'))\n"
    )

    (path,) = written()
    assert path.name.startswith("_2_of_mine-")
    capsys.readouterr()
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.startswith("scenario_2_of_mine: deadlock")


def test_failures_are_found_in_groups_and_behind_other_errors():
    plan = RankPlan((ThreadPlan("main", ()),), ())
    scenario = Scenario("idle", MACHINES["tiny"], {}, (plan,))
    report = assert_no_hang(scenario)
    one, two = (CheckFailed(name, Checked(report, lambda: "")) for name in ("one", "two"))
    behind = ValueError("behind")
    behind.__cause__ = two

    group = BaseExceptionGroup("several", [one, BaseExceptionGroup("inner", [behind, one])])
    assert [each.report for each in _failed(group)] == [report, report]
    assert list(_failed(ValueError("else"))) == []
