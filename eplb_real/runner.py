"""Replays vectors: the model says what to expect and how to reach it, a driver does it.

Rules:
- What the model says happens on every run is left to happen; what it says happens on some runs is
  brought about by its own schedule, step by step.
- A run agrees if its end is what was expected and the model has the run (`eplb_model.refine`).
- A hang that the model does not have, or a completion where it says there is none, disagrees;
  unless it is one of the model's in an order that the driver does not keep: that was not reached,
  and is tried again.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eplb_model.check import Search, check, machines
from eplb_model.observation import observation
from eplb_model.outcome import Action, Finding, Report
from eplb_model.refine import Ending, Refinement, refine
from eplb_model.scenario import Scenario
from eplb_model.trace import schedule_text
from eplb_real.drivers.base import Driver, library_modules
from eplb_real.nursery import Nursery, Spawner
from eplb_real.performed import not_performed
from eplb_real.run import Order, Pending, RunResult, run
from eplb_real.values import takes_from_peers

Answer = Literal["agrees", "disagrees", "declined", "inconclusive"]

FREE_RUNS = 3  # of a vector that holds
TRIES = 3  # of a run whose order was not reached
CHECK_WITHIN = 120.0  # seconds for the model's own answer
MOST_STATES = 300_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How a vector is replayed: freely so many times, or once by an enforced schedule."""

    runs: int
    schedule: tuple[Action, ...] | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of replaying one scenario; `why` says what disagrees, or why it was declined."""

    vector: str
    driver: str
    expected: str  # the model's verdict, and on how many runs
    answer: Answer
    why: str = ""
    runs: tuple[RunResult, ...] = ()
    schedule: tuple[Action, ...] | None = None
    setting: str = ""  # of switches that stand for several settings


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for beyond what the vector says; None leaves it to the vector."""

    runs: int | None = None
    schedule: tuple[Action, ...] | None = None
    seed: int = 0
    deadline: float = 20.0


def plan_of(report: Report) -> Plan | None:
    """How to see what a report says; None if it says nothing definite.

    A vector that holds runs freely a few times; a deadlock on every run is left to happen;
    anything else is reached by the model's schedule.
    """
    finding = report.finding
    if report.verdict == "ok":
        return Plan(FREE_RUNS)
    if finding is None or report.verdict in ("may", "unknown"):
        return None
    if report.verdict == "deadlock" and report.when == "every":
        return Plan(1)
    return Plan(1, finding.schedule)


def judge(scenario: Scenario, result: RunResult) -> Refinement:
    """Whether the model has this run.

    A call that was open when a run was stopped although it waited for nothing but threads that
    rested is left out: it had got as far as its last line at least.
    """
    hung = {pending.actor for pending in result.pending}
    lines = list(result.observations)
    if result.outcome == "hung":
        last = {line["actor"]: n for n, line in enumerate(lines) if "op" in line}
        left_out = {
            n for actor, n in last.items() if lines[n]["event"] == "begin" and actor not in hung
        }
        lines = [line for n, line in enumerate(lines) if n not in left_out]
    endings: Mapping[str, Ending] = {"completed": "completed", "hung": "hung"}
    ending = endings.get(result.outcome, "cut")
    seen = observation(scenario.world, lines)
    return refine(scenario, seen, ending, schedule_text(result.granted))


