"""The command line: documents, exit codes, errors in one line, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from eplb_model.cli import COMMANDS, main
from eplb_model.schema import schema
from eplb_model.step import step

ROOT = Path(__file__).parents[1]
FLAGSHIP = "coop_vs_nccl_opposite_order"


def _json(capsys, *arguments: str) -> tuple[int, dict]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_hang_on_real_numbers_is_a_deadlock_on_every_run(capsys):
    code, report = _json(
        capsys, "check", FLAGSHIP, "--set", "coop_ctas=128", "--set", "nccl_ctas=8"
    )

    assert code == 1
    assert (report["schema"], report["verdict"], report["when"]) == (
        "eplb-report/1",
        "deadlock",
        "every",
    )
    assert report["circle"] == ["0.compute", "0.side", "1.side", "1.compute", "0.compute"]
    assert {each["actor"] for each in report["waiting"]} >= set(report["circle"])


def test_fewer_nccl_ctas_hold(capsys):
    code, report = _json(
        capsys, "check", FLAGSHIP, "--set", "coop_ctas=128", "--set", "nccl_ctas=4"
    )

    assert (code, report["verdict"], report["schedule"]) == (0, "ok", [])


def test_channels_that_trickle_hold_and_the_report_says_serialised(capsys):
    settings = ["nccl_ctas=2", "nccl_cluster=1", "coop_ctas=131"]
    code, report = _json(
        capsys, "check", FLAGSHIP, *(word for each in settings for word in ("--set", each))
    )

    assert (code, report["verdict"], report["serialised"]) == (0, "ok", "always")


def test_the_documented_workaround_is_not_enough_for_large_operations(capsys):
    settings = ["experts=256", "nccl_max_ctas=8", "ranks=2", "bytes_per_op=268435456"]
    code, report = _json(
        capsys,
        "check",
        "deepep_ll_async_eplb",
        *(word for each in settings for word in ("--set", each)),
    )

    assert (code, report["verdict"]) == (1, "deadlock")
    assert "8 CTAs in clusters of 4" in report["kernels"]["exchange"]
    assert any("4 free SMs in one GPC" in each["why"] for each in report["waiting"])


def test_a_report_has_the_keys_of_the_law(capsys):
    _, report = _json(capsys, "check", FLAGSHIP)

    assert set(report) >= {
        "schema", "scenario", "parameters", "verdict", "when", "serialised", "states", "depth",
        "schedule", "waiting", "circle", "bounds", "switches", "assumptions",
    }  # fmt: skip


def test_the_printed_replay_command_leads_to_the_same_end(capsys):
    main(["check", FLAGSHIP])
    printed = capsys.readouterr().out
    command = printed.partition("Replay:\n")[2].splitlines()[0].strip()
    done = subprocess.run(
        ["bash", "-c", command.replace("eplb-model", f"{sys.executable} -m eplb_model", 1)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert "deadlock: nobody can move" in done.stdout
    assert "0.compute -> 0.side -> 1.side -> 1.compute -> 0.compute" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "coop_vs_nccl_oposite_order"], "coop_vs_nccl_opposite_order"),
        (["check", FLAGSHIP, "--set", "coop_cta=1"], "coop_ctas"),
        (["check", FLAGSHIP, "--set", "coop_ctas=many"], "coop_ctas"),
        (["check", FLAGSHIP, "--set", "coop_ctas"], "expected name=value"),
        (["check", FLAGSHIP, "--machine", "h900"], "h200"),
        (["check", FLAGSHIP, "--switch", "packing=tight"], "known: rule, best, worst"),
        (["check", FLAGSHIP, "--switch", "paking=best"], "packing"),
        (["check", "nowhere.json"], "nowhere.json"),
        (["sweep", FLAGSHIP, "--vary", "coop_ctas=9..1"], "an empty range"),
        (["sweep", FLAGSHIP, "--vary", "coop_ctas=a..b"], "expected k=a..b"),
        (["replay", FLAGSHIP, "--schedule", "0.mian"], "no actor '0.mian'; known: 0.compute"),
        (["replay", FLAGSHIP, "--schedule", "0.main"], "step 1: 0.main can't move"),
        (["conform", "nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys):
    code = main(arguments)
    out, err = capsys.readouterr()

    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_bound_gives_unknown_and_exit_code_3(capsys):
    code, report = _json(capsys, "check", FLAGSHIP, "--set", "order=free", "--max-states", "10")

    assert (code, report["verdict"], report["bounds"]["cut"]) == (3, "unknown", "max_states")


def test_a_sweep_prints_a_line_for_each_point_and_totals(capsys):
    code = main(
        ["sweep", FLAGSHIP, "--vary", "coop_ctas=124..132,4", "--vary", "nccl_ctas=4,8", "--json"]
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert code == 1
    assert [line["verdict"] for line in lines[:-1]] == [
        "ok", "ok", "ok", "deadlock", "deadlock", "deadlock",
    ]  # fmt: skip
    assert lines[-1] == {"schema": "eplb-sweep/1", "points": 6, "deadlock": 3, "ok": 3}


def test_a_sweep_in_which_all_is_well_exits_with_0():
    assert main(["sweep", FLAGSHIP, "--vary", "coop_ctas=64,96", "--set", "nccl_ctas=4"]) == 0


def test_list_names_every_vector_with_its_verdict(capsys):
    code, listed = _json(capsys, "list")

    assert code == 0
    assert listed["schema"] == "eplb-list/1"
    assert {"coop_vs_nccl_capped", FLAGSHIP} <= {each["name"] for each in listed["vectors"]}


def test_show_says_what_every_thread_does(capsys):
    assert main(["show", FLAGSHIP]) == 0

    printed = capsys.readouterr().out
    assert "thread main of rank 0:" in printed
    assert "launch moe compute" in printed


def test_help_has_examples():
    done = subprocess.run(
        [sys.executable, "-m", "eplb_model", "--help"], capture_output=True, text=True, check=True
    )

    assert "examples:" in done.stdout


def test_an_interrupted_check_says_what_was_reached(capsys, monkeypatch):
    """The signal comes from within the search, so that nothing has to be waited for."""
    asked = iter(range(10**9))

    def step_that_is_interrupted(state, action):
        if next(asked) == 100:
            os.kill(os.getpid(), signal.SIGINT)
        return step(state, action)

    monkeypatch.setattr("eplb_model.explore.search.step", step_that_is_interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        code, report = _json(capsys, "check", FLAGSHIP, "--set", "order=free", "--plain")
    finally:
        signal.signal(signal.SIGINT, before)

    assert code == 130
    assert (report["verdict"], report["bounds"]["cut"]) == ("unknown", "interrupted")
    assert 10 < report["states"] < 200


def test_the_model_loads_neither_torch_nor_numpy():
    code = """
