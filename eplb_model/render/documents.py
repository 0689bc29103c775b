"""Reports as JSON documents, `eplb-report/1`.  specs/semantics.md#verdicts"""

from __future__ import annotations

from typing import Any

from eplb_model.outcome import Report

SCHEMA = "eplb-report/1"


def report_document(report: Report) -> dict[str, Any]:
    """One report with its schedule, who waits, and the circle."""
    finding = report.finding
    return {
        **report_summary(report),
        "message": finding.message if finding else None,
        "details": list(finding.details) if finding else [],
        "schedule": [str(action) for action in finding.schedule] if finding else [],
        "loop": [str(action) for action in finding.loop] if finding else [],
    }


def report_summary(report: Report) -> dict[str, Any]:
    """The same without the schedule: what a sweep prints for each point."""
    finding = report.finding
    return {
        "schema": SCHEMA,
        "scenario": report.scenario,
        "parameters": dict(report.parameters),
        "verdict": report.verdict,
        "when": report.when,
        "serialised": report.serialised,
        "states": report.states,
        "transitions": report.transitions,
        "depth": report.depth,
        "ends": dict(report.ends),
        "waiting": [
            {
                "actor": str(each.actor),
                "kind": each.kind,
                "doing": each.doing,
                "why": each.why,
                "on": [str(actor) for actor in each.freed_by],
            }
            for each in (finding.waiting if finding else ())
        ],
        "circle": [str(actor) for actor in (finding.circle if finding else ())],
        "kernels": dict(report.kernels),
        "claims": [
            {"kind": each.kind, "sentence": each.sentence, "outcome": each.outcome}
            for each in report.claims
        ],
        "strategy": report.strategy,
        "reduction": report.reduction,
        "declined": report.declined,
        "bounds": dict(report.bounds),
        "switches": dict(report.switches),
        "assumptions": list(report.assumptions),
    }
