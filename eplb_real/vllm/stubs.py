"""What the EPLB files of vLLM import from the rest of it, as small modules of our own.

Rules:
- Stubs are there before the first import; packages with real files get those files' path.
- One version per process: its classes live in modules that carry no version in their names.
- Groups are what `provide_groups` was given; nothing here starts or joins one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

from eplb_real.vllm.wheel import sources

REAL = (
    "vllm",
    "vllm.distributed",
    "vllm.distributed.device_communicators",
    "vllm.utils",
)

_LOADED: dict[str, str] = {}  # the version of this process, once there is one
_GROUPS: dict[str, Any] = {}


def load(version: str, name: str) -> Any:
    """A module of a version's EPLB, `eplb_utils` for instance; the first call decides the version.

    Raises
    ------
    RuntimeError
        For a second version in one process.
    WheelError
        If the cache lacks the version.
    """
    loaded = _LOADED.get("version")
    if loaded is None:
        _install(sources(version))
        _LOADED["version"] = version
    elif loaded != version:
        raise RuntimeError(f"this process has vLLM {loaded}; {version} needs one of its own")
    return importlib.import_module(f"vllm.distributed.eplb.{name}")


def provide_groups(ep: Any, eplb: Any) -> None:
    """What the code finds when it asks for its groups: objects with device_group and cpu_group."""
    _GROUPS.update(ep=ep, eplb=eplb)


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger with the calls that vLLM adds, which take a scope too."""

    def info_once(self, text: str, *values: object, scope: str = "") -> None:
        """Say it; how often does not matter here."""
        self.info(text, *values)

    def warning_once(self, text: str, *values: object, scope: str = "") -> None:
        """The same for a warning."""
        self.warning(text, *values)

    def debug_once(self, text: str, *values: object, scope: str = "") -> None:
        """The same for what nobody reads."""
        self.debug(text, *values)


def _logger(name: str) -> _Logger:
    logger = logging.getLogger(name)
    logger.addHandler(logging.NullHandler())
    return _Logger(logger, {})


def _install(folder: Path) -> None:
    for name in REAL:
        package = ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        _put(name, package)
    for name, contents in _stubs().items():
        module = ModuleType(name)
        module.__dict__.update(contents)
        _put(name, module)


def _put(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)


def _stubs() -> dict[str, dict[str, Any]]:
    """Parents before their children."""
    return {
        "vllm.envs": {
            "VLLM_DISABLE_PYNCCL": False,
            "VLLM_NCCL_SO_PATH": None,
            "VLLM_NCCL_INCLUDE_PATH": None,
            "VLLM_GPU_SYNC_CHECK": None,
        },
        "vllm.logger": {"init_logger": _logger},
        "vllm.platforms": {"current_platform": _platform()},
        "vllm.config": {"ParallelConfig": _named("ParallelConfig"), "ModelConfig": _named("M")},
        "vllm.config.parallel": {"EPLBPolicyOption": Literal["default"]},
        "vllm.config.utils": {"compute_hash_cached": lambda config: config.compute_hash()},
        "vllm.utils.gpu_sync_debug": {"gpu_sync_allowed": contextlib.nullcontext},
        "vllm.utils.torch_utils": {"PIN_MEMORY": False, "current_stream": lambda: None},
        "vllm.distributed.parallel_state": _parallel_state(),
        "vllm.distributed.utils": {
            "is_weak_contiguous": lambda tensor: tensor.is_contiguous(),
            "StatelessProcessGroup": _named("StatelessProcessGroup"),
        },
        "vllm.distributed.nixl_utils": {"NixlWrapper": None, "nixl_agent_config": None},
        "vllm.distributed.stateless_coordinator": {
            "StatelessGroupCoordinator": _named("StatelessGroupCoordinator")
        },
        "vllm.model_executor": {},
        "vllm.model_executor.models": {},
        "vllm.model_executor.models.interfaces": {"MixtureOfExperts": _named("MixtureOfExperts")},
    }


def _named(name: str) -> type:
    """A class that is asked for in annotations and `isinstance` only."""
    return type(name, (), {})


def _platform() -> SimpleNamespace:
    torch: Any = importlib.import_module("torch")
    answers = dict.fromkeys(("is_cuda_alike", "is_cuda", "is_rocm", "is_xpu"), lambda: False)
    return SimpleNamespace(
        **answers, is_cpu=lambda: True, fp8_dtype=lambda: torch.float8_e4m3fn, device_type="cpu"
    )


def _parallel_state() -> dict[str, Any]:
    alone = SimpleNamespace(world_size=1, rank_in_group=0)
    return {
        "GroupCoordinator": _named("GroupCoordinator"),
        "get_ep_group": lambda: _GROUPS["ep"],
        "get_eplb_group": lambda: _GROUPS["eplb"],
        "get_pp_group": lambda: alone,
        "is_local_first_rank": lambda: False,
        "get_node_count": lambda: 1,
        "in_the_same_node_as": lambda group, rank: [True] * group.size(),
    }
