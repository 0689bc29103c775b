"""The part of vLLM's EPLB configuration that decides which communicator moves the weights.

Rules (eplb configuration of 0.20 and 0.33):
- None is resolved when EPLB is enabled: 0.20 takes pynccl if elastic, torch_gloo if async, else
  torch_nccl; 0.33 takes torch_xccl on XPU, nixl if installed, pynccl if elastic, else torch_gloo.
- 0.33 refuses async with torch_nccl or pynccl (vllm#44978), but only if it was asked for by name.
- Async goes with the default policy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from eplb_model.protocols.environment import NCCL_COMMUNICATORS

CommunicatorVersion: TypeAlias = Literal["0.20", "0.33"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the choice depends on besides the configuration."""

    elastic: bool = False
    nixl_installed: bool = False
    xpu: bool = False


@dataclass(frozen=True, slots=True)
class EplbConfig:
    """The fields and defaults of vLLM's class of this name; use_async None is the version's."""

    version: CommunicatorVersion = "0.20"
    window_size: int = 1000
    step_interval: int = 3000
    num_redundant_experts: int = 0
    log_balancedness: bool = False
    log_balancedness_interval: int = 1
    use_async: bool | None = None  # False in 0.20, True in 0.33
    policy: str = "default"
    communicator: str | None = None
    enable_migration_batching: bool = False  # 0.33, and only with async

    @property
    def is_async(self) -> bool:
        """Whether a worker thread moves the weights."""
        return self.version == "0.33" if self.use_async is None else self.use_async

    @property
    def batched(self) -> bool:
        """Whether transfers go in batches."""
        return self.version == "0.33" and self.enable_migration_batching and self.is_async

    def resolved(self, surroundings: Surroundings = Surroundings()) -> str:
        """The communicator's name where EPLB is enabled.

        Raises ValueError for async with another policy, and in 0.33 for async over NCCL.

        >>> EplbConfig(use_async=True).resolved(), EplbConfig("0.33").resolved()
        ('torch_gloo', 'torch_gloo')
        """
        if self.is_async and self.policy != "default":
            raise ValueError(f"policy={self.policy!r} with async; expected 'default'")
        if self.communicator is None:
            return self._chosen(surroundings)
        if self.version == "0.33" and self.is_async and self.communicator in NCCL_COMMUNICATORS:
            raise ValueError(
                f"communicator={self.communicator!r} with async; expected one without NCCL, "
                "whose kernels may wait for ever beside cooperative ones (vllm#44978)"
            )
        return self.communicator

    def _chosen(self, surroundings: Surroundings) -> str:
        if self.version == "0.20":
            if surroundings.elastic:
                return "pynccl"
            return "torch_gloo" if self.is_async else "torch_nccl"
        if surroundings.xpu:
            return "torch_xccl"
        if surroundings.nixl_installed:
            return "nixl"
        return "pynccl" if surroundings.elastic else "torch_gloo"
