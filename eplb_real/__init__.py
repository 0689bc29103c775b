"""The real thing that the model speaks of: events, communicators, exchange and worker of EPLB.

Rules:
- torch lives here; the model (`eplb_model`) knows nothing of it.
- The names below are loaded when they are first used, so that what needs no torch (the emulated
  devices, the command line) works without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eplb_real.communicators.base import EplbCommunicator, ExchangeError
    from eplb_real.communicators.factory import create_eplb_communicator
    from eplb_real.config import EplbConfig, Surroundings
    from eplb_real.envs import override_envs_for_eplb
    from eplb_real.events import CpuGpuEvent
    from eplb_real.exchange import check_weights, move_from_buffer, rearrange, transfer_layer
    from eplb_real.main_thread import AsyncEplb
    from eplb_real.maps import Maps
    from eplb_real.state import Groups, Model, WorkerError
    from eplb_real.streams import HostEvent, HostStream

__all__ = [
    "AsyncEplb",
    "CpuGpuEvent",
    "EplbCommunicator",
    "EplbConfig",
    "ExchangeError",
    "Groups",
    "HostEvent",
    "HostStream",
    "Maps",
    "Model",
    "Surroundings",
    "WorkerError",
    "check_weights",
    "create_eplb_communicator",
    "move_from_buffer",
    "override_envs_for_eplb",
    "rearrange",
    "transfer_layer",
]

_HOMES = {
    "AsyncEplb": "main_thread",
    "CpuGpuEvent": "events",
    "EplbCommunicator": "communicators.base",
    "EplbConfig": "config",
    "ExchangeError": "communicators.base",
    "Groups": "state",
    "HostEvent": "streams",
    "HostStream": "streams",
    "Maps": "maps",
    "Model": "state",
    "Surroundings": "config",
    "WorkerError": "state",
    "check_weights": "exchange",
    "create_eplb_communicator": "communicators.factory",
    "move_from_buffer": "exchange",
    "override_envs_for_eplb": "envs",
    "rearrange": "exchange",
    "transfer_layer": "exchange",
}


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'eplb_real' has no attribute {name!r}")
    return getattr(importlib.import_module(f"eplb_real.{_HOMES[name]}"), name)
