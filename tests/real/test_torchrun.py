"""Ranks that torchrun starts find each other, and each of them has its own place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eplb_real.torchrun import Meeting, TeamError, gather, meeting

ROOT = Path(__file__).parents[2]


def test_without_the_variables_of_torchrun_there_is_no_meeting():
    assert meeting({}) is None
    assert meeting({"RANK": "0", "WORLD_SIZE": "2"}) is None


def test_the_variables_of_torchrun_say_where_ranks_meet():
    found = meeting(
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    )

    assert found is not None
    assert (found.rank, found.size, found.place.name) == (1, 2, "29500-0")


def test_ranks_that_do_not_come_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("eplb_real.torchrun.MEET_WITHIN", 0.2)

    with pytest.raises(TeamError, match=r"ranks \[1, 2\] did not come in 0.2 s"):
        gather(Meeting(0, 3, tmp_path / "meeting"), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_ranks_of_torchrun_replay_a_vector(tmp_path):
    pytest.importorskip("torch", reason="torchrun comes with torch")
    port = 20000 + os.getpid() % 20000
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "eplb_real", "replay", "p2p_lists_differ", "--driver", "gloo"]
    ranks = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **variables, "RANK": str(rank), "TMPDIR": str(tmp_path)},
        )
        for rank in range(2)
    ]
    told = [rank.communicate(timeout=60)[0] for rank in ranks]

    assert [rank.returncode for rank in ranks] == [0, 0]
    assert told[0].startswith("agrees        p2p_lists_differ: the model says deadlock")
    assert told[1] == ""