import sys, importlib
from eplb_model.cli import COMMANDS
for name in COMMANDS:
    importlib.import_module(f"eplb_model.commands.{name}")
print(sorted({'torch', 'numpy'} & set(sys.modules)), len(COMMANDS) > 5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[] True\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])

    assert stopped.value.code == 0
    assert COMMANDS[name] in " ".join(capsys.readouterr().out.split())


def test_every_file_of_commands_is_a_command_or_shared_by_some():
    files = {each.stem for each in (ROOT / "eplb_model" / "commands").glob("*.py")}

    shared = {"__init__", "all_ranks", "examples", "printing", "searching", "shards", "vectors"}
    assert files - set(COMMANDS) == shared


def test_the_help_of_all_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    words = capsys.readouterr().out.split()
    assert set(COMMANDS) <= set(words)


def test_the_same_question_gives_the_same_bytes_whatever_the_hash_seed():
    outputs = set()
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-m", "eplb_model", "check", FLAGSHIP, "--set", "order=free"],
            capture_output=True, check=False, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        outputs.add(done.stdout)

    assert len(outputs) == 1


@pytest.mark.parametrize(
    "vector", [FLAGSHIP, "coop_vs_nccl_capped", "event_wait_before_record", "worker_dies_silently"]
)
def test_a_report_fits_its_schema_and_has_no_key_that_it_does_not_name(vector, capsys):
    _, report = _json(capsys, "check", vector)
    described: Any = schema("eplb-report/1")

    jsonschema.validate(report, described)
    assert set(report) <= set(described["properties"])


def test_a_race_says_which_edge_is_missing(capsys):
    _, report = _json(capsys, "check", "event_wait_before_record")

    assert report["details"][-1].startswith("nothing makes 0.compute wait for 0.side")
