"""The benchmark tells the truth: a wrong count ends it with 1, a missed target is printed."""

import re
import subprocess
import sys

import pytest

from tests.bench import spin
from tests.bench.children import measured
from tests.bench.reduced import slope
from tests.bench.table import Table

PARTS = ["unreduced", "reduced", "cut-off", "growth", "cold start", "depth", "protocols", "advise"]
ROW = re.compile(r"  .+ \d+\.\d\d s +\d+ MiB +\d+( .*)?")
TARGET = re.compile(r"    target: .+: .+ -> (met|MISSED|not judged)")


def bench(*words, path=None):
    command = (sys.executable, "-m", "tests.bench", *words)
    environment = None if path is None else {"PATH": path, "PYTHONPATH": "."}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_count_that_differs_is_an_error(capsys):
    table = Table()
    table.exact("deadlocks", 5, 4)

    assert table.end() == 1
    assert "deadlocks: 5, EXPECTED 4\n" in capsys.readouterr().out


def test_a_missed_target_is_printed_twice_and_is_no_error(capsys):
    table = Table(part="growth")
    table.target("at most 2", "3", met=False)

    assert table.end() == 0
    told = capsys.readouterr().out
    assert "target: at most 2: 3 -> MISSED\n" in told
    assert "0 targets met, 1 missed\n  missed  growth: at most 2: 3\n" in told


def test_small_sizes_say_nothing_of_a_target(capsys):
    table = Table(judges=False)
    table.target("at most 2", "1", met=True)

    assert (table.met, table.missed) == (0, [])
    assert "-> not judged" in capsys.readouterr().out


def test_the_exponent_of_a_square_is_two():
    assert slope([(n, 7.0 * n * n) for n in (16, 64, 256)]) == pytest.approx(2)


def test_a_child_is_measured_by_its_own_time_and_memory():
    hungry = measured((sys.executable, "-c", "x = bytearray(64 << 20); print(len(x))"), 2)

    assert hungry.output == f"{64 << 20}\n"
    assert hungry.mebibytes > 64
    assert (hungry.runs, hungry.done) == (2, True)


@pytest.mark.slow
def test_a_child_that_does_not_end_is_ended_and_not_run_again():
    endless = measured((sys.executable, "-c", "while True: pass"), 3, limit=1)

    assert (endless.runs, endless.done) == (1, False)
    assert 0.5 < endless.seconds < 3


@pytest.mark.slow
def test_the_quick_benchmark_has_every_part_with_rows_and_targets():
    done = bench("--quick")
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stdout + done.stderr
    titles = [line.split(":")[0] for line in lines if re.match(r"[a-z-]+( start)?: ", line)]
    assert [each for each in titles if each in PARTS] == PARTS
    assert sum(ROW.fullmatch(line) is not None for line in lines) >= 18
    targets = [line for line in lines if "target:" in line]
    assert len(targets) >= 8
    assert all(TARGET.fullmatch(line) for line in targets)
    assert "    deadlocks, closed form 2 L^2 (2^N - 2): 12" in lines
    assert "EXPECTED" not in done.stdout
    assert (spin.missing() is None) == ("Spin, expert -O2" in done.stdout)


@pytest.mark.slow
def test_without_spin_the_rest_is_printed():
    done = bench("--quick", "unreduced", path="/nowhere")

    assert done.returncode == 0
    assert "without Spin: spin is not installed; its lines are left out" in done.stdout
    assert "    deadlocks, closed form 2 L^2 (2^N - 2): 12" in done.stdout
    assert "Spin, expert" not in done.stdout
