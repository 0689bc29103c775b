"""`eplb-real doctor`: what can run here."""

from __future__ import annotations

import argparse

from eplb_model.outcome import LACKING
from eplb_real.commands.printing import add_json, print_json
from eplb_real.doctor import diagnosis
from eplb_real.drivers.registry import DRIVERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing of its own."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print versions, the machine, and what each driver lacks."""
    found = diagnosis(DRIVERS.values())
    if options.json:
        print_json({"schema": "eplb-real-doctor/1", **found})
    else:
        able = {
            name: "lacks " + ", ".join(missing) if missing else "can run"
            for name, missing in found["drivers"].items()
        }
        rows = {**found["versions"], **found["machine"], **able}
        wide = max(map(len, rows))
        for name, value in rows.items():
            print(f"{name:<{wide}}  {value}")
    return LACKING if any(found["drivers"].values()) else 0
