"""`create_eplb_communicator` and the resolution of None, row by row."""

import logging
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.communicators.factory import create_eplb_communicator, is_stateless
from eplb_real.communicators.nixl import nixl_available
from eplb_real.config import EplbConfig, Surroundings
from tests.real import on_rank
from tests.real.fakes import FakeNccl

CPU = [torch.zeros(2, 3)]
DEVICE = [torch.zeros(2, 3, device="meta")]  # stands for a GPU: not on the CPU


def coordinator(nccl=None, stateless=False):
    return SimpleNamespace(
        device_group="device",
        cpu_group="cpu",
        device_communicator=SimpleNamespace(pynccl_comm=nccl) if nccl else None,
        stateless=stateless,
    )


def refused(backend, weights=CPU, nccl=None, stateless=False, version="0.20"):
    """The error of a combination, as type and text."""
    group = coordinator(nccl, stateless)
    return on_rank.error_of(create_eplb_communicator, group, backend, weights, version=version)


@pytest.mark.parametrize(
    ("backend", "made"),
    [
        (None, "TorchDistNcclEplbCommunicator on the cpu group"),
        ("torch_nccl", "TorchDistNcclEplbCommunicator on the cpu group"),
        ("torch_gloo", "TorchDistGlooStagedEplbCommunicator on the cpu group"),
    ],
)
def test_torch_backends_on_cpu_tensors_use_the_cpu_group(ranks, backend, made):
    seen = ranks.run(on_rank.made_on_cpu, backend, True)

    assert seen == [made] * 4


def test_without_tensors_the_device_is_the_cpu(ranks):
    seen = ranks.run(on_rank.made_on_cpu, "torch_nccl", False)

    assert seen == ["TorchDistNcclEplbCommunicator on the cpu group"] * 4


def test_torch_nccl_on_a_device_uses_the_device_group(ranks):
    seen = ranks.run(on_rank.made_on_device, "torch_nccl")

    assert seen == ["TorchDistNcclEplbCommunicator on the device group"] * 4


@pytest.mark.parametrize(("legacy_lazy", "times"), [(False, 1), (True, 0)])
def test_a_group_of_nccl_is_connected_by_all_ranks_at_once(ranks, legacy_lazy, times):
    assert ranks.run(on_rank.connects, legacy_lazy) == [times] * 4


@pytest.mark.parametrize("version", ["0.20", "0.33"])
@pytest.mark.parametrize("backend", ["torch_xccl", "nccl", ""])
def test_another_backend_is_a_value_error(version, backend):
    kind, text = refused(backend, version=version)

    assert kind == "ValueError"
    assert text == f"backend={backend!r}; expected one of torch_nccl, torch_gloo, pynccl, nixl"


def test_none_is_unknown_in_0_33():
    assert refused(None, version="0.33")[0] == "ValueError"


@pytest.mark.parametrize(
    ("weights", "nccl", "text"),
    [
        (CPU, FakeNccl(), "pynccl: the weights are on the CPU"),
        ([*DEVICE, DEVICE[0].bool()], None, "pynccl: dtypes ['torch.bool']; expected some of "),
        (DEVICE, None, "pynccl: the group has no NCCL communicator"),
        (DEVICE, FakeNccl(disabled=True), "pynccl: the NCCL communicator is disabled"),
        (DEVICE, FakeNccl(available=False), "pynccl: the NCCL communicator is without"),
    ],
)
def test_pynccl_refuses_the_device_then_the_dtype_then_the_communicator(weights, nccl, text):
    kind, said = refused("pynccl", weights, nccl)

    assert kind == "RuntimeError"
    assert said.startswith(text)


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.int64])
def test_pynccl_wraps_the_communicator_of_the_group(stateless, dtype):
    nccl = FakeNccl()

    made = create_eplb_communicator(coordinator(nccl, stateless), "pynccl", [DEVICE[0].to(dtype)])

    assert made.name == "pynccl"
    assert vars(made)["_nccl"] is nccl


def test_torch_nccl_on_a_stateless_group_becomes_pynccl_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        made = create_eplb_communicator(coordinator(FakeNccl(), True), "torch_nccl", DEVICE)

    assert made.name == "pynccl"
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("backend", "version", "refused_for_group"),
    [
        ("torch_gloo", "0.20", True),
        ("torch_gloo", "0.33", True),
        ("nixl", "0.20", True),
        ("nixl", "0.33", False),
    ],
)
def test_a_stateless_group_takes_no_torch_backend_and_nixl_from_0_33_only(
    backend, version, refused_for_group
):
    kind, text = refused(backend, DEVICE, stateless=True, version=version)

    assert (kind == "ValueError" and "on a stateless group" in text) is refused_for_group


def test_a_stateless_group_is_known_by_its_attribute_or_the_name_of_its_class():
    named = type("StatelessGroupCoordinator", (), {})

    assert is_stateless(coordinator(stateless=True))
    assert is_stateless(named())
    assert not is_stateless(coordinator())


@pytest.mark.skipif(nixl_available(), reason="for a machine without NIXL")
def test_nixl_is_refused_where_it_is_not_installed():
    assert refused("nixl", DEVICE) == (
        "RuntimeError",
        "nixl: NIXL is not installed; expected pip install nixl",
    )


def test_a_failure_of_nixls_constructor_is_kept_as_the_cause(ranks):
    seen = ranks.run(on_rank.broken_nixl)

    assert seen == [("nixl: cannot be set up: no device", "OSError")] * 4


# --- the configuration -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "around", "resolved"),
    [
        (EplbConfig(), Surroundings(), "torch_nccl"),
        (EplbConfig(use_async=True), Surroundings(), "torch_gloo"),
        (EplbConfig(use_async=True), Surroundings(elastic=True), "pynccl"),
        (EplbConfig(), Surroundings(nixl_installed=True, xpu=True), "torch_nccl"),
        (EplbConfig("0.33"), Surroundings(), "torch_gloo"),
        (EplbConfig("0.33"), Surroundings(elastic=True), "pynccl"),
        (EplbConfig("0.33"), Surroundings(elastic=True, nixl_installed=True), "nixl"),
        (EplbConfig("0.33"), Surroundings(nixl_installed=True, xpu=True), "torch_xccl"),
        (EplbConfig("0.33", use_async=False), Surroundings(), "torch_gloo"),
        (EplbConfig(use_async=True, communicator="torch_nccl"), Surroundings(), "torch_nccl"),
        (EplbConfig("0.33", communicator="torch_xccl"), Surroundings(), "torch_xccl"),
        (
            EplbConfig("0.33", use_async=False, communicator="pynccl"),
            Surroundings(),
            "pynccl",
        ),
    ],
)
def test_a_communicator_is_resolved_as_the_version_does(config, around, resolved):
    assert config.resolved(around) == resolved


@pytest.mark.parametrize(
    "config",
    [
        EplbConfig("0.33", communicator="torch_nccl"),
        EplbConfig("0.33", communicator="pynccl"),
        EplbConfig("0.33", policy="own"),
        EplbConfig(use_async=True, policy="own"),
    ],
)
def test_async_is_refused_over_nccl_in_0_33_and_with_another_policy(config):
    with pytest.raises(ValueError, match="with async; expected"):
        config.resolved()


def test_batching_needs_0_33_and_async():
    asked = [
        EplbConfig(version, use_async=is_async, enable_migration_batching=True).batched
        for version in ("0.20", "0.33")
        for is_async in (False, True)
    ]

    assert asked == [False, False, False, True]
