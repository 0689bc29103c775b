"""A scenario that was built in Python, as the document of a vector.

Rule: loading the document gives the same machine, kernels, groups and plans; there is one role per
rank, and the only parameters are `machine` and `ranks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from eplb_model.format.claims import written_claim
from eplb_model.format.document import VECTOR_SCHEMA
from eplb_model.format.kernels import written_kernel
from eplb_model.format.statements import written_block, written_constant
from eplb_model.machine import MACHINES, Machine
from eplb_model.scenario import Expectation, RankPlan, Scenario
from eplb_model.world import Stream


def scenario_document(scenario: Scenario) -> dict[str, object]:
    """The document; `ValueError` for a machine that is no preset and for values JSON has not."""
    ranks = len(scenario.ranks)
    everyone = tuple(range(ranks))
    if scenario.groups.get("world", everyone) != everyone:
        raise ValueError("group world is not all ranks; expected another name for it")
    roles = {f"r{rank}": plan for rank, plan in enumerate(scenario.ranks)}
    document: dict[str, object] = {
        "schema": VECTOR_SCHEMA,
        "name": scenario.name,
        "about": scenario.about,
        "source": list(scenario.source),
        "classes": list(scenario.classes),
        "fixes": scenario.fixes,
        "parameters": {"machine": scenario.machine.name, "ranks": ranks},
        "switches": _switches(scenario.machine),
        "kernels": {name: written_kernel(k, ranks) for name, k in scenario.kernels.items()},
        "streams": _streams(roles),
        "roles": {role: [rank] for rank, role in enumerate(roles)},
        "groups": {name: list(g) for name, g in scenario.groups.items() if name != "world"},
        "initial": _initial(roles),
        "threads": _threads(roles),
        "programs": {
            f"{role}.{thread.name}": written_block(thread.body)
            for role, plan in roles.items()
            for thread in plan.threads
        },
        "claims": [written_claim(claim) for claim in scenario.claims],
        "forbid": sorted(scenario.forbids),
        "expect": None if scenario.expect is None else _expect(scenario.expect),
    }
    always = ("schema", "name", "about", "programs")
    return {key: value for key, value in document.items() if value or key in always}


def _switches(machine: Machine) -> dict[str, object]:
    """The switches that differ from those of the preset."""
    preset = MACHINES.get(machine.name)
    if preset is None or replace(machine, switches=preset.switches) != preset:
        known = ", ".join(MACHINES)
        raise ValueError(f"machine {machine.name} is no preset; expected one of {known}")
    return {
        each.name: getattr(machine.switches, each.name)
        for each in fields(machine.switches)
        if getattr(machine.switches, each.name) != getattr(preset.switches, each.name)
    }


def _streams(roles: Mapping[str, RankPlan]) -> object:
    lists = {role: [_stream(stream) for stream in plan.streams] for role, plan in roles.items()}
    first = next(iter(lists.values()), [])
    return lists if any(each != first for each in lists.values()) else first or lists


def _stream(stream: Stream) -> object:
    written: dict[str, object] = {"name": stream.name}
    if stream.priority:
        written["priority"] = stream.priority
    if stream.kind != "nonblocking":
        written["kind"] = stream.kind
    if stream.device:
        written["device"] = stream.device
    return written if len(written) > 1 else stream.name


def _initial(roles: Mapping[str, RankPlan]) -> dict[str, object]:
    return {
        role: {name: written_constant(value) for name, value in plan.initial.items()}
        for role, plan in roles.items()
        if plan.initial
    }


def _threads(roles: Mapping[str, RankPlan]) -> dict[str, object]:
    return {
        f"{role}.{thread.name}": {"started": False}
        for role, plan in roles.items()
        for thread in plan.threads
        if not thread.started
    }


def _expect(expect: Expectation) -> dict[str, object]:
    found = {each.name: getattr(expect, each.name) for each in fields(expect)}
    found["states"] = dict(expect.states) or None
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in found.items()
        if value is not None
    }
