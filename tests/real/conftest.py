"""One set of four ranks for all tests of a session; files that hold no tests import torch."""

import pytest

collect_ignore = ["fakes.py", "nixl_fake.py", "on_cuda.py", "on_nixl.py", "on_rank.py", "on_worker.py", "ranks.py"]
    "fakes.py",
    "nixl_fake.py",
    "on_nixl.py",
    "on_rank.py",
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
