"""The command line: documents, exit codes, errors in one line, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from eplb_model.schema import schema
from eplb_real.cli import main
from eplb_real.drivers.registry import DRIVERS
from eplb_real.run import Outcome

ROOT = Path(__file__).parents[2]


def _json(capsys, *arguments: str) -> tuple[int, dict]:
    """Exit code and document, which is as its schema says."""
    code = main([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema(found["schema"]))
    return code, found


def test_a_replay_that_agrees_exits_0_and_says_what_it_saw(capsys):
    code, found = _json(capsys, "replay", "p2p_lists_differ")

    assert (code, found["schema"], found["driver"]) == (0, "eplb-replay/1", "threads")
    assert [(each["vector"], each["answer"]) for each in found["vectors"]] == [
        ("p2p_lists_differ", "agrees")
    ]


def test_the_outcomes_of_the_schema_are_those_of_a_run():
    runs = schema("eplb-replay/1")["properties"]["vectors"]["items"]["properties"]["runs"]  # type: ignore[index]

    assert runs["items"]["properties"]["outcome"]["enum"] == list(get_args(Outcome))


def test_what_gpus_have_shown_is_as_its_schema_says():
    kept = json.loads((ROOT / "eplb_model/measured/transcripts/gpu2.json").read_text("utf-8"))

    jsonschema.validate(kept, schema(kept["schema"]))


def test_a_schedule_of_the_user_is_enforced(capsys):
    code, found = _json(capsys, "replay", "locks_in_opposite_order", "--schedule", "0.main 0.main")

    (vector,) = found["vectors"]
    (run,) = vector["runs"]
    assert (code, run["granted"]) == (0, ["0.main", "0.main"])


def test_a_vector_names_its_drivers(capsys):
    code, found = _json(capsys, "list", "--driver", "gloo")
    refused = {row["name"]: row["refused"]["gloo"] for row in found["vectors"]}

    assert code == 0
    assert refused["coop_vs_nccl_opposite_order"] == ["the vector is for threads, cuda"]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["replay"], 2, "expected a vector or --all, and not both"),
        (["replay", "nothing"], 2, "unknown vector"),
        (["replay", "p2p_lists_agree", "--set", "ranks"], 2, "expected name=value"),
        (["replay", "p2p_lists_agree", "--schedule", "7.main"], 2, "no actor '7.main'"),
        (["replay", "--all", "--nproc", "2"], 2, "go with one vector"),
        (["replay", "p2p_lists_agree", "--driver", "cuda"], 4, "driver cuda"),
        (["replay", "p2p_lists_agree", "--version", "0.20.0"], 2, "goes with --driver vllm"),
    ],
)
def test_what_can_not_be_used_is_one_line(capsys, arguments, code, error):
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert error in told
    assert told.count("\n") == 1


def test_a_driver_without_its_library_exits_4(capsys, monkeypatch):
    monkeypatch.setattr(
        "eplb_real.commands.choosing.lacking", lambda modules: ["torch"] if modules else []
    )

    assert main(["replay", "p2p_lists_agree", "--driver", "gloo"]) == 4
    assert capsys.readouterr().err == (
        "eplb-real: driver gloo needs torch, which is not installed; "
        "`eplb-real doctor` says what runs here\n"
    )


def test_a_vector_without_the_library_it_needs_exits_4(capsys, monkeypatch):
    monkeypatch.setattr(
        "eplb_real.commands.replay.lacking", lambda modules: ["torch"] if modules else []
    )

    assert main(["replay", "cpu_gpu_event_handshake"]) == 4
    assert capsys.readouterr().err == (
        "eplb-real: cpu_gpu_event_handshake needs torch, which is not installed\n"
    )


@pytest.mark.slow  # it imports torch
def test_the_doctor_says_what_each_driver_lacks(capsys):
    code, found = _json(capsys, "doctor")

    assert code == 0
    assert list(found["drivers"]) == list(DRIVERS)
    assert found["drivers"]["threads"] == []


@pytest.mark.slow
def test_the_doctor_exits_4_for_a_driver_that_is_needed_and_lacks_something(capsys):
    for name, missing in _json(capsys, "doctor")[1]["drivers"].items():
        code, _ = _json(capsys, "doctor", "--driver", "threads", "--driver", name)
        assert code == (4 if missing else 0)


@pytest.mark.slow
def test_an_interrupted_replay_exits_130_with_what_was_reached():
    with subprocess.Popen(
        [sys.executable, "-m", "eplb_real", "replay", "--all"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert process.returncode == 130
    assert first.startswith("agrees")
    assert re.fullmatch(r"\d+ agrees(, \d+ declined)?", rest.splitlines()[-1])
