"""What would break the circle: changes of a scenario under which the model finds nothing wrong.

Rules:
- Nothing is suggested that has not been checked: a cure carries the number of states of its check.
- First what the catalogue says (the fixed twin), then fewer CTAs, then parameters with a choice,
  then an edge between the two calls that compete.
- Parameters that say what the situation is (how many ranks, which fault) are left alone: another
  question is no cure.
- States are counted over all checks; what a bound cut is counted as undecided.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from eplb_model.bugs import twins_of
from eplb_model.check import Search, check
from eplb_model.explain.asked import Asked
from eplb_model.explain.edges import Call, copies_of, launches_of, with_edge
from eplb_model.explain.reduce import Reduced
from eplb_model.format.parameters import Parameter
from eplb_model.happens_before import Access, races
from eplb_model.outcome import Actor, Finding, Report
from eplb_model.render.explained import Cure, Cures
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.trace import phrase, replay
from eplb_model.vector import Settings, VectorError, VectorFile

STATES_OF_A_CHECK = 6_000  # in a world of up to eight actors; fewer in larger ones
STATES_OF_ALL = 40_000
SAMPLING = Search("uniform", runs=12, max_depth=400)  # what a few random runs show needs no search
MOST_CURES = 6

Enough = Callable[[], str | None]

# What a situation is: the size of the question, the faults that it asks for, and how the ends of
# kernels are looked at.
QUESTION = frozenset(
    {
        "blocked", "call", "checked", "claims", "collective", "compares", "cycles", "dies",
        "diverges", "drain", "ends", "every_stage_has_experts", "expected", "fault", "faults",
        "first_use", "flag", "grain", "holder", "hook", "idle", "interval", "inverted", "late",
        "layers", "machine", "models", "moved", "other", "peers", "phase", "priority", "queue_map",
        "raises", "raises_after", "ranks", "released", "reserves", "short", "slow", "statistics",
        "steps", "sums_load", "tensors", "turns", "unchecked",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    words: str
    scenario: Scenario
    settings: Settings = field(default_factory=dict)


class _Bench:
    """Checks changed scenarios as long as the states last, and counts what came of it."""

    def __init__(self, asked: Asked, enough: Enough) -> None:
        self.enough = enough
        scale = 8 / max(8, len(asked.scenario.world.actors))
        self.each = max(100, int(STATES_OF_A_CHECK * scale))
        self.left = max(400, int(STATES_OF_ALL * scale))
        self.no_help = 0
        self.undecided = 0
        self.not_tried = 0

    def check(self, scenario: Scenario) -> Report | None:
        """The report of all schedules, if the states last, some runs held, and no bound cut it."""
        if self.left <= 0 or self.enough() is not None:
            self.not_tried += 1
            return None
        report = check(scenario, SAMPLING)
        self.left -= report.states
        if report.finding is None:
            report = check(scenario, Search(max_states=self.each, enough=self.enough))
            self.left -= report.states
        if report.verdict == "unknown":
            self.undecided += 1
            return None
        if report.verdict != "ok":
            self.no_help += 1
        return report


def cures(asked: Asked, finding: Finding, small: Reduced, enough: Enough = lambda: None) -> Cures:
    """Changes that help, each with what was checked, until `enough` names a bound."""
    bench = _Bench(asked, enough)
    found = tuple(islice(_once(_helpful(asked, finding, small, bench)), MOST_CURES))
    return Cures(found, bench.no_help, bench.undecided, bench.not_tried, bench.each)


def _helpful(asked: Asked, finding: Finding, small: Reduced, bench: _Bench) -> Iterator[Cure]:
    if asked.vector is not None:
        yield from _tried(_twins(asked), bench)
        yield from _fewer_ctas(asked, bench)
        yield from _tried(_choices(asked), bench)
    # As it was asked for: on the machine whose switches stand for every setting, not for one.
    base = asked.scenario if asked.vector is None else asked.under({})
    yield from _tried(_edges(base, finding, small), bench)


def _once(found: Iterator[Cure]) -> Iterator[Cure]:
    """Without those that come to the same settings as an earlier one."""
    seen: set[object] = set()
    for cure in found:
        what: object = frozenset(cure.settings) if cure.settings else cure.words
        if what not in seen:
            yield cure
        seen.add(what)


def _tried(changes: Iterator[_Change], bench: _Bench) -> Iterator[Cure]:
    for change in changes:
        report = bench.check(change.scenario)
        if report is not None and report.verdict == "ok":
            yield _cure(change, report)


def _cure(change: _Change, report: Report, beside: str = "") -> Cure:
    sets = tuple(f"{name}={_written(value)}" for name, value in change.settings.items())
    serialised = report.serialised or "never"
    return Cure(change.kind, change.words, sets, report.states, serialised, beside)


def _twins(asked: Asked) -> Iterator[_Change]:
    """What the catalogue says: the settings of a twin, or the twin itself."""
    assert asked.vector is not None
    for twin in twins_of(asked.vector.name):
        same = twin.written.get("base") == asked.vector.name
        changed = {
            name: each.default
            for name, each in twin.parameters.items()
            if same and each.default != asked.vector.parameters[name].default
        }
        if changed and set(twin.written) <= TWIN_BY_SETTINGS:
            yield from _set(asked, f"the fixed twin {twin.name}", changed)
        else:
            yield from _twin_itself(asked, twin)


def _twin_itself(asked: Asked, twin: VectorFile) -> Iterator[_Change]:
    """A twin with programs of its own, under whatever was set that it has too."""
    assert asked.vector is not None
    ours = asked.vector.parameters
    given = {
        name: value
        for name, value in asked.settings.items()
        if name in twin.parameters and value != ours[name].default
    }
    try:
        scenario = twin.scenario(given, asked.switches)
    except VectorError:
        return
    under = ", ".join(f"{name}={_written(value)}" for name, value in given.items())
    yield _Change("the fixed twin", f"{twin.name}{f' with {under}' if under else ''}", scenario)


# A twin that says no more than this differs from its base in its parameters alone.
TWIN_BY_SETTINGS = frozenset(
    {
        "schema", "name", "about", "source", "classes", "fixes", "base", "parameters", "expect",
        "cases", "real",
    }
)  # fmt: skip


def _set(asked: Asked, kind: str, changed: Settings) -> Iterator[_Change]:
    """A change of parameters, unless it is refused or changes nothing."""
    if all(asked.value(name) == value for name, value in changed.items()):
        return
    try:
        scenario = asked.under(changed)
    except VectorError:
        return
    now = (f"{name} is now {_written(asked.value(name))}" for name in changed)
    yield _Change(kind, ", ".join(now), scenario, changed)


def _fewer_ctas(asked: Asked, bench: _Bench) -> Iterator[Cure]:
    """For each parameter that counts CTAs, the largest smaller number that helps, by halving."""
    assert asked.vector is not None
    for name, parameter in asked.vector.parameters.items():
        if name.endswith("ctas") and name not in QUESTION and parameter.type == "integer":
            cure = _largest(asked, name, parameter, bench)
            if cure is not None:
                yield cure


def _largest(asked: Asked, name: str, parameter: Parameter, bench: _Bench) -> Cure | None:
    """First the number that leaves room for the largest other kernel, then by halving."""
    now = asked.value(name)
    sizes = sorted(kernel.ctas for kernel in asked.scenario.kernels.values())
    most = now if isinstance(now, int) else sizes[-1]
    least = max(1, int(parameter.least or 1))
    others = [size for size in sizes if size != most] or sizes
    guess = asked.scenario.machine.sms - others[-1]
    best: Cure | None = None
    failed = False
    fits, fails = least - 1, most
    tried = guess if least <= guess < most else least
    while fits < tried < fails:
        change = next(_set(asked, "fewer CTAs", {name: tried}), None)
        report = bench.check(change.scenario) if change is not None else None
        if change is None or report is None:
            break
        if report.verdict == "ok":
            fits, best = tried, _cure(change, report)
            tried = tried + 1 if tried == guess else (fits + fails) // 2
        else:
            fails, failed = tried, True
            if best is None and tried == least:
                return None  # if the least does not help, nothing will
            tried = (fits + fails) // 2 if best is not None else least
    if best is None:
        return None
    return replace(best, beside=f"{name}={fails} does not hold" if failed else "")


def _choices(asked: Asked) -> Iterator[_Change]:
    """Every other value of the parameters with a choice; clusters of one CTA among them."""
    assert asked.vector is not None
    for name, parameter in asked.vector.parameters.items():
        if name in QUESTION:
            continue
        values = parameter.choices
        if parameter.type == "boolean":
            values = (False, True)
        elif "cluster" in name and parameter.type == "integer":
            values = (1,)
        kind = {"communicator": "another transport", "order": "an order"}.get(name, "a setting")
        for value in values:
            yield from _set(asked, kind, {name: value})


def _written(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


# --- edges -------------------------------------------------------------------------------------


def _edges(scenario: Scenario, finding: Finding, small: Reduced) -> Iterator[_Change]:
    """Edges between the two calls that a race or a circle is about, in both directions."""
    pairs = _racing(scenario, finding) if finding.verdict == "race" else _competing(scenario, small)
    for first, second in pairs:
        both = ((first, second), (second, first))
        for one, other in both[:1] if finding.verdict == "race" else both:
            changed = with_edge(scenario, one, other)
            if changed is not None:
                words = f"on every rank `{other}` waits for `{one}`"
                yield _Change("an event edge", words, changed)


def _competing(scenario: Scenario, small: Reduced) -> Iterator[tuple[Call, Call]]:
    """The launches of two kernels of one rank that follow each other in the circle."""
    ring = small.circle
    seen = set()
    for one, other in pairwise(ring):
        kernels = (_kernel_at(small.last, one), _kernel_at(small.last, other))
        if one.rank != other.rank or None in kernels or frozenset(kernels) in seen:
            continue
        seen.add(frozenset(kernels))
        waiting, holding = (launches_of(scenario, each or "") for each in kernels)
        if len(waiting) == len(holding) == 1:
            yield holding[0], waiting[0]


def _kernel_at(state: State, actor: Actor) -> str | None:
    head = state.head(actor) if actor.is_stream else None
    return None if head is None else head.work.kernel


def _racing(scenario: Scenario, finding: Finding) -> Iterator[tuple[Call, Call]]:
    """The calls behind the two accesses of a race, the one first that comes first."""
    trace = replay(scenario.world, finding.schedule)
    for race in races(trace)[-1:]:
        accesses = (race.first, race.second) if race.from_first else (race.second, race.first)
        one, other = (_call_of(scenario, each) for each in accesses)
        if one is not None and other is not None:
            yield one, other


def _call_of(scenario: Scenario, access: Access) -> Call | None:
    """The one call in the text of its thread that can have made an access."""
    if not access.actor.is_stream:
        return Call(access.actor.name, phrase(access.op), None)  # type: ignore[arg-type]
    kernel = getattr(access.op, "kernel", None)
    direction = getattr(access.op, "direction", None)
    calls = launches_of(scenario, kernel) if kernel else copies_of(scenario, direction or "")
    found = [
        call
        for call in calls
        if call.thread == access.submitter.name and call.stream == access.actor.name
    ]
    return found[0] if len(found) == 1 else None
