"""One set of four ranks, one nursery and one replay of each driver for all tests of a session.

Files that hold no tests import torch, so they are not collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from eplb_model.scenario import Scenario
from eplb_real.drivers.registry import DRIVERS
from eplb_real.nursery import Nursery
from eplb_real.run import Order, RunResult, run
from eplb_real.runner import Replay
from eplb_real.vllm.wheel import cache, is_there

collect_ignore = [
    "fakes.py",
    "nixl_fake.py",
    "on_cuda.py",
    "on_nixl.py",
    "on_rank.py",
    "on_vllm.py",
    "on_worker.py",
    "ranks.py",
]


@pytest.fixture(scope="session")
def ranks():
    pool = pytest.importorskip("tests.real.ranks", exc_type=ImportError).Ranks(4)
    yield pool
    pool.close()


@pytest.fixture
def own_ranks():
    """Two ranks that a test may break."""
    pool = pytest.importorskip("tests.real.ranks", exc_type=ImportError).Ranks(2)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery.started()
    yield made
    made.close()


@pytest.fixture
def on_threads(nursery) -> Callable[..., RunResult]:
    def performed(scenario: Scenario, **order) -> RunResult:
        return run(scenario, DRIVERS["threads"], nursery, Order(**order))

    return performed


@pytest.fixture(scope="session")
def has_vllm() -> Callable[[str], str]:
    """A version of vLLM, or a skip that says what is missing; no test downloads anything."""

    def given(version: str) -> str:
        if not is_there(version):
            pytest.skip(f"no wheel of vLLM {version} in {cache()}; see eplb-real fetch-vllm")
        return version

    return given


@pytest.fixture(scope="session")
def threads() -> Iterator[Replay]:
    with Replay(DRIVERS["threads"]) as replay:
        yield replay


@pytest.fixture(scope="session")
def gloo() -> Iterator[Replay]:
    pytest.importorskip("torch", reason="the driver gloo needs torch")
    with Replay(DRIVERS["gloo"]) as replay:
        yield replay
