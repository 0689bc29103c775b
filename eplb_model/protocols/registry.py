"""Protocols that a vector may name instead of writing programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eplb_model.protocols.async_eplb import async_eplb
from eplb_model.protocols.profile_eplb import profile_eplb
from eplb_model.protocols.sync_eplb import sync_eplb
from eplb_model.scenario import Planned, RankPlan

PROTOCOLS: Mapping[str, Callable[[Mapping[str, Any]], tuple[RankPlan, ...] | Planned]] = {
    "async_eplb": async_eplb,
    "profile_eplb": profile_eplb,
    "sync_eplb": sync_eplb,
}
