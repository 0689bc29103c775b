"""The real thing that the model speaks of: events, communicators, exchange and worker of EPLB.

Rule: torch lives here; the model (`eplb_model`) knows nothing of it.
"""

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