class Replay:
    """Replays scenarios with one driver, one after the other.

    As a context manager it ends every process that it started.

    Parameters
    ----------
    driver
        Where.
    team
        Where places come from; by default from a nursery of our own.
    """

    def __init__(self, driver: Driver, team: Spawner | None = None) -> None:
        self._driver = driver
        self._team = team
        self._nursery: Spawner | None = team
        self._imported: set[str] = set()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process that was started."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def scenario(self, scenario: Scenario, wish: Wish) -> list[Replayed]:
        """Replay a scenario under each setting of switches that stand for several."""
        scenario = self._driver.adapt(scenario)
        varied = [name for name, _ in scenario.machine.settings()]
        found = []
        for machine in machines(scenario):
            label = ",".join(f"{name}={getattr(machine.switches, name)}" for name in varied)
            found.append(self._one(scenario.on(machine), wish, label))
        return found

    def _one(self, scenario: Scenario, wish: Wish, setting: str) -> Replayed:
        name, driver = scenario.name, self._driver.name
        asked = functools.cache(lambda: check(scenario, _search()))
        reasons = [*_missing(scenario, self._driver), *self._driver.declines(scenario, asked)]
        if reasons:  # without asking the model, if it need not be asked for that
            return Replayed(name, driver, "", "declined", "; ".join(reasons), setting=setting)
        report = asked()
        expected = f"{report.verdict}, {report.when} run" if report.when else report.verdict
        plan = _wished(plan_of(report), wish)

        def replayed(answer: Answer, why: str, runs: Sequence[RunResult] = ()) -> Replayed:
            schedule = None if plan is None else plan.schedule
            return Replayed(name, driver, expected, answer, why, tuple(runs), schedule, setting)

        if plan is None:
            return replayed("inconclusive", f"the model's own answer is {report.verdict}")
        if plan.schedule is not None and not self._driver.enforces:
            return replayed("declined", "it has to be brought about, and nobody grants NCCL steps")
        if unseen := _unseen(report):
            return replayed("declined", "; ".join(unseen))
        results: list[RunResult] = []
        for number in range(plan.runs):
            order = Order(plan.schedule, wish.seed + number, wish.deadline)
            result, found = self._reached(scenario, report, order, wish.schedule is not None)
            results.append(result)
            if found is not None:
                return replayed(*found, results)
        return replayed("agrees", "", results)

    def _reached(
        self, scenario: Scenario, report: Report, order: Order, own_schedule: bool
    ) -> tuple[RunResult, tuple[Answer, str] | None]:
        """A run, and what it says against agreement; again, if its order was not reached."""
        for left in reversed(range(TRIES)):
            result = run(scenario, self._driver, self._nursery_for(scenario), order)
            found = _answer(scenario, report, result, own_schedule)
            if found is None or not self._in_another_order(scenario, result):
                break
            if not left:
                why = f"its order was not reached in {TRIES} runs: {found[1]}"
                return result, ("inconclusive", why)
        return result, found

    def _in_another_order(self, scenario: Scenario, result: RunResult) -> bool:
        """Whether a run that the model lacks is one of its in an order that is not kept here."""
        if result.outcome in ("inconclusive", "not reached") or judge(scenario, result).holds:
            return False
        loose = self._driver.loosened(scenario)
        return loose is not None and bool(judge(loose, result).holds)

    def _nursery_for(self, scenario: Scenario) -> Spawner:
        """A nursery that has imported what the scenario needs here."""
        if self._team is not None:
            return self._team
        modules = {*self._driver.modules, *library_modules(scenario)}
        if self._nursery is None or not modules <= self._imported:
            modules |= self._imported
            self.close()
            self._nursery = Nursery.started(sorted(modules))
            self._imported = modules
        return self._nursery


def refusals(scenario: Scenario, driver: Driver) -> list[str]:
    """Why a scenario can't be replayed with a driver here; none if it can.

    That the model's own answer is about a claim is seen only where it is asked.
    """
    scenario = driver.adapt(scenario)
    return [
        *_missing(scenario, driver),
        *driver.declines(scenario, lambda: check(scenario, _search())),
    ]


def lacking(modules: Iterable[str]) -> list[str]:
    """The packages behind modules that are not installed; our own library needs torch."""
    packages = {name.partition(".")[0] for name in modules}
    needed = {"torch" if package == "eplb_real" else package for package in packages}
    return [name for name in sorted(needed) if importlib.util.find_spec(name) is None]


def _missing(scenario: Scenario, driver: Driver) -> list[str]:
    missing = lacking({*driver.modules, *library_modules(scenario)})
    operations = [op for program in scenario.world.programs for op in program.code]
    afar = any(takes_from_peers(getattr(op, "moves", ())) for op in operations)
    return [
        *(["no driver here moves variables of a peer"] if afar else ()),
        *(f"it needs {name}, which is not installed" for name in missing),
        *(f"it needs {what}" for what in driver.lacks()),
        *(f"no driver here performs {what}" for what in not_performed(scenario)),
    ]


def _unseen(report: Report) -> list[str]:
    """What goes wrong without any thread being told: a driver sees operations, not states."""
    message = "" if report.finding is None else report.finding.message
    if any(claim.sentence in message for claim in report.claims):
        return ["what goes wrong is a claim, which no driver looks at"]
    if message.endswith(" is never met"):
        return ["what goes wrong is a request that is left over, which raises nothing"]
    return []


def _search() -> Search:
    until = time.monotonic() + CHECK_WITHIN
    return Search(
        max_states=MOST_STATES,
        enough=lambda: "time_limit" if time.monotonic() > until else None,
        time_limit=CHECK_WITHIN,
    )


