"""`eplb-real list`: which vectors each driver supports, and why not."""

from __future__ import annotations

import argparse
from typing import Any

from eplb_model.check import machines
from eplb_model.vector import catalogue
from eplb_real.commands.choosing import add_driver, chosen_name, refused
from eplb_real.commands.printing import add_json, print_json
from eplb_real.drivers.registry import DRIVERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take one driver; all by default."""
    add_driver(parser, None)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a row per vector."""
    drivers = [DRIVERS[chosen_name(options)]] if options.driver else list(DRIVERS.values())
    rows = []
    for vector in catalogue():
        scenario = vector.scenario()
        scenario = scenario.on(next(machines(scenario)))
        why = {driver.name: refused(vector, scenario, driver) for driver in drivers}
        rows.append({"name": vector.name, "refused": why})
    if options.json:
        print_json({"schema": "eplb-real-list/1", "vectors": rows})
        return 0
    wide = max(len(str(row["name"])) for row in rows)
    for row in rows:
        reasons: Any = row["refused"]
        words = [f"{name}: {'; '.join(why) or 'yes'}" for name, why in reasons.items()]
        print(f"{row['name']:<{wide}}  {'   '.join(words)}")
    return 0
