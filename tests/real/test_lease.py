"""GPUs are lent to one run at a time, and given back as they were."""

import multiprocessing
import os

import pytest

from eplb_real import lease
from eplb_real.lease import Gpu, LeaseError, LeftBehind, leased


def _gpus(*used):
    return [Gpu(index, f"GPU-{index}", mib) for index, mib in enumerate(used)]


@pytest.fixture
def locks(tmp_path):
    return tmp_path / "locks"


def test_a_lease_shows_its_gpus_only_and_puts_the_variable_back(locks, monkeypatch):
    monkeypatch.setenv(lease.VISIBLE, "3,4")

    with leased(1, look=lambda: _gpus(0, 0), locks=locks) as mine:
        assert [gpu.index for gpu in mine] == [0]
        assert os.environ[lease.VISIBLE] == "GPU-0"

    assert os.environ[lease.VISIBLE] == "3,4"


def test_two_leases_get_different_gpus(locks):
    with (
        leased(1, look=lambda: _gpus(0, 0, 0), locks=locks) as one,
        leased(2, look=lambda: _gpus(0, 0, 0), locks=locks) as two,
    ):
        assert [gpu.index for gpu in (*one, *two)] == [0, 1, 2]


def test_who_asks_for_what_others_hold_waits_and_is_told(locks):
    with (
        leased(1, look=lambda: _gpus(0), locks=locks),
        pytest.raises(LeaseError, match="1 GPUs did not become free in 0 s"),
        leased(1, wait=0, look=lambda: _gpus(0), locks=locks),
    ):
        raise AssertionError("there was none left")


def test_who_asks_for_more_than_there_is_is_told_at_once(locks):
    with (
        pytest.raises(LeaseError, match="2 GPUs are asked for, here are 1"),
        leased(2, look=lambda: _gpus(0), locks=locks),
    ):
        raise AssertionError("there is one only")


def _hold_for_ever(locks, taken):
    with leased(1, look=lambda: _gpus(0), locks=locks):
        taken.send(True)
        taken.recv()


def test_a_process_that_is_killed_gives_its_gpu_back(locks):
    start = multiprocessing.get_context("fork")
    here, there = start.Pipe()
    process = start.Process(target=_hold_for_ever, args=(locks, there))
    process.start()
    assert here.recv()
    process.kill()
    process.join()

    with leased(1, wait=5.0, look=lambda: _gpus(0), locks=locks) as mine:
        assert len(mine) == 1


def test_memory_that_is_left_behind_is_an_error(locks, monkeypatch):
    monkeypatch.setattr(lease, "BACK_WITHIN", 0.0)
    looks = iter([_gpus(4), _gpus(2441)])

    with (
        pytest.raises(LeftBehind, match="GPU-0: 2441 MiB in use, 4 before"),
        leased(1, look=lambda: next(looks), locks=locks),
    ):
        pass


def test_a_run_that_fails_is_read_back_too(locks, monkeypatch):
    monkeypatch.setattr(lease, "BACK_WITHIN", 0.0)
    looks = iter([_gpus(4), _gpus(2441)])

    with (
        pytest.raises(LeftBehind) as raised,
        leased(1, look=lambda: next(looks), locks=locks),
    ):
        raise RuntimeError("the run fails")

    assert str(raised.value.__context__) == "the run fails"


def test_a_driver_that_is_slow_to_clean_up_is_waited_for(locks, monkeypatch):
    monkeypatch.setattr(lease, "LOOK_EVERY", 0.0)
    looks = iter([_gpus(4), _gpus(2441), _gpus(2441), _gpus(5)])

    with leased(1, look=lambda: next(looks), locks=locks):
        pass

    assert next(looks, None) is None


def test_without_a_driver_there_are_no_gpus(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    assert lease.gpus() == []


def test_only_visible_gpus_are_there_by_index_or_id(monkeypatch):
    there = ["0, GPU-a, 1, one", "1, GPU-b, 2, one, other", "2, GPU-c, 3, one"]
    monkeypatch.setattr(lease, "_asked", lambda what: there)

    monkeypatch.setenv(lease.VISIBLE, "GPU-c,0")
    assert [gpu.uuid for gpu in lease.gpus()] == ["GPU-c", "GPU-a"]
    monkeypatch.delenv(lease.VISIBLE)
    assert [gpu.used for gpu in lease.gpus()] == [1, 2, 3]
