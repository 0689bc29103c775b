"""What would break the circle: changes of a scenario under which the model finds nothing wrong.

Rules:
- Nothing is suggested that has not been checked: a cure carries the number of states of its check.
- First what the catalogue says (the fixed twin), then fewer CTAs (of parameters, else of kernels of
  the circle whose number is written down), then parameters with a choice, then an edge between the
  two calls that compete.
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
from eplb_model.world import Kernel

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
    # As it was asked for: on the machine whose switches stand for every setting, not for one.
    base = asked.scenario if asked.vector is None else asked.under({})
    if asked.vector is not None:
        yield from _tried(_twins(asked), bench)
        yield from _fewer_ctas(asked, bench)
    yield from _smaller_kernels(asked, base, small, bench)
    if asked.vector is not None:
        yield from _tried(_choices(asked), bench)
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
            cure = _of_parameter(asked, name, parameter, bench)
            if cure is not None:
                yield cure


def _of_parameter(asked: Asked, name: str, parameter: Parameter, bench: _Bench) -> Cure | None:
    """First the number that leaves room for the largest other kernel, then by halving."""
    now = asked.value(name)
    sizes = sorted(kernel.ctas for kernel in asked.scenario.kernels.values())
    most = now if isinstance(now, int) else sizes[-1]
    least = max(1, int(parameter.least or 1))
    guess = asked.scenario.machine.sms - max([each for each in sizes if each != most] or sizes)

    def change(number: int) -> _Change | None:
        return next(_set(asked, "fewer CTAs", {name: number}), None)

    cure, fails = _largest(bench, range(least, most), guess, change)
    if cure is None or fails is None:
        return cure
    return replace(cure, beside=f"{name}={fails} does not hold")


def _smaller_kernels(asked: Asked, base: Scenario, small: Reduced, bench: _Bench) -> Iterator[Cure]:
    """For each kernel of the circle that no parameter sizes, the largest smaller grid that helps.

    In whole clusters, so that nothing else of the kernel changes.
    """
    names = dict.fromkeys(_kernel_at(small.last, actor) for actor in small.circle)
    for name in names:
        if name is None or not _is_written_down(asked, name):
            continue
        kernel = base.kernels[name]
        others = [each.ctas for each in base.kernels.values() if each.name != name]
        room = base.machine.sms - max(others, default=0)

        def change(number: int, kernel: Kernel = kernel) -> _Change | None:
            kernels = {**base.kernels, kernel.name: replace(kernel, ctas=number)}
            words = f"kernel {kernel.name} with {number} CTA{'' if number == 1 else 's'}"
            kind = f"fewer CTAs (it has {kernel.ctas})"
            return _Change(kind, words, replace(base, kernels=kernels, expect=None))

        numbers = range(kernel.cluster, kernel.ctas, kernel.cluster)
        cure, fails = _largest(bench, numbers, room - room % kernel.cluster, change)
        if cure is not None:
            yield cure if fails is None else replace(cure, beside=f"{fails} do not hold")


def _is_written_down(asked: Asked, kernel: str) -> bool:
    """Whether the number of CTAs of a kernel is a number, and no parameter or formula."""
    if asked.vector is None:
        return True
    kernels = asked.vector.document.get("kernels")
    written = kernels.get(kernel) if isinstance(kernels, dict) else None
    return isinstance(written, dict) and isinstance(written.get("ctas", 1), int)


def _largest(
    bench: _Bench, numbers: range, guess: int, change: Callable[[int], _Change | None]
) -> tuple[Cure | None, int | None]:
    """The change to the largest of these numbers that helps, and the next one that does not."""
    best: Cure | None = None
    failed: int | None = None
    fits, fails = -1, len(numbers)
    tried = numbers.index(guess) if guess in numbers else 0
    while fits < tried < fails:
        changed = change(numbers[tried])
        report = bench.check(changed.scenario) if changed is not None else None
        if changed is None or report is None:
            break
        if report.verdict == "ok":
            fits, best = tried, _cure(changed, report)
            tried = tried + 1 if numbers[tried] == guess else (fits + fails) // 2
        else:
            fails, failed = tried, numbers[tried]
            if best is None and tried == 0:
                break  # if the least does not help, nothing will
            tried = (fits + fails) // 2 if best is not None else 0
    return best, failed if best is not None else None


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
