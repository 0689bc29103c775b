"""Whatever dies, nothing is left behind, and a rank that goes is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eplb_real import run as run_module
from eplb_real.nursery import Nursery
from tests.real.places import children_of, handing_over, hanging, left_of

RUNNER = """
import sys
from eplb_real.hub import Hub
from eplb_real.nursery import Nursery
from eplb_real.run import Order, _Run
from eplb_real.drivers.registry import DRIVERS
from tests.real.places import children_of, hanging
from pathlib import Path

nursery = Nursery.started()
with Hub(nursery) as hub:
    run = _Run(hanging(3), DRIVERS["threads"], hub, Path(sys.argv[1]), Order())
    run._begin()
    print(nursery.pid, *(link.pid for link in hub.links), flush=True)
    sys.stdin.read()
"""


def test_a_runner_that_is_killed_leaves_no_process_behind(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as runner:
        assert runner.stdout is not None
        pids = [int(word) for word in runner.stdout.readline().split()]
        runner.kill()

    assert len(pids) == 2
    assert left_of(pids) == []


def test_a_rank_that_is_killed_in_the_middle_is_reported(on_threads, monkeypatch):
    watch = run_module._Run._watch

    def kill_and_watch(self):
        os.kill(self._hub.links[0].pid, signal.SIGKILL)
        watch(self)

    monkeypatch.setattr(run_module._Run, "_watch", kill_and_watch)
    result = on_threads(hanging())

    assert result.outcome == "inconclusive"
    assert result.evidence[0] == "a place ended in the middle of the run"
    assert "ranks 0, 1" in result.evidence[1]
    assert "ended with status -9; last seen: " in result.evidence[1]


def test_a_nursery_signals_only_what_it_has_not_buried():
    nursery = Nursery.started()
    pid, control = nursery.spawn()
    with control:
        assert nursery.end(pid) == -signal.SIGKILL
        nursery.signal(pid, signal.SIGKILL)
        assert nursery.end(pid) == 0
    nursery.close()

    assert left_of([pid]) == []


def test_closing_a_nursery_ends_its_places():
    nursery = Nursery.started()
    pid, control = nursery.spawn()
    with control:
        nursery.close()

    assert left_of([pid]) == []


@pytest.mark.slow
def test_fifty_runs_leave_no_thread_process_or_file_descriptor(on_threads, nursery):
    on_threads(handing_over())
    before = _held(nursery)
    for _ in range(50):
        assert on_threads(handing_over()).outcome == "completed"

    assert _held(nursery) == before


def _held(nursery: Nursery) -> tuple[int, int, list[int], int]:
    pid = nursery.pid
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    theirs = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return threading.active_count(), descriptors, children_of(pid), theirs
