"""`create_eplb_communicator`: a communicator by its name, or the reason why it can't be one.

Rules:
- The device is that of the first tensor; without tensors it is the CPU.
- torch_nccl on CPU tensors uses the CPU group.  pynccl and nixl refuse CPU tensors.
- A stateless (elastic) group is unknown to torch: torch_nccl becomes pynccl with a warning, 0.33
  has nixl besides, the others are refused.
- torch_nccl on a group of NCCL connects it at once.
- None is torch_nccl in 0.20 and unknown in 0.33; `eplb_real.config` resolves it before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias, assert_never

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator
from eplb_real.communicators.nixl import NixlWrapper, nixl_available, open_nixl
from eplb_real.communicators.nixl_staged import NixlStagedEplbCommunicator
from eplb_real.communicators.nixl_zero_copy import NixlEplbCommunicator
from eplb_real.communicators.pynccl import (
    NcclCommunicator,
    PyNcclEplbCommunicator,
    require_usable,
)
from eplb_real.communicators.torch_gloo import TorchDistGlooStagedEplbCommunicator
from eplb_real.communicators.torch_nccl import TorchDistNcclEplbCommunicator
from eplb_real.config import CommunicatorVersion

logger = logging.getLogger(__name__)

Layer: TypeAlias = Sequence[torch.Tensor]
Backend: TypeAlias = Literal["torch_nccl", "torch_gloo", "pynccl", "nixl"]
KNOWN: tuple[Backend, ...] = ("torch_nccl", "torch_gloo", "pynccl", "nixl")
NCCL_DTYPES = frozenset(
    {
        torch.int8,
        torch.uint8,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float8_e4m3fnuz if torch.version.hip else torch.float8_e4m3fn,
    }
)


class DeviceCommunicator(Protocol):
    """What a coordinator knows of its device's own communicators."""

    pynccl_comm: NcclCommunicator | None


class GroupCoordinator(Protocol):
    """The groups of the EPLB ranks; `stateless` is true for one that torch knows nothing of."""

    device_group: dist.ProcessGroup
    cpu_group: dist.ProcessGroup
    device_communicator: DeviceCommunicator | None


def create_eplb_communicator(
    group_coordinator: GroupCoordinator,
    backend: str | None,
    expert_weights: Layer | Sequence[Layer],
    expert_buffer: Layer | None = None,
    *,
    version: CommunicatorVersion = "0.20",
    open_wrapper: Callable[[], NixlWrapper] | None = None,
    legacy_global_peer: bool = False,
    legacy_lazy: bool = False,
) -> EplbCommunicator:
    """The communicator of a name; all ranks of the group ask for it at the same time.

    Parameters: expert_weights are the tensors of one layer (0.20) or of each layer (0.33, with
    expert_buffer); open_wrapper opens NIXL, by default the installed one; legacy_global_peer as
    in the torch backends; legacy_lazy leaves a group of NCCL to connect in its first batch, which
    hangs if a rank has nothing to exchange in it (vector `lazy_connect_peer_elsewhere`).
    Raises ValueError for an unknown backend and for one that a stateless group can't have, and
    RuntimeError where this machine, these tensors or this group can't do it.
    """
    layers = _layers(expert_weights)
    backend = _for_group(_named(backend, version), is_stateless(group_coordinator), version)
    tensors = [tensor for layer in layers for tensor in layer]
    on_cpu = not tensors or tensors[0].device.type == "cpu"
    match backend:
        case "torch_nccl":
            group = group_coordinator.cpu_group if on_cpu else group_coordinator.device_group
            made = TorchDistNcclEplbCommunicator(group, legacy_global_peer=legacy_global_peer)
            if not legacy_lazy and dist.get_backend(group) == "nccl":
                made.connect(tensors[0].device)
            return made
        case "torch_gloo":
            return TorchDistGlooStagedEplbCommunicator(
                group_coordinator.cpu_group, legacy_global_peer=legacy_global_peer
            )
        case "pynccl":
            return _pynccl(group_coordinator, tensors, on_cpu)
        case "nixl":
            return _nixl(group_coordinator, layers, expert_buffer, version, open_wrapper)
        case _:
            assert_never(backend)


def is_stateless(group_coordinator: object) -> bool:
    """Whether a group is one of elastic EP, which torch's own send and receive can't use."""
    classes = (each.__name__ for each in type(group_coordinator).__mro__)
    return bool(getattr(group_coordinator, "stateless", False)) or (
        "StatelessGroupCoordinator" in classes
    )


def _named(backend: str | None, version: CommunicatorVersion) -> Backend:
    if backend is None and version == "0.20":
        return "torch_nccl"
    known = next((each for each in KNOWN if each == backend), None)
    if known is None:
        raise ValueError(f"backend={backend!r}; expected one of {', '.join(KNOWN)}")
    return known


def _for_group(backend: Backend, stateless: bool, version: CommunicatorVersion) -> Backend:
    """What a backend becomes on the group at hand."""
    if not stateless or backend == "pynccl" or (backend == "nixl" and version == "0.33"):
        return backend
    if backend == "torch_nccl":
        logger.warning("torch_nccl needs a group that torch knows; a stateless one takes pynccl")
        return "pynccl"
    raise ValueError(
        f"backend={backend!r} on a stateless group; expected torch_nccl, which becomes pynccl, "
        f"or pynccl{' or nixl' if version == '0.33' else ''}"
    )


def _pynccl(
    group_coordinator: GroupCoordinator, tensors: Sequence[torch.Tensor], on_cpu: bool
) -> EplbCommunicator:
    if on_cpu:
        raise RuntimeError("pynccl: the weights are on the CPU; expected a GPU")
    unknown = {str(tensor.dtype) for tensor in tensors if tensor.dtype not in NCCL_DTYPES}
    if unknown:
        known = ", ".join(sorted(map(str, NCCL_DTYPES)))
        raise RuntimeError(f"pynccl: dtypes {sorted(unknown)}; expected some of {known}")
    device = group_coordinator.device_communicator
    return PyNcclEplbCommunicator(require_usable(getattr(device, "pynccl_comm", None)))


def _nixl(
    group_coordinator: GroupCoordinator,
    layers: Sequence[Layer],
    expert_buffer: Layer | None,
    version: CommunicatorVersion,
    open_wrapper: Callable[[], NixlWrapper] | None,
) -> EplbCommunicator:
    if open_wrapper is None and not nixl_available():
        raise RuntimeError("nixl: NIXL is not installed; expected pip install nixl")
    kinds = {tensor.device.type for layer in layers for tensor in layer}
    if open_wrapper is None and kinds != {"cuda"}:
        raise RuntimeError(f"nixl: weights on {sorted(kinds)}; expected a CUDA-like device")
    opened = open_wrapper or open_nixl
    group = group_coordinator.cpu_group
    try:
        if version == "0.20":
            return NixlStagedEplbCommunicator(group, layers[0], open_wrapper=opened)
        return NixlEplbCommunicator(group, layers, expert_buffer or [], open_wrapper=opened)
    except Exception as error:
        raise RuntimeError(f"nixl: cannot be set up: {error}") from error


def _layers(expert_weights: Layer | Sequence[Layer]) -> list[list[torch.Tensor]]:
    """The tensors by layer, whether one layer was given or all."""
    given = list(expert_weights)
    single = [each for each in given if isinstance(each, torch.Tensor)]
    if len(single) == len(given):
        return [single] if single else []
    return [list(each) for each in given if not isinstance(each, torch.Tensor)]
