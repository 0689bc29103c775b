"""A report for the eyes of a CI: GitHub's annotations, and SARIF 2.1.0.

References
----------
GitHub, "Workflow commands for GitHub Actions"; OASIS, "Static Analysis Results Interchange Format
(SARIF) Version 2.1.0".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eplb_model.outcome import EXIT_CODES, Report, Verdict
from eplb_model.render.text import circle_text, report_text, verdict_line

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Mapping[int, str] = {0: "notice", 1: "error", 3: "warning"}  # by exit code
SENTENCES: Mapping[Verdict, str] = {
    "ok": "Every run ends well, within the stated bounds.",
    "deadlock": "Nobody can move and somebody has work left.",
    "stall": "Somebody waits for ever while others go on for ever.",
    "race": "Two accesses to one buffer that nothing orders.",
    "violation": "A property or an assertion of the scenario fails.",
    "misuse": "A contract's error is raised.",
    "may": "It depends on something that nobody measured.",
    "unknown": "A bound cut the search before anything was found.",
}


def github_text(report: Report, file: str | None) -> str:
    """The report as it is, for the log, and one annotation on the file of the vector."""
    where = f"file={_property(file)}," if file else ""
    title = _property(f"eplb-model: {report.scenario} {report.verdict}")
    level = LEVELS[report.exit_code]
    annotation = f"::{level} {where}title={title}::{_message(_told(report))}"
    return f"{report_text(report)}\n{annotation}"


def sarif_text(report: Report, file: str | None) -> str:
    """The report as a SARIF log with one run and, unless all is well, one result."""
    rules = [{"id": each, "shortDescription": {"text": SENTENCES[each]}} for each in EXIT_CODES]
    driver = {"name": "eplb-model", "rules": rules}
    results = [] if report.verdict == "ok" else [_result(report, file)]
    log = {
        "$schema": SARIF,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=1, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[Report, str | None], str]] = {
    "github": github_text,
    "sarif": sarif_text,
}


def _result(report: Report, file: str | None) -> dict[str, Any]:
    logical = {"logicalLocations": [{"fullyQualifiedName": report.scenario}]}
    from urllib.parse import quote  # noqa: PLC0415 (slow to import, and seldom needed)

    physical = (
        {"physicalLocation": {"artifactLocation": {"uri": quote(Path(file).as_posix())}}}
        if file
        else {}
    )
    schedule = [str(action) for action in report.finding.schedule] if report.finding else []
    return {
        "ruleId": report.verdict,
        "level": LEVELS[report.exit_code],
        "message": {"text": _told(report)},
        "locations": [{**physical, **logical}],
        "properties": {"parameters": dict(report.parameters), "schedule": schedule},
    }


def _told(report: Report) -> str:
    """The verdict, who waits, and the circle: what fits beside a line of code."""
    lines = [verdict_line(report)]
    if report.finding is not None:
        lines += [f"{each.actor} {each.why}" for each in report.finding.waiting]
        lines.append(report.finding.message)
        if report.finding.circle:
            lines.append(f"the circle: {circle_text(report.finding.circle)}")
    return "\n".join(lines)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
