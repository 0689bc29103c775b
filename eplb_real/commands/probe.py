"""`eplb-real probe`: measure a GPU: what it does with SMs, queues and calls."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from importlib import import_module
from pathlib import Path
from typing import Any

from eplb_model.outcome import Lacking, UsageError
from eplb_real.lease import driver_version, gpus, leased
from eplb_real.runner import lacking

COMMAND = "eplb-real probe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where to write, and what to ask."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the machine profile here")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the measured table here")
    parser.add_argument(
        "--raw", type=Path, metavar="FILE", required=True, help="what was seen, one line each"
    )
    parser.add_argument(
        "--gpus",
        type=int,
        help="how many GPUs the ranks of NCCL may have, which share them where they are fewer; "
        "default all, 0 leaves NCCL out",
    )
    parser.add_argument("--from-raw", action="store_true", help="ask nothing; --raw is there")
    parser.add_argument("--machine", default=platform.node(), help="how to call this machine")


def run(options: argparse.Namespace) -> int:
    """Ask the GPU, and write what came of it."""
    if not options.from_raw:
        _ask(options.raw, options.gpus)
    try:
        seen = [json.loads(line) for line in options.raw.read_text().splitlines()]
        about = seen[0]
    except (OSError, IndexError, json.JSONDecodeError) as error:
        raise UsageError(f"{options.raw}: no observations of a probe: {error}") from None
    profiles = import_module("eplb_real.gpu.profile")
    provenance = _provenance(options.machine, about)
    if options.out:
        machine = profiles.profile(seen, options.out.stem, provenance)
        options.out.write_text(json.dumps(machine, indent=2) + "\n")
    if options.table:
        options.table.write_text(profiles.table(seen, options.table.stem, provenance))
    print(f"{len(seen)} observations in {options.raw}")
    return 0


def _ask(raw: Path, wanted: int | None) -> None:
    there = len(gpus())
    if not there:
        raise Lacking("no GPU here")
    if wanted is not None and wanted < 0:
        raise UsageError(f"--gpus {wanted}: expected 0 or more")
    number = there if wanted is None else min(wanted, there)
    missing = lacking(("torch", "cuda.bindings"))
    if missing:
        raise Lacking(f"probe needs {', '.join(missing)}, which is not installed")
    probe = import_module("eplb_real.gpu.probe")
    with leased(max(number, 1)), raw.open("w") as out:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        host = {"driver": driver_version(), "date": today}
        probe.observations(out, probe.PARTS, host, number, _say)
    print("the memory of every GPU is back at its baseline")


def _say(text: str) -> None:
    print(text, flush=True)


def _provenance(machine: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": machine, "gpu": about["gpu"], "driver": about.get("driver", "unknown"),
        "cuda": about["cuda"], "torch": about["torch"], "date": about.get("date", "unknown"),
        "command": COMMAND,
        "how": "Stand-in kernels that write the SM of each CTA; each point once.",
    }  # fmt: skip
