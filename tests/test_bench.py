"""The benchmark tells the truth: a wrong count ends it with 1, a missed target is printed."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from eplb_model.explore.fast.packed import count_everything
from eplb_model.vector import load
from tests.bench import spin
from tests.bench.beside_spin import FOUR, judge, ratio
from tests.bench.children import Measured, measured
from tests.bench.commands import CAPPED, HANGS
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


def asked(made, seconds, output="", *, done=True):
    return spin.Asked(made, Measured(seconds, 1.0, output, 1, done))


def test_a_ratio_counts_what_makes_the_verifier_and_is_told_apart_from_the_verifier_alone():
    assert ratio(0.5, asked(1.5, 0.04)) == "x 3.1 with 1.5 s of spin and gcc, x 0.08 pan alone"


def test_the_ratio_to_a_verifier_that_was_ended_is_a_lower_bound(capsys):
    table = Table(part="reduced")
    judge(table, FOUR, "by hand", 0.2, asked(1.0, 99.5, done=False))
    judge(table, FOUR, "by hand", 0.2, asked(1.0, 50.0))

    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith(
        "at least x 502 with 1.0 s of spin and gcc, at least x 498 pan alone -> met"
    )
    assert told[1].endswith(": x 255 with 1.0 s of spin and gcc, x 250 pan alone -> MISSED")


def test_what_a_verifier_had_seen_is_the_last_that_it_told():
    progress = "Depth= 432 States=    {} Transitions= 9.13e+06 Memory=   139.007\n"

    assert asked(0, 1, progress.format("1e+06") + progress.format("1.3e+07")).seen == 13_000_000
    assert asked(0, 1).seen is None


@pytest.mark.slow
@pytest.mark.skipif(spin.missing() is not None, reason="needs spin and gcc")
def test_a_verifier_without_memory_is_not_done(tmp_path):
    small = replace(spin.FOLLOWED, gcc=(*spin.COUNT.gcc, "-DMEMLIM=60"))
    sizes = ("-DN=3", "-DK=1")

    assert not spin.ask(spin.OPPOSITE, small, 1, tmp_path, defines=sizes).ran.done
    assert spin.ask(spin.OPPOSITE, spin.FOLLOWED, 1, tmp_path, defines=sizes, until=9).ran.done


@pytest.mark.slow
@pytest.mark.skipif(spin.missing() is not None, reason="needs spin and gcc")
@pytest.mark.parametrize(("ranks", "vector"), [(2, CAPPED), (3, CAPPED), (2, HANGS), (3, HANGS)])
def test_the_text_by_hand_has_the_states_and_steps_of_its_vector(ranks, vector, tmp_path):
    sizes = (f"-DN={ranks}", "-DK=1", *(("-DHANG",) if vector == HANGS else ()))
    found = spin.ask(spin.OPPOSITE, spin.COUNT, 1, tmp_path, defines=sizes)
    counts = count_everything(load(vector).scenario({"ranks": ranks}).world)

    assert (found.states, found.transitions) == (counts.states, counts.transitions)


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
