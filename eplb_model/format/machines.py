"""Machines by name, and `eplb-machine/1` files: what somebody measured on a GPU of their own.

Rule: a text with a slash, or one that ends in `.json`, is a file; anything else is a preset.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from eplb_model.format.document import describe, listing, read_document
from eplb_model.format.template import Node, node
from eplb_model.machine import MACHINES, SETTINGS, Limits, Machine, Placement

SCHEMA = "eplb-machine/1"
MOST_SMS = 256  # a state holds an SM's number in one byte
KEYS = (
    "schema",
    "name",
    "about",
    "groups",
    "placement",
    "limits",
    "connections",
    "queue_depth",
    "switches",
    "provenance",  # kept by whoever measured; not read
)
REQUIRED = ("schema", "name", "groups", "placement")
LIMITS = (
    "warps",
    "ctas",
    "registers",
    "shared_bytes",
    "shared_per_cta",
    "reserved_per_cta",
    "carveouts_kib",
)


def is_file_name(text: str) -> bool:
    """Whether a text names a file instead of something that we ship.

    >>> is_file_name("h200"), is_file_name("./h200"), is_file_name("h200.json")
    (False, True, True)
    """
    return "/" in text or text.endswith(".json")


def load_machine(name_or_path: str, folder: Path | None = None) -> Machine:
    """A preset, or the machine in a file (below `folder` if its path is relative).

    Raises `VectorError` for a bad file, `ValueError` for an unknown preset.
    """
    if is_file_name(name_or_path):
        path = Path(name_or_path) if folder is None else folder / name_or_path
        return read_machine(node(read_document(path), str(path)))
    if name_or_path not in MACHINES:
        known = f"{listing(MACHINES)}, or the path of a .json file"
        raise ValueError(f"unknown machine {describe(name_or_path)}; known: {known}")
    return MACHINES[name_or_path]


def read_machine(document: Node) -> Machine:
    """The machine that an `eplb-machine/1` document describes."""
    parts = document.fields(KEYS, REQUIRED)
    parts["schema"].choice((SCHEMA,))
    machine = Machine(
        parts["name"].name(),
        _groups(parts["groups"]),
        cast(Placement, parts["placement"].choice(("measured", "unknown"))),
        parts["about"].text() if "about" in parts else "",
        _limits(parts["limits"]) if "limits" in parts else Limits(),
        parts["connections"].integer(1, 128) if "connections" in parts else 8,
        parts["queue_depth"].integer(1, 1 << 20) if "queue_depth" in parts else 1022,
    )
    if machine.placement == "unknown":
        machine = machine.with_switch("packing", "both")
    return with_switches(machine, parts["switches"]) if "switches" in parts else machine


def with_switches(machine: Machine, section: Node) -> Machine:
    """The machine with the switches of a section, as name and setting."""
    for name, setting in section.members().items():
        if name not in SETTINGS:
            raise setting.error(f"unknown switch {describe(name)}; known: {listing(SETTINGS)}")
        chosen = setting.text()
        try:
            machine = machine.with_switch(name, chosen)
        except ValueError as error:
            raise setting.error(str(error)) from None
    return machine


def _groups(section: Node) -> tuple[int, ...]:
    groups = tuple(each.integer(1, MOST_SMS) for each in section.elements("SMs per group"))
    if not 1 <= sum(groups) <= MOST_SMS:
        raise section.error(f"got {sum(groups)} SMs; expected 1..{MOST_SMS}")
    return groups


def _limits(section: Node) -> Limits:
    parts = section.fields(LIMITS)
    changed: dict[str, Any] = {}  # numbers, and one tuple of them
    for name, each in parts.items():
        if name == "carveouts_kib":
            changed[name] = tuple(size.integer(0) for size in each.elements())
        else:
            changed[name] = each.integer(0)
    return replace(Limits(), **changed)
