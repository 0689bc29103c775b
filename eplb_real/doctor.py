"""What can run here: versions, devices, drivers."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterable
from typing import Any

from eplb_real.drivers.base import Driver
from eplb_real.runner import lacking
from eplb_real.watchdog import PROC

NOT_THERE = "not installed"


def diagnosis(drivers: Iterable[Driver]) -> dict[str, Any]:
    """Versions, the machine, and for each driver the modules that it lacks."""
    return {
        "versions": {
            "python": platform.python_version(),
            "eplb-checker": _version("eplb-checker"),
            "torch": _version("torch"),
        },
        "machine": {
            "system": sys.platform,
            "processors": os.cpu_count(),
            "proc": "yes" if PROC.is_dir() else "no: hangs take longer to believe",
            **_devices(),
        },
        "drivers": {driver.name: [*lacking(driver.modules), *driver.lacks()] for driver in drivers},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_THERE


def _devices() -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        return {"gpus": "unknown without torch", "gloo": "no"}
    torch: Any = importlib.import_module("torch")
    return {
        "gpus": torch.cuda.device_count(),
        "gloo": "yes" if torch.distributed.is_gloo_available() else "no",
    }
