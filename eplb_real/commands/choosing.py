"""Which driver is meant, and whether it can run here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from eplb_model.outcome import Lacking, UsageError
from eplb_model.scenario import Scenario
from eplb_model.vector import VectorFile
from eplb_real.drivers.base import Driver
from eplb_real.drivers.registry import DRIVERS
from eplb_real.drivers.vllm import NAME as VLLM
from eplb_real.drivers.vllm import ON_GPUS, driver_name
from eplb_real.runner import lacking, refusals
from eplb_real.vllm.wheel import REFERENCE, VERSIONS

NAMES = [*(name for name in DRIVERS if not name.startswith(VLLM)), VLLM, ON_GPUS]


def add_driver(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Take a driver and, for vLLM, a version."""
    parser.add_argument("--driver", choices=NAMES, default=default)
    parser.add_argument("--version", choices=VERSIONS, help="of --driver vllm and vllm-cuda")


def chosen_name(options: argparse.Namespace) -> str:
    """The driver that is meant: vLLM has one per version."""
    if options.driver in (VLLM, ON_GPUS):
        return driver_name(options.version or REFERENCE, options.driver)
    if options.version is not None:
        raise UsageError("--version goes with --driver vllm")
    return str(options.driver)


def able(name: str) -> Driver:
    """A driver that can run here; `Lacking` says why one can't."""
    driver = DRIVERS[name]
    missing = lacking(driver.modules)
    if missing:
        needed = f"{', '.join(missing)}, which is not installed"
        raise Lacking(f"driver {name} needs {needed}; `eplb-real doctor` says what runs here")
    if driver.lacks():
        needed = "; ".join(driver.lacks())
        raise Lacking(f"driver {name} needs {needed}; `eplb-real doctor` says what runs here")
    return driver


def refused(vector: VectorFile, scenario: Scenario, driver: Driver) -> list[str]:
    """Why a driver does not replay a vector; none if it does."""
    named = said_of_replay(vector).get("drivers")
    if named is not None and driver.name not in named:
        return [f"the vector is for {', '.join(named)}"]
    return refusals(scenario, driver)


def said_of_replay(vector: VectorFile) -> Mapping[str, Any]:
    """What a vector says about replaying it."""
    real: Any = vector.document.get("real", {})
    if not isinstance(real, dict):
        raise UsageError(f"{vector.file}: /real: expected an object")
    return real
