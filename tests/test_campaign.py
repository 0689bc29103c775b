"""Campaigns lose nothing, repeat nothing, and say the same wherever and however often they run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from eplb_model.campaign import Failed, Journal, Task, Workers, run_campaign
from eplb_model.campaign.output import fingerprint, write_out
from eplb_model.campaign.tasks import catalogue_tasks, random_tasks
from eplb_model.check import check
from eplb_model.cli import main
from eplb_model.commands import printing
from eplb_model.commands.shards import teller
from eplb_model.outcome import UsageError
from eplb_model.schema import schema

FLAGSHIP = "coop_vs_nccl_opposite_order"
SWEEP = ["sweep", FLAGSHIP, "--vary", "coop_ctas=112..132,2", "--vary", "nccl_ctas=5..8"]
POINTS = 11 * 4
DEADLINE = 60.0  # seconds

TASKS = tuple(Task(FLAGSHIP, (("coop_ctas", ctas),)) for ctas in (64, 96, 128, 132))
SHARDS = tuple((task,) for task in TASKS)


def _started(*words: str, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "eplb_model", *words, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _until(true: Callable[[], bool]) -> None:
    """Asks again and again; what is waited for is an event in another process, not a time."""
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)  # nobody tells


def _shards_in(journal: Path) -> int:
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in listed.read_text().split()] if listed.exists() else []


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- interrupted and resumed ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "map.jsonl"
    assert main([*SWEEP, "--out", str(out)]) == 1
    return out.read_bytes()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_sweep_that_was_stopped_and_goes_on_leaves_the_same_bytes(
    number, code, uninterrupted, tmp_path, capsys
):
    out = tmp_path / "map.jsonl"
    journal = tmp_path / "map.jsonl.part"
    process = _started(*SWEEP, out=out)
    _until(lambda: _shards_in(journal) >= 3)
    process.send_signal(number)
    process.communicate()

    assert process.returncode == code
    assert not out.exists()
    assert 3 <= _shards_in(journal) < POINTS
    assert main([*SWEEP, "--out", str(out), "--resume"]) == 1
    assert out.read_bytes() == uninterrupted
    assert not journal.exists()


@pytest.mark.slow
def test_workers_end_with_the_process_that_is_killed(tmp_path):
    out = tmp_path / "map.jsonl"
    process = _started(*SWEEP, "--jobs", "1", "--executor", "processes", out=out)
    _until(lambda: _shards_in(tmp_path / "map.jsonl.part") >= 1)
    children = _children(process.pid)
    process.kill()
    process.communicate()

    assert children
    _until(lambda: not any(_alive(child) for child in children))


def test_the_file_has_what_json_prints(uninterrupted, capsys):
    main([*SWEEP, "--json"])

    assert capsys.readouterr().out.encode() == uninterrupted


def test_a_finished_sweep_that_goes_on_does_nothing(tmp_path, monkeypatch, capsys):
    words = ["sweep", FLAGSHIP, "--vary", "coop_ctas=64,132", "--out", str(tmp_path / "x")]
    assert main(words) == 1
    monkeypatch.setattr("eplb_model.campaign.task.check", None)

    assert main([*words, "--resume"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume"], "--resume, --jobs and --executor need --out FILE"),
        (["--jobs", "2"], "need --out FILE"),
        (["--out", "{}/part"], "--resume goes on, or remove it"),
        (["--out", "{}/part", "--resume"], "the journal of another campaign"),
        (["--out", "{}/done", "--resume"], "the result of another campaign"),
        (["--out", "{}/text", "--resume"], "no result of a campaign"),
    ],
)
def test_what_is_there_already_is_respected(words, message, tmp_path, capsys):
    (tmp_path / "part.part").write_text('{"schema": "eplb-campaign-journal/1"}\n')
    write_out(tmp_path / "done", TASKS[:1], lambda lines: {})
    (tmp_path / "text").write_text("no\nresult\n")
    asked = ["sweep", FLAGSHIP, "--vary", "coop_ctas=64,96"]

    code = main([*asked, *(word.format(tmp_path) for word in words)])

    assert code == 2
    assert message in capsys.readouterr().err


def test_a_journal_has_one_writer(tmp_path):
    path = tmp_path / "x.part"
    with (
        Journal.opened(path, {}, resume=False),
        pytest.raises(UsageError, match="another process"),
        Journal.opened(path, {}, resume=True),
    ):
        pass


def test_a_torn_line_counts_as_not_written(tmp_path):
    path = tmp_path / "x.part"
    with Journal.opened(path, {}, resume=False) as journal:
        journal.add(2, [{"a": 1}])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"shard": 3, "lin')

    with Journal.opened(path, {}, resume=True) as journal:
        assert journal.done == {2: [{"a": 1}]}
    assert path.read_bytes() == whole


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_journal_that_is_torn_anywhere_is_gone_on_with(cut, tmp_path):
    path = tmp_path / "x.part"
    with Journal.opened(path, {}, resume=False) as journal:
        journal.add(0, [{"a": 1}])
    path.write_bytes(path.read_bytes()[:-cut])

    with Journal.opened(path, {}, resume=True) as journal:
        assert journal.done in ({}, {0: [{"a": 1}]})
        journal.add(1, [])
    with Journal.opened(path, {}, resume=True) as journal:
        assert 1 in journal.done


# --- shards --------------------------------------------------------------------------------------


def test_only_what_the_journal_lacks_is_done(tmp_path):
    asked: list[Task] = []

    def performer(shard):
        asked.extend(shard)
        return [{"n": shard[0].settings}]

    with Journal.opened(tmp_path / "x", {}, resume=False) as journal:
        journal.add(1, [{"n": "before"}])
        found = run_campaign(SHARDS, journal=journal, performer=performer)

    assert asked == [TASKS[0], TASKS[2], TASKS[3]]
    assert [line["n"] for line in found.lines][1] == "before"
    assert found.complete


def test_a_shard_that_fails_is_tried_again_and_then_reported():
    tries: list[int] = []

    def performer(shard):
        ctas = dict(shard[0].settings)["coop_ctas"]
        tries.append(ctas)
        if ctas == 96 or (ctas == 128 and tries.count(128) < 3):
            raise OSError("no memory")
        return [{"n": ctas}]

    found = run_campaign(SHARDS, retries=2, performer=performer)

    assert found.failed == [Failed(1, 3, "OSError: no memory")]
    assert [line["n"] for line in found.lines] == [64, 128, 132]
    assert (tries.count(96), tries.count(128)) == (3, 3)
    assert found.complete


def test_a_failed_shard_leaves_the_journal_and_no_result(tmp_path, monkeypatch, capsys):
    def fails(scenario, search):
        if dict(scenario.parameters)["coop_ctas"] == 96:
            raise OSError("no memory")
        return check(scenario, search)

    monkeypatch.setattr("eplb_model.campaign.task.check", fails)
    words = ["sweep", FLAGSHIP, "--vary", "coop_ctas=64,96", "--out", str(tmp_path / "x")]
    code = main([*words, "--retries", "1"])

    assert code == 5
    assert "shard 1 failed 2 times: OSError: no memory" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    monkeypatch.undo()
    assert main([*words, "--resume"]) == 0


def dies_at_96(shard):
    if dict(shard[0].settings)["coop_ctas"] == 96:
        os._exit(9)
    return [{"n": dict(shard[0].settings)["coop_ctas"]}]


@pytest.mark.slow
def test_a_worker_that_dies_costs_only_the_shard_that_killed_it():
    found = run_campaign(SHARDS, Workers("processes", 2), retries=1, performer=dies_at_96)

    assert [(each.shard, each.attempts) for each in found.failed] == [(1, 2)]
    assert [line["n"] for line in found.lines] == [64, 128, 132]


def test_stop_is_heard_between_shards():
    asked: list[object] = []

    def performer(shard):
        asked.append(shard)
        return []

    found = run_campaign(SHARDS, performer=performer, stop=lambda: len(asked) >= 2)

    assert (len(asked), found.complete, sorted(found.done)) == (2, False, [0, 1])


# --- the same everywhere -------------------------------------------------------------------------

SAMPLES = random_tasks(Task("p2p_vs_collective_two_threads", strategy="uniform", runs=40), 4)


def test_shards_share_the_runs_and_have_seeds_of_their_own():
    tasks = random_tasks(Task("x", strategy="pct", runs=10, seed=7), 4)

    assert [each.runs for each in tasks] == [3, 3, 2, 2]
    assert len({each.seed for each in tasks}) == 4
    assert tasks == random_tasks(Task("x", strategy="pct", runs=10, seed=7), 4)
    assert tasks != random_tasks(Task("x", strategy="pct", runs=10, seed=8), 4)


def test_more_shards_than_runs_make_no_empty_ones():
    assert [each.runs for each in random_tasks(Task("x", strategy="pct", runs=2), 5)] == [1, 1]


@pytest.mark.slow
def test_processes_say_what_one_process_says():
    shards = [(task,) for task in SAMPLES]

    assert run_campaign(shards, Workers("processes", 2)).lines == run_campaign(shards).lines


@pytest.mark.slow
def test_a_ray_cluster_says_what_one_process_says():
    pytest.importorskip("ray", reason="pip install 'eplb-checker[cluster]'")
    shards = [(task,) for task in SAMPLES]

    assert run_campaign(shards, Workers("ray", 2)).lines == run_campaign(shards).lines


@pytest.mark.slow
def test_a_cluster_that_is_there_is_used_and_left_as_it_was():
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="no Ray here")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        shards = [(task,) for task in SAMPLES]
        for _ in range(2):
            found = run_campaign(shards, Workers("ray", 2, cluster.address))
            assert found.lines == run_campaign(shards).lines
    finally:
        cluster.shutdown()


def test_without_ray_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "eplb_model.campaign.over_ray", raising=False)
    words = ["campaign", "catalogue", "event_order", "--executor", "ray"]

    assert main([*words, "--out", str(tmp_path / "x")]) == 4
    assert "eplb-checker[cluster]" in capsys.readouterr().err


def test_a_campaign_is_known_by_its_tasks():
    assert fingerprint(TASKS) == fingerprint(TASKS)
    assert fingerprint(TASKS) != fingerprint([replace(TASKS[0], seed=1), *TASKS[1:]])
    assert fingerprint(TASKS) != fingerprint(TASKS[1:])


# --- the command ---------------------------------------------------------------------------------


def test_the_catalogue_agrees_with_itself(tmp_path, capsys):
    out = tmp_path / "catalogue.jsonl"

    assert main(["campaign", "catalogue", "event_order", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    count = len(catalogue_tasks(["event_order"]))
    assert len(lines) == count + 1
    assert (lines[-1]["schema"], lines[-1]["agree"]) == ("eplb-campaign/1", count)
    jsonschema.validate(lines[-1], schema("eplb-campaign/1"))


def test_a_vector_that_does_not_keep_its_word_is_a_disagreement(tmp_path, capsys):
    path = tmp_path / "wrong.json"
    path.write_text(
        json.dumps(
            {
                "schema": "eplb-vector/1",
                "name": "wrong",
                "about": "",
                "base": FLAGSHIP,
                "expect": {"verdict": "ok"},
            }
        )
    )

    assert main(["campaign", "catalogue", str(path), "--out", str(tmp_path / "x")]) == 1
    assert "1 disagree" in capsys.readouterr().out


def test_random_exploration_finds_the_hang(tmp_path, capsys):
    words = f"campaign random {FLAGSHIP} --strategy uniform --runs 6 --shards 3".split()

    assert main([*words, "--out", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().out == "campaign: 3 shards, 3 runs, 3 findings\n"


# --- progress ------------------------------------------------------------------------------------


def test_progress_is_quiet_where_nobody_looks(uninterrupted, tmp_path, capsys):
    main(["sweep", FLAGSHIP, "--vary", "coop_ctas=64,96", "--out", str(tmp_path / "x")])

    assert capsys.readouterr().err == ""


def test_progress_says_the_rate_and_what_is_left(monkeypatch):
    told: list[str] = []
    clock = iter([0.0, 1.0, 4.0])
    monkeypatch.setattr("eplb_model.commands.shards.progress", told.append)
    monkeypatch.setattr("eplb_model.commands.shards.time.monotonic", lambda: next(clock))
    tell = teller(100)
    tell(41)  # 40 were in the journal
    tell(44)

    assert told[-1] == "44 of 100, 1.0 per second, 56 s to go"


def test_progress_has_no_colour(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    printing.progress("1 of 2")

    assert capsys.readouterr().err == "\r\033[K1 of 2"
