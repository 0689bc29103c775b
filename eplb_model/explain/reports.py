"""A report that was written down, read again: the scenario rebuilt, its schedule replayed.

Rule: only what names the question is believed (vector, parameters, switches, schedule, loop); who
waits and why is worked out anew, so a report of an older version is explained by this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from eplb_model.check import assumptions
from eplb_model.explain.asked import Asked
from eplb_model.findings import finding_at
from eplb_model.outcome import Claimed, Finding, Report, UsageError, Verdict, varied
from eplb_model.render.documents import SCHEMA
from eplb_model.scenario import Scenario
from eplb_model.trace import ScheduleError, parse_schedule, replay
from eplb_model.vector import VectorError, load
from eplb_model.wait_for import circle, stuck_set, waiting
from eplb_model.words import kernel_text

NEEDED = ("scenario", "parameters", "verdict", "schedule", "switches", "bounds", "states", "depth")


class ReportError(UsageError):
    """A file that is no report, or one whose vector has changed since."""


def report_in(path: Path) -> Mapping[str, Any] | None:
    """The report that a file holds; None if it holds something else, or is none."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    is_report = isinstance(document, dict) and document.get("schema") == SCHEMA
    return document if is_report else None


def read_report(document: Mapping[str, Any], file: str) -> tuple[Asked, Report]:
    """The question that a report answers, and the answer, as they were when it was written.

    Raises
    ------
    ReportError
        If a key is missing, the vector is unknown, or the schedule can't be followed any more.
    """
    missing = [key for key in NEEDED if key not in document]
    if missing:
        raise ReportError(f"{file}: a report without {', '.join(missing)}")
    if document["verdict"] not in get_args(Verdict):
        raise ReportError(f"{file}: unknown verdict {document['verdict']!r}")
    try:
        asked = asked_by(document)
        finding = _finding(document, asked.scenario)
    except (VectorError, ScheduleError, TypeError, AttributeError) as error:
        raise ReportError(f"{file}: the vector does not fit the report: {error}") from None
    return asked, _report(document, asked.scenario, finding)


def asked_by(document: Mapping[str, Any]) -> Asked:
    """The vector under the parameters of a report, on the machine under which it was found."""
    vector = load(document.get("vector", document["scenario"]))
    in_force = {name: value for name, value in document["switches"].items() if "=" not in name}
    settings = dict(document["parameters"])
    scenario = vector.scenario(settings, in_force)
    several = varied(document["switches"])
    open_ = {name: "all" if name in several else value for name, value in in_force.items()}
    return Asked(scenario, vector, settings, open_)


def _finding(document: Mapping[str, Any], scenario: Scenario) -> Finding | None:
    world = scenario.world
    schedule = parse_schedule(world, " ".join(document["schedule"]))
    loop = parse_schedule(world, " ".join(document.get("loop", ())))
    verdict: Verdict = document["verdict"]
    if verdict == "ok" or (verdict in ("unknown", "may") and not schedule):
        return None
    trace = replay(world, schedule)
    found = None if loop else finding_at(trace.last, schedule)
    if found is not None:
        return found
    named = {each["actor"] for each in document.get("waiting", ())}
    waits = tuple(each for each in waiting(trace.last) if str(each.actor) in named)
    ring = circle(waits, frozenset(each.actor for each in waits) & stuck_set(trace.last))
    message = str(document.get("message") or "")
    kind: Verdict = "stall" if loop else verdict
    return Finding(kind, message, schedule, waits, ring, loop)


def _report(document: Mapping[str, Any], scenario: Scenario, finding: Finding | None) -> Report:
    claims = document.get("claims", ())
    return Report(
        scenario=scenario.name,
        parameters=scenario.parameters,
        verdict=document["verdict"],
        when=document.get("when"),
        serialised=document.get("serialised"),
        states=document["states"],
        transitions=document.get("transitions", 0),
        depth=document["depth"],
        finding=finding,
        ends=document.get("ends", {}),
        bounds=document["bounds"],
        switches=document["switches"],
        assumptions=assumptions(scenario),
        strategy=document.get("strategy", "bfs"),
        reduction=document.get("reduction"),
        kernels={each.name: kernel_text(each) for each in scenario.kernels.values()},
        claims=tuple(Claimed(c["kind"], c["sentence"], c["outcome"]) for c in claims),
    )
