"""Our commands as measured children, and what they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.bench.children import Measured, measured
from tests.bench.table import Table

CAPPED = "coop_vs_nccl_capped"
HANGS = "coop_vs_nccl_opposite_order"
Settings = Mapping[str, object]


def told(words: tuple[str, ...], runs: int) -> tuple[Measured, dict[str, Any]]:
    """A command with `--json`, and its document."""
    took = measured((sys.executable, "-m", "eplb_model", *words, "--json"), runs)
    return took, json.loads(took.output)


def checked(
    table: Table, vector: str, settings: Settings, runs: int, *extra: str
) -> tuple[Measured, dict[str, Any]]:
    """One check as a row: command line and all, from cold start to verdict and replay."""
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    took, report = told(("check", vector, *given, *extra), runs)
    shown = " ".join((vector, *(f"{name}={value}" for name, value in settings.items())))
    table.row(f"{shown}: {report['verdict']}", took, report["states"], report["transitions"])
    return took, report


def bare() -> Measured:
    """An interpreter that does nothing."""
    return measured((sys.executable, "-c", "pass"), 11)
