"""`override_envs_for_eplb` on objects like vLLM's; its table: tests/test_environment.py."""

import itertools
import logging
import os
from functools import partial
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

from eplb_model.protocols.environment import DECISIONS, reads
from eplb_real import envs
from eplb_real.envs import VARIABLE, override_envs_for_eplb, safe_nccl_max_ctas
from tests.test_environment import GRID, MOE_BACKENDS, points

VERSIONS = tuple(DECISIONS)
FIRES = {
    "data_parallel_size": 2,
    "enable_eplb": True,
    "all2all_backend": "deepep_low_latency",
    "use_async": True,
    "communicator": "torch_nccl",
}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # so that it is restored afterwards
    monkeypatch.delenv(VARIABLE)
    envs._say.cache_clear()


def config(point):
    """The parallel config of a point; what the point lacks is missing."""
    inner = {name: point[name] for name in ("use_async", "communicator") if name in point}
    outer = {name: value for name, value in point.items() if name not in inner}
    return SimpleNamespace(**outer, eplb_config=SimpleNamespace(**inner))


def left(point, version, moe_backend=None):
    """What the call leaves in the variable, which is unset before."""
    os.environ.pop(VARIABLE, None)
    override_envs_for_eplb(config(point), moe_backend, version=version)
    return os.environ.get(VARIABLE)


@pytest.mark.parametrize(("version", "count"), [("0.18", 6), ("0.19", 6), ("0.20", 2), ("0.33", 0)])
def test_of_144_configurations_a_version_sets_the_variable_at_as_many_as_were_run(version, count):
    values = [left(point, version) for point in points(GRID)]

    assert len(values) == 144
    assert (values.count("8"), values.count(None)) == (count, 144 - count)


def test_with_a_moe_backend_0_33_sets_it_at_12_of_432_configurations():
    values = [
        left(point, "0.33", moe) for point, moe in itertools.product(points(GRID), MOE_BACKENDS)
    ]

    assert (values.count("8"), len(values)) == (12, 432)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("missing", FIRES)
def test_a_missing_attribute_is_an_error_where_it_is_read_also_if_it_would_not_fire(
    version, missing
):
    point = {name: value for name, value in FIRES.items() if name != missing}
    idle = point | {"data_parallel_size": 1} if missing != "data_parallel_size" else point

    if missing in reads(version):
        with pytest.raises(AttributeError, match=missing):
            left(idle, version)
    else:
        assert left(idle, version) is None


def test_0_20_is_the_default():
    override_envs_for_eplb(config(FIRES | {"communicator": None}))
    assert VARIABLE not in os.environ

    override_envs_for_eplb(config(FIRES))
    assert os.environ[VARIABLE] == "8"


@pytest.mark.parametrize(
    ("before", "after"), [("", "8"), ("16", "16"), ("0", "0"), ("0x10", "8"), ("-1", "8")]
)
def test_digits_are_kept_and_anything_else_becomes_8(monkeypatch, before, after):
    monkeypatch.setenv(VARIABLE, before)

    override_envs_for_eplb(config(FIRES))

    assert os.environ[VARIABLE] == after


def test_it_logs_once(caplog):
    with caplog.at_level(logging.INFO, envs.__name__):
        left(FIRES, "0.20")
        left(FIRES, "0.20")
        override_envs_for_eplb(config(FIRES))

    assert caplog.messages == ["EPLB sets NCCL_MAX_CTAS=8 (was unset)"]


def test_another_version_is_refused():
    with pytest.raises(ValueError, match=r"version='0\.21'; expected one of"):
        left(FIRES, "0.21")


# --- the safe cap --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experts", "tokens", "expected"), [(256, (64, 128), 8), (264, (1,), None), (288, (64,), 64)]
)
def test_the_safe_cap_is_what_the_model_finds(experts, tokens, expected):
    found = safe_nccl_max_ctas(ranks=2, experts=experts, tokens=tokens, bytes_per_op=512 << 10)

    assert found == expected
    assert VARIABLE not in os.environ


def test_a_safe_cap_for_some_tokens_is_not_one_for_all():
    """A combine of 132 tokens takes every SM (E7)."""
    safe = partial(safe_nccl_max_ctas, ranks=2, experts=256, bytes_per_op=512 << 10)

    assert safe(tokens=range(1, 129)) == 8
    assert safe(tokens=range(1, 133)) is None


def test_what_the_formulas_do_not_cover_is_refused():
    with pytest.raises(ValueError, match="at most 14"):
        safe_nccl_max_ctas(ranks=2, experts=4000, tokens=(1,), bytes_per_op=1)
