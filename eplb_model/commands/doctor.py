"""`eplb-model doctor`: what is here, what is missing, and what to do about it.

Rule: what every command needs is required; what one needs says which, and is no failure.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import NamedTuple

from eplb_model.commands.printing import add_json, print_json
from eplb_model.outcome import LACKING, UsageError
from eplb_model.schema import schema, schemas
from eplb_model.tables import tables
from eplb_model.vector import catalogue

OLDEST = (3, 11)
REQUIRED = "required"
RUNTIME = {"networkx": "explains who waits for whom"}
OPTIONAL = {
    "hypothesis": ("test", "strategies for scenarios and schedules"),
    "pytest": ("test", "the plugin, `eplb_model.testing`"),
    "pytest-xdist": ("test", "tests on several cores"),
    "jsonschema": ("test", "holding documents against the schemas"),
    "matplotlib": ("plot", "`sweep --plot`"),
    "torch": ("real", "`eplb-real` on gloo and on GPUs"),
    "ray": ("cluster", "`--executor ray`"),
}


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    found: str | None  # None: it is not here
    need: str  # "required", or what it is good for
    advice: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """Take the form of the answer."""
    add_json(parser)


def run(options: Namespace) -> int:
    """Print what was found; 4 if something is missing that every command needs."""
    found = list(findings())
    lacking = [each for each in found if each.found is None and each.need == REQUIRED]
    if options.json:
        rows = [each._asdict() for each in found]
        print_json({"schema": "eplb-doctor/1", "healthy": not lacking, "findings": rows})
        return LACKING if lacking else 0
    wide = max(len(each.what) for each in found)
    for each in found:
        print(f"{_mark(each)}  {each.what:<{wide}}  {each.found or f'missing; {each.advice}'}")
    print(f"\n{_said(lacking)}")
    return LACKING if lacking else 0


def findings() -> Iterator[Finding]:
    """Look at everything, the most needed first."""
    version = platform.python_version()
    right = version if sys.version_info[:2] >= OLDEST else None
    yield Finding("python", right, REQUIRED, f"this is {version}; expected 3.11 or newer")
    yield _package("eplb-checker", REQUIRED, "pip install -e . in the repository")
    for name in RUNTIME:
        yield _package(name, REQUIRED, f"pip install {name}")
    yield _counted("catalogue", "vectors load", lambda: len(_vectors()))
    yield _counted("schemas", "schemas", lambda: len([schema(name) for name in schemas()]))
    yield _counted("measurements", "measured tables", lambda: len(tables()))
    yield Finding("processors", str(os.cpu_count()), "checks on several cores")
    for name, (extra, use) in OPTIONAL.items():
        yield _package(name, use, f"pip install 'eplb-checker[{extra}]' ({use})")
    yield Finding("spin", _spin(), "checking the exported Promela", "apt install spin, for Promela")


def _vectors() -> list[object]:
    return [vector.scenario() for vector in catalogue()]


def _counted(what: str, unit: str, count: Callable[[], int]) -> Finding:
    try:
        number = count()
    except (UsageError, OSError, json.JSONDecodeError) as error:
        return Finding(what, None, REQUIRED, f"{error}; install the package again")
    return Finding(what, f"{number} {unit}" if number else None, REQUIRED, "install it again")


def _package(name: str, need: str, advice: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), need, advice)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, None, need, advice)


def _spin() -> str | None:
    """The version of Spin, if it is on the path and answers."""
    path = shutil.which("spin")
    if path is None:
        return None
    try:
        done = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _mark(each: Finding) -> str:
    if each.found is not None:
        return "ok      "
    return "MISSING " if each.need == REQUIRED else "optional"


def _said(lacking: list[Finding]) -> str:
    if not lacking:
        return "Everything that the model needs is here."
    return f"Missing: {', '.join(each.what for each in lacking)}."
