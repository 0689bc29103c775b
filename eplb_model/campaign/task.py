"""One check as a value that travels to another process, and what it comes back as.

Rule: `perform` depends on the task alone, so that it does not matter where and how often it runs;
a time limit is the exception, and its report says `unknown`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from eplb_model.check import Search, Strategy, check
from eplb_model.format.parameters import Scalar
from eplb_model.outcome import Report
from eplb_model.render.documents import report_document, report_summary
from eplb_model.scenario import Scenario
from eplb_model.vector import load

Line: TypeAlias = dict[str, Any]  # one JSON object of a result


@dataclass(frozen=True, slots=True)
class Task:
    """One check: a vector, its settings, how to search, and what the vector expects."""

    vector: str
    settings: tuple[tuple[str, Scalar], ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    strategy: Strategy = "bfs"
    settle: bool = True
    fast: bool = True
    symmetry: bool = True
    folding: bool = True
    max_states: int | None = 2_000_000
    max_depth: int | None = None
    time_limit: float | None = None
    seed: int = 0
    runs: int = 1_000
    whole: bool = False  # with the schedule of a finding
    expected: bool = False  # with what the vector says about these settings, and whether it agrees

    @property
    def scenario(self) -> Scenario:
        """What is checked."""
        return load(self.vector).scenario(dict(self.settings), dict(self.switches))

    @property
    def document(self) -> Line:
        """The task as a journal has it: everything that its result depends on."""
        return {
            name: [list(pair) for pair in value] if isinstance(value, tuple) else value
            for name in self.__slots__
            for value in (getattr(self, name),)
        }


def perform(task: Task) -> Line:
    """Check, and say it as a line of the result."""
    scenario = task.scenario
    report = check(scenario, _search(task))
    line = report_document(report) if task.whole else report_summary(report)
    return {**line, **_expected(scenario, report)} if task.expected else line


def _search(task: Task) -> Search:
    return Search(
        task.strategy,
        task.settle,
        task.fast,
        task.symmetry,
        task.max_states,
        task.max_depth,
        _clock(task.time_limit),
        task.seed,
        task.runs,
        task.time_limit,
        task.folding,
    )


def _clock(limit: float | None) -> Callable[[], str | None]:
    started = time.monotonic()
    if limit is None:
        return lambda: None
    return lambda: "time_limit" if time.monotonic() - started > limit else None


def _expected(scenario: Scenario, report: Report) -> Line:
    expect = scenario.expect
    if expect is None:
        return {"expected": None, "agrees": None}
    said = (expect.verdict, expect.when, expect.serialised)
    answered = (report.verdict, report.when, report.serialised)
    agrees = all(a in (b, None) for a, b in zip(said, answered, strict=True))
    return {"expected": expect.verdict, "agrees": agrees}
