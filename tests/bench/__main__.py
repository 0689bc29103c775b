"""`make bench`: what searches cost, with the targets of the project, in one table for each part.

Seconds are CPU time of whole processes with their children, medians of the runs that are shown;
compare ratios of one run.  Counts are exact; where a closed form says what they are, or where Spin
counts the same, they are compared, and a difference is an error.  A missed target is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import beside_spin, protocols, reduced, spin, unreduced
from tests.bench.table import Table

RUNS = 5


def main(words: list[str]) -> int:
    """Print all parts, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: the shape only")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all without any")
    options = parser.parse_args(words)
    unknown = sorted(set(options.part) - set(PARTS))
    if unknown:
        parser.error(f"no part {unknown[0]}; known: {', '.join(PARTS)}")
    table = Table(judges=not options.quick)
    runs = 1 if options.quick else RUNS
    header(table)
    began = time.monotonic()
    for name, part in PARTS.items():
        if name in options.part or not options.part:
            part(table, runs, options.quick)
    table.say(f"\n{time.monotonic() - began:.0f} s in all\n")
    return table.end()


def header(table: Table) -> None:
    """The machine, the versions, the flags."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    table.say(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {_processor()}, {os.cpu_count()} cores"
        f", load average {load}\nPython {platform.python_version()}, {platform.system()}\n"
    )
    if spin.missing() is not None:
        table.say(f"without Spin: {spin.missing()} is not installed; its lines are left out\n")
        return
    table.say(f"{spin.versions()}\n")
    for setting in (
        spin.COUNT,
        spin.COUNT_O0,
        spin.AS_IT_COMES,
        spin.FIRST_ERROR,
        spin.FIRST_RANDOM,
        spin.FOLLOWED,
    ):
        table.say(f"  {setting.name}: {setting}\n")
    table.say(f"  exported -O2: {spin.EXPORTED}\n")
    table.say(
        f"  pan also -w{spin.SMALL}, or -w{spin.BIG} from a million states on, -w{spin.HUGE} where "
        "it is followed\n"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "processor unknown"
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else "processor unknown"


def _part(part: Callable[..., None]) -> Callable[[Table, int, bool], None]:
    return lambda table, runs, quick: part(table, runs, quick=quick)


PARTS: dict[str, Callable[[Table, int, bool], None]] = {
    "unreduced": _part(unreduced.unreduced),
    "reduced": _part(beside_spin.beside_spin),
    "cut-off": _part(reduced.cut_off),
    "growth": _part(reduced.growth),
    "cold": _part(reduced.cold),
    "depth": _part(protocols.deep),
    "protocols": _part(protocols.protocols),
    "catalogue": lambda table, _, quick: None if quick else protocols.catalogue(table),
    "advise": lambda table, _, quick: protocols.advice(table, quick=quick),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