def _wished(plan: Plan | None, wish: Wish) -> Plan | None:
    if wish.schedule is not None:
        return Plan(wish.runs or 1, wish.schedule)
    if plan is None or wish.runs is None:
        return plan
    return Plan(wish.runs, plan.schedule)


def _answer(
    scenario: Scenario, report: Report, result: RunResult, own_schedule: bool
) -> tuple[Answer, str] | None:
    """What a run says against agreement; None if nothing does."""
    if result.outcome == "inconclusive":
        return "inconclusive", "; ".join(result.evidence)
    if result.outcome == "not reached":
        return "disagrees", "; ".join(result.evidence)
    refinement = judge(scenario, result)
    if refinement.holds is None:
        return "inconclusive", refinement.message
    if not refinement.holds:
        return "disagrees", refinement.message
    problem = None if own_schedule else _not_as_expected(report, result)
    return None if problem is None else ("disagrees", problem)


def _not_as_expected(report: Report, result: RunResult) -> str | None:
    """What a run lacks of what the model's report says; None if nothing."""
    finding = report.finding
    match report.verdict:
        case "ok":
            ended = result.outcome in ("completed", "went on")
            errors = any(line["family"] != "fault" for line in result.exceptions)
            return _seen_instead(result) if not ended or errors or result.overlaps else None
        case "deadlock":
            assert finding is not None, "a deadlock has a finding"
            if result.outcome != "hung":
                return _seen_instead(result)
            return _other_waiters(finding, result.pending) if report.when == "some" else None
        case "stall":
            assert finding is not None, "a stall has a finding"
            return _not_stalled(finding, result)
        case "race":
            assert finding is not None, "a race has a finding"
            return None if _has_overlap(finding, result) else _seen_instead(result)
        case _:
            assert finding is not None, "an error has a finding"
            return None if _has_error(finding, result) else _seen_instead(result)


def _other_waiters(finding: Finding, pending: Sequence[Pending]) -> str | None:
    expected = sorted(str(each.actor) for each in finding.waiting)
    seen = sorted(each.actor for each in pending)
    if expected == seen:
        return None
    return f"{', '.join(seen)} hang; the model has {', '.join(expected)} there"


def _not_stalled(finding: Finding, result: RunResult) -> str | None:
    left_out = {str(each.actor) for each in finding.waiting}
    missing = sorted(left_out - {each.actor for each in result.pending})
    if result.outcome == "hung" and not missing:
        return None
    return f"{', '.join(missing)} did not stall: {_seen_instead(result)}"


def _has_overlap(finding: Finding, result: RunResult) -> bool:
    return any(
        f"both use {line['buffer']}, " in finding.message
        and all(f"on {actor} " in finding.message for actor in line["actors"])
        for line in result.overlaps
    )


def _has_error(finding: Finding, result: RunResult) -> bool:
    actor = finding.message.partition(":")[0]
    return any(
        (line["actor"], line["family"]) == (actor, finding.verdict) for line in result.exceptions
    )


def _seen_instead(result: RunResult) -> str:
    """What a run came to, in words."""
    words = [f"the run {result.outcome}" if result.outcome != "hung" else "the run hung"]
    words += [
        f"{line['actor']} raised {line['family']}: {line['text']}" for line in result.exceptions
    ]
    words += [
        f"{' and '.join(line['actors'])} overlap on {line['buffer']}" for line in result.overlaps
    ]
    words += [f"{each.actor} is in {each.op}" for each in result.pending]
    return "; ".join(words)


def document(replayed: Replayed) -> dict[str, Any]:
    """One vector's part of the document "eplb-replay/1"."""
    return {
        "vector": replayed.vector,
        "driver": replayed.driver,
        "setting": replayed.setting,
        "expected": replayed.expected,
        "answer": replayed.answer,
        "why": replayed.why,
        "schedule": None
        if replayed.schedule is None
        else [str(each) for each in replayed.schedule],
        "runs": [_run_document(result) for result in replayed.runs],
    }


def _run_document(result: RunResult) -> dict[str, Any]:
    return {
        "outcome": result.outcome,
        "evidence": list(result.evidence),
        "pending": [
            {"actor": each.actor, "op": each.op, "pc": each.pc, "why": each.why}
            for each in result.pending
        ],
        "exceptions": list(result.exceptions),
        "overlaps": list(result.overlaps),
        "variables": {str(rank): dict(values) for rank, values in result.variables.items()},
        "granted": [str(action) for action in result.granted],
        "observations": len(result.observations),
    }
