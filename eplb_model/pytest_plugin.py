"""The pytest plugin: options `--eplb-*`, and what a failed check leaves behind.

Rules:
- Loading it imports nothing of the model; tests that use `eplb_model.testing` do.
- A failed check writes its vector, named by its own text: two workers that write one file write the
  same, and nothing depends on who runs which test.
- JUnit's properties have the hash of the vector and the verdict, and where the file is.
- Hypothesis' settings and profiles are left alone.  Of all that it tries only what it reports in
  the end becomes a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eplb_model.session import CURRENT, Checked, CheckFailed, Limits, Session

STRATEGIES = ("bfs", "dfs", "uniform", "pct")  # check.STRATEGIES, which would be heavy to import
PROFILES = {
    "quick": Limits(max_states=20_000, time_limit=10.0),
    "default": Limits(),
    "thorough": Limits(max_states=20_000_000),
}
LIMITS = {  # option: field of Limits, type, help
    "max-states": ("max_states", int, "states after which a check is unknown"),
    "time-limit": ("time_limit", float, "seconds after which a check is unknown"),
    "strategy": ("strategy", str, f"how to search: {', '.join(STRATEGIES)}"),
    "runs": ("runs", int, "runs of the strategies uniform and pct"),
    "seed": ("seed", int, "seed of the strategies uniform and pct"),
}
FOLDER = "eplb-failures"
FILE = "eplb_file"  # the property under which the controller finds what a worker wrote
SESSION = pytest.StashKey[Session]()
SETTINGS = pytest.StashKey[Limits]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with a setting of the same name in the configuration file."""
    group = parser.getgroup("eplb", "checks of eplb-checker")
    for name, (field, kind, text) in LIMITS.items():
        group.addoption(f"--eplb-{name}", type=kind, default=None, help=text)
        parser.addini(f"eplb_{field}", text, default=None)
    where = f"folder for the vectors of failed checks (default: {FOLDER})"
    group.addoption("--eplb-artifacts", metavar="DIR", default=None, help=where)
    parser.addini("eplb_artifacts", where, default=FOLDER)
    sizes = f"limits of every check: {', '.join(PROFILES)}; other options go first"
    group.addoption("--eplb-profile", metavar="NAME", default=None, help=sizes)
    parser.addini("eplb_profile", sizes, default="default")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options once; what can't be used ends the run before it begins."""
    profile = config.getoption("--eplb-profile") or config.getini("eplb_profile")
    if profile not in PROFILES:
        raise pytest.UsageError(f"--eplb-profile {profile}: known: {', '.join(PROFILES)}")
    limits = PROFILES[profile]
    for name, (field, kind, _) in LIMITS.items():
        value = _given(config, name, field, kind)
        if value is not None:
            limits = replace(limits, **{field: value})
    config.stash[SETTINGS] = limits


def _given(config: pytest.Config, name: str, field: str, kind: type) -> Any:
    """The value of an option, else that of the configuration file, else None."""
    value, place = config.getoption(f"--eplb-{name}"), f"--eplb-{name}"
    if value is None:
        written, place = config.getini(f"eplb_{field}"), f"eplb_{field}"
        if written in (None, ""):
            return None
        try:
            value = kind(written)
        except ValueError:
            raise pytest.UsageError(f"{place}: got {written!r}, not {kind.__name__}") from None
    if field == "strategy" and value not in STRATEGIES:
        raise pytest.UsageError(f"{place}: got {value!r}; known: {', '.join(STRATEGIES)}")
    if kind is not str and field != "seed" and not value > 0:
        raise pytest.UsageError(f"{place}: got {value}; expected more than 0")
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give every test its session, fixtures included."""
    session = Session(item.config.stash[SETTINGS], time.monotonic)
    item.stash[SESSION] = session
    token = CURRENT.set(session)
    try:
        return (yield)
    finally:
        CURRENT.reset(token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the vectors of failed checks and say so; note what was checked."""
    failed = list(_failed(call.excinfo.value)) if call.excinfo is not None else []
    told = [_kept(item, each) for each in failed]
    if call.when == "call" and not failed:
        _note_passed(item)
    report = yield
    report.sections.extend(("eplb-checker", text) for text in told)
    return report


def _failed(error: BaseException | None) -> Iterator[Checked]:
    """The failed checks of an exception, of a group, and of what led to it, each once."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        each = todo.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, CheckFailed):
            yield each.checked
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        todo += [each.__cause__, each.__context__]


def _note_passed(item: pytest.Item) -> None:
    """How many checks a test made, and which, if it was one."""
    session = item.stash[SESSION]
    if session.last is None:
        return
    item.user_properties.append(("eplb_checks", session.count))
    if session.count == 1:
        _text, digest = _text_of(session.last)
        item.user_properties += _properties(session.last, digest)


def _kept(item: pytest.Item, checked: Checked) -> str:
    """Write the vector of a failed check; what to tell about it."""
    text, digest = _text_of(checked)
    item.user_properties += _properties(checked, digest)
    if digest is None:
        return f"no vector can hold this scenario: {text}"
    name = re.sub(r"\W+", "_", checked.report.scenario)  # a scenario's name may be any text
    path = _folder(item.config) / f"{name}-{digest[:12]}.json"
    _write(path, text)
    shown = _shown(path, item.config.invocation_params.dir)
    item.user_properties.append((FILE, shown))
    told = f"{shown} holds the vector of this {checked.report.verdict}; why, and what would help:"
    return f"{told}\n  eplb-model check {shlex.quote(shown)} --explain{_drawn(checked, shown)}"


def _drawn(checked: Checked, shown: str) -> str:
    """How a run that was drawn is seen again: a check may never come upon it."""
    report = checked.report
    if report.finding is None or report.bounds.get("cut") != "runs":
        return ""
    schedule = " ".join(map(str, report.finding.schedule))
    again = f"eplb-model replay {shlex.quote(shown)} --schedule {shlex.quote(schedule)}"
    return f"\nthe run that was drawn:\n  {again}"


def _properties(checked: Checked, digest: str | None) -> list[tuple[str, object]]:
    return [("eplb_vector", digest or "none"), ("eplb_verdict", checked.report.verdict)]


def _text_of(checked: Checked) -> tuple[str, str | None]:
    """The text of a vector and its hash; the reason and None where there is no vector."""
    try:
        text = checked.vector()
    except ValueError as error:
        return str(error), None
    return text, hashlib.sha256(text.encode()).hexdigest()


def _folder(config: pytest.Config) -> Path:
    given: str | None = config.getoption("--eplb-artifacts")
    if given is not None:
        return config.invocation_params.dir.joinpath(given)
    return config.rootpath.joinpath(str(config.getini("eplb_artifacts")))


def _write(path: Path, text: str) -> None:
    """Write all or nothing: another worker may write the same file now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _shown(path: Path, start: Path) -> str:
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the vectors that were written, by whichever worker."""
    reports = (each for kind in terminalreporter.stats.values() for each in kind)
    properties = (each for report in reports for each in getattr(report, "user_properties", ()))
    files = sorted({str(value) for name, value in properties if name == FILE})
    if files:
        terminalreporter.section("vectors of failed checks (eplb-model check FILE)")
        for each in files:
            terminalreporter.write_line(each)
