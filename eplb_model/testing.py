"""Assertions about protocols, for tests of any runner: `assert_no_hang(scenario)`.

Rules:
- Whatever is not `ok` fails: a search that was cut short has not shown anything, and behind a race
  nobody has looked for hangs.  `allow` names the verdicts that may pass all the same.
- A failure carries its report and its vector.  With pytest the vector becomes a file
  (pytest_plugin.py); elsewhere `CheckFailed.checked.vector()` is its text.
- A test under Hypothesis counts its verdicts as events, for `--hypothesis-show-statistics`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

from eplb_model.build import Build
from eplb_model.build.words import name_from
from eplb_model.check import Search, Strategy, assumptions, check, machines
from eplb_model.explain.asked import Asked, on_machine_of
from eplb_model.explain.explanation import explain
from eplb_model.findings import finding_at
from eplb_model.format.document import dump
from eplb_model.format.machines import is_file_name
from eplb_model.format.template import NAME
from eplb_model.format.writing import scenario_document
from eplb_model.outcome import Action, Finding, Report, Verdict, When
from eplb_model.render.explained import explanation_text
from eplb_model.render.text import report_text
from eplb_model.scenario import Scenario
from eplb_model.session import CURRENT, Checked, CheckFailed, Limits, Session
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import VectorFile, load

__all__ = ["CheckFailed", "assert_expected", "assert_finds", "assert_no_hang", "assert_run"]

Setting: TypeAlias = bool | int | float | str | None
Checkable: TypeAlias = Scenario | VectorFile | Build | str | os.PathLike[str]


def assert_no_hang(
    what: Checkable,
    /,
    *,
    allow: Collection[Verdict] = (),
    search: Search | None = None,
    **settings: Setting,
) -> Report:
    """Explore every schedule, and fail unless every run ends well.

    Parameters
    ----------
    what
        A scenario, a protocol that was built, a vector, or the name or file of one.
    allow
        Verdicts that pass besides `ok`: `("may",)` for what nobody has measured.
    search
        How to search; by default as the options `--eplb-*` of pytest say.
    settings
        Parameters of the vector; a scenario has none to set.

    Returns
    -------
    Report
        What the check says, with its bounds and assumptions.

    Raises
    ------
    CheckFailed
        An `AssertionError` with the explanation.

    Examples
    --------
    >>> assert_no_hang("coop_vs_nccl_opposite_order", nccl_ctas=4, coop_ctas=128).verdict
    'ok'
    """
    __tracebackhide__ = True
    checked = _check(what, settings, search)
    if checked.report.verdict not in ("ok", *allow):
        raise CheckFailed(_explained(checked.report, _scenario(what, settings)[0]), checked)
    return checked.report


def assert_finds(
    what: Checkable,
    verdict: Verdict,
    /,
    *,
    when: When | None = None,
    search: Search | None = None,
    **settings: Setting,
) -> Report:
    """Fail unless the check answers this: a test that can't fail shows nothing.

    Parameters
    ----------
    what, search, settings
        As for `assert_no_hang`.
    verdict, when
        What the check has to answer, and whether on `every` run or on `some`.

    Examples
    --------
    >>> assert_finds("coop_vs_nccl_opposite_order", "deadlock", when="every").states
    6
    """
    __tracebackhide__ = True
    checked = _check(what, settings, search)
    report = checked.report
    if report.verdict != verdict or when not in (None, report.when):
        wanted = verdict if when is None else f"{verdict} on {when} run"
        told = _explained(report, _scenario(what, settings)[0])
        raise CheckFailed(f"expected {wanted}; got\n{told}", checked)
    return report


def assert_expected(
    what: VectorFile | Build | str | os.PathLike[str], /, *, search: Search | None = None
) -> tuple[Report, ...]:
    """Fail unless a vector answers what it says itself: its `expect`, and every one of its cases.

    Parameters
    ----------
    what, search
        As for `assert_no_hang`.

    Returns
    -------
    tuple[Report, ...]
        One for each case, the defaults first.

    Examples
    --------
    >>> {report.verdict for report in assert_expected("coop_vs_nccl_capped")}
    {'ok'}
    """
    __tracebackhide__ = True
    vector = _vector(what)
    cases = vector.cases()
    if not cases:
        raise TypeError(f"{vector.name} expects nothing; write down `expect`")
    reports = []
    for settings, expect in cases:
        checked = _check(vector, cast(Mapping[str, Setting], settings), search)
        reports.append(checked.report)
        wrong = [
            f"{name} {getattr(expect, name)!r}, got {getattr(checked.report, name)!r}"
            for name in ("verdict", "when", "serialised")
            if getattr(expect, name) not in (None, getattr(checked.report, name))
        ]
        if wrong:
            where = "".join(f" {name}={value}" for name, value in settings.items())
            said = f"{vector.name}{where} expects {'; '.join(wrong)}"
            told = _explained(checked.report, vector.scenario(settings))
            raise CheckFailed(f"{said}\n{told}", checked)
    return tuple(reports)


def assert_run(what: Checkable, schedule: Sequence[Action] | str, /, **settings: Setting) -> None:
    """Fail if one run ends stuck, or breaks a property: for schedules that Hypothesis draws.

    That a run goes well says nothing of others; this is for what is too large to explore.

    Parameters
    ----------
    what, settings
        As for `assert_no_hang`; under the first of several settings of switches.
    schedule
        As `strategies.schedules` draws it, or its text; it may end anywhere.

    Raises
    ------
    CheckFailed
        An `AssertionError` with the explanation.
    ScheduleError
        For a schedule that can't be read or can't be followed.

    Examples
    --------
    >>> assert_run("coop_vs_nccl_opposite_order", "0.eplb 0.main 1.main")
    """
    __tracebackhide__ = True
    scenario, vector = _scenario(what, settings)
    scenario = scenario.on(next(machines(scenario)))
    if isinstance(schedule, str):
        schedule = parse_schedule(scenario.world, schedule)
    steps = tuple(schedule)
    finding = finding_at(replay(scenario.world, steps).last, steps)
    if finding is not None:
        checked = Checked(_report_of_run(scenario, finding), vector)
        raise CheckFailed(_explained(checked.report, scenario), checked)


def _report_of_run(scenario: Scenario, finding: Finding) -> Report:
    """What a check would say that had drawn this run alone."""
    length = len(finding.schedule)
    return Report(
        scenario=scenario.name,
        parameters=scenario.parameters,
        verdict=finding.verdict,
        when="some",
        serialised=None,
        states=length + 1,
        transitions=length,
        depth=length,
        finding=finding,
        ends={finding.verdict: 1},
        bounds={"runs": 1, "cut": "runs"},
        switches={},
        assumptions=assumptions(scenario),
        strategy="uniform",
    )


def _check(what: Checkable, settings: Mapping[str, Setting], search: Search | None) -> Checked:
    session = CURRENT.get() or Session()
    scenario, vector = _scenario(what, settings)
    checked = Checked(check(scenario, search or _search(session)), vector)
    session.tell(checked)
    _count_for_hypothesis(checked.report)
    return checked


def _scenario(
    what: Checkable, settings: Mapping[str, Setting]
) -> tuple[Scenario, Callable[[], str]]:
    """The scenario, and how its vector is written."""
    if isinstance(what, Scenario):
        if settings:
            raise TypeError(f"a scenario has no parameters to set; got {', '.join(settings)}")
        return what, lambda: dump(scenario_document(replace(what, name=_name(what))))
    vector = _vector(what)
    scenario = what.scenario(**settings) if isinstance(what, Build) else vector.scenario(settings)
    return scenario, partial(_text, vector, settings)


def _name(scenario: Scenario) -> str:
    """The name of a scenario that was made by hand, as a vector can have it."""
    known = NAME.fullmatch(scenario.name)
    return scenario.name if known else f"scenario_{name_from(scenario.name)}"


def _vector(what: VectorFile | Build | str | os.PathLike[str]) -> VectorFile:
    if isinstance(what, Build):
        return what.vector()
    return what if isinstance(what, VectorFile) else load(os.fspath(what))


def _text(vector: VectorFile, settings: Mapping[str, Setting]) -> str:
    """A vector on its own, with these settings as its defaults; what it expects goes with them."""
    left_out = ("base", "expect", "cases") if settings else ("base",)
    document = {key: value for key, value in vector.document.items() if key not in left_out}
    written = cast(Mapping[str, Any], document.get("parameters", {}))
    chosen = {**settings, "machine": _machine(vector, settings)}
    names = dict.fromkeys((*written, "machine"))
    document["parameters"] = {name: _default(written.get(name), name, chosen) for name in names}
    return dump(document)


def _default(written: object, name: str, settings: Mapping[str, Setting]) -> object:
    if name not in settings:
        return written
    return {**written, "default": settings[name]} if isinstance(written, dict) else settings[name]


def _machine(vector: VectorFile, settings: Mapping[str, Setting]) -> str:
    """A preset, or a file by its whole path: the vector may be written anywhere."""
    given = settings.get("machine", vector.parameters["machine"].default)
    assert isinstance(given, str)
    if not is_file_name(given):
        return given
    return str((Path() if "machine" in settings else vector.path.parent).joinpath(given).resolve())


def _search(session: Session) -> Search:
    limits, clock = session.limits, session.clock
    return Search(
        strategy=cast(Strategy, limits.strategy),
        max_states=limits.max_states,
        seed=limits.seed,
        runs=limits.runs,
        time_limit=limits.time_limit,
        enough=_enough(limits, clock),
    )


def _enough(limits: Limits, clock: Callable[[], float] | None) -> Callable[[], str | None]:
    limit = limits.time_limit
    if clock is None or limit is None:
        return lambda: None
    ends = clock() + limit
    return lambda: "time_limit" if clock() > ends else None


def _explained(report: Report, scenario: Scenario) -> str:
    """Why, without a search for cures: a failing test should fail soon."""
    text = report_text(report)
    if report.finding is not None:
        asked = on_machine_of(Asked(scenario), report)
        text = explanation_text(explain(asked, report, with_cures=False))
    cut = report.bounds.get("cut")
    if report.verdict != "unknown" or cut is None:
        return text
    option = str(cut).replace("_", "-")
    now = report.bounds.get(str(cut))
    return f"{text}\n\nThe search was cut by {cut} ({now}): a larger --eplb-{option} goes on."


def _count_for_hypothesis(report: Report) -> None:
    """Show the verdict in Hypothesis' statistics, if it runs this test."""
    if "hypothesis" not in sys.modules:
        return
    from hypothesis import currently_in_test_context, event  # noqa: PLC0415 (only if it runs)

    if currently_in_test_context():
        event(f"eplb: {report.verdict}")
