"""`eplb-real doctor`: what can run here."""

from __future__ import annotations

import argparse

from eplb_model.outcome import LACKING
from eplb_real.commands.printing import add_json, print_json
from eplb_real.doctor import diagnosis
from eplb_real.drivers.registry import DRIVERS
from eplb_real.drivers.threads import THREADS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the drivers that have to run here."""
    parser.add_argument(
        "--driver",
        action="append",
        choices=DRIVERS,
        default=[],
        metavar="NAME",
        help="exit with 4 if this one can't run here; may be repeated, default threads",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print versions, the machine, and what each driver lacks; 4 if one that is needed does."""
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
    needed = options.driver or [THREADS.name]
    return LACKING if any(found["drivers"][name] for name in needed) else 0
