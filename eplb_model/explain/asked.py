"""What was asked: a scenario, the vector it comes from, and the same with fewer ranks.

Rule: among many ranks most are victims, and nobody can read their run.  If the same goes wrong with
a few ranks (the same verdict, a circle of the same parties), that run is explained instead, and
the explanation says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eplb_model.check import Search, check
from eplb_model.outcome import Finding, Report
from eplb_model.scenario import Scenario
from eplb_model.vector import Settings, VectorError, VectorFile

MANY_RANKS = 4  # that many can be read side by side
STATES = 20_000  # for the check with fewer ranks


@dataclass(frozen=True, slots=True)
class Asked:
    """A scenario as it was asked for: vector, settings, switches; none of them if made in code."""

    scenario: Scenario
    vector: VectorFile | None = None
    settings: Settings = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)

    def under(self, changed: Settings) -> Scenario:
        """The same with other settings; `VectorError` if they don't fit together."""
        assert self.vector is not None, "[model bug] no vector to change"
        return self.vector.scenario({**self.settings, **changed}, self.switches)

    def value(self, name: str) -> object:
        """A parameter as it is now."""
        return self.scenario.parameters.get(name)


def on_machine_of(asked: Asked, report: Report) -> Asked:
    """The same question on the machine under whose switches the report has its finding."""
    machine = asked.scenario.machine
    for name, setting in report.switches.items():
        if "=" not in name:
            machine = machine.with_switch(name, setting)
    return replace(asked, scenario=asked.scenario.on(machine))


def on_fewer_ranks(asked: Asked, finding: Finding) -> tuple[Asked, Report] | None:
    """The same question with as few ranks as it takes to go wrong alike; None if none do."""
    ranks = asked.value("ranks")
    if asked.vector is None or not isinstance(ranks, int) or ranks <= MANY_RANKS:
        return None
    for fewer in range(2, MANY_RANKS + 1):
        try:
            scenario = asked.under({"ranks": fewer})
        except VectorError:
            continue
        report = check(scenario, Search(max_states=STATES))
        if report.finding is not None and _alike(report.finding, finding):
            smaller = replace(asked, scenario=scenario, settings={**asked.settings, "ranks": fewer})
            return on_machine_of(smaller, report), report
    return None


def _alike(one: Finding, other: Finding) -> bool:
    return (one.verdict, _parties(one)) == (other.verdict, _parties(other))


def _parties(finding: Finding) -> set[str]:
    """Who is in the circle, whatever the rank."""
    return {actor.name for actor in finding.circle}
