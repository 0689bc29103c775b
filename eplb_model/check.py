"""`check(scenario)`: the one entry point.  Explore, classify, explain.

Rules (specs/semantics.md#verdicts):
- Never "ok" when a bound cut the search.
- A switch that stands for several settings is run under each; different verdicts make `may`.
- A finding says how it is reached by the shortest schedule of the search that found it.
- What the fast search can do without is imported where it is needed: a check is often a process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from eplb_model.explore.fast.alone import NotCovered
from eplb_model.explore.fast.answer import answer
from eplb_model.findings import PRECEDENCE, finding_at, finding_in, finding_of
from eplb_model.formulas import channels_of_grid
from eplb_model.machine import Machine
from eplb_model.outcome import Finding, Report, Serialised, Verdict, When
from eplb_model.properties import never_again
from eplb_model.scenario import Scenario
from eplb_model.words import kernel_text

if TYPE_CHECKING:
    from eplb_model.claims import Claim
    from eplb_model.explore.search import Bounds, Exploration
    from eplb_model.explore.settle import Settling
    from eplb_model.explore.stall import GivenUp
    from eplb_model.explore.walk import Walk

Strategy = Literal["bfs", "dfs", "uniform", "pct"]
STRATEGIES: tuple[Strategy, ...] = ("bfs", "dfs", "uniform", "pct")

SMALL = 5_000  # states
BEHIND_A_RACE = 20_000  # states of the plain search; without reductions there is no such bound
SAMPLED_RUNS = 1_000
SAMPLED_STEPS = 10_000
PCT_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Search:
    """How to search: strategy, reductions, bounds, seed.

    Without `settle` it is the plain search; without `fast`, or where the fast search says nothing
    of a scenario, the settled one.
    """

    strategy: Strategy = "bfs"
    settle: bool = True
    fast: bool = True
    symmetry: bool = True  # of the fast search
    max_states: int | None = 2_000_000
    max_depth: int | None = None
    enough: Callable[[], str | None] = lambda: None  # names the bound that ends the search
    seed: int = 0
    runs: int = SAMPLED_RUNS
    time_limit: float | None = None  # in seconds; only reported here, `enough` enforces it
    folding: bool = True  # of the fast search

    @property
    def bounds(self) -> Mapping[str, Any]:
        """The bounds as a report shows them."""
        shown: dict[str, Any] = {
            "max_states": self.max_states,
            "max_depth": self.max_depth,
            "time_limit": self.time_limit,
        }
        if self.strategy in ("uniform", "pct"):
            shown |= {"runs": self.runs, "seed": self.seed}
        return shown


def check(scenario: Scenario, search: Search | None = None) -> Report:
    """Say whether a scenario holds, under every setting of the switches that stand for several.

    Parameters
    ----------
    scenario
        What to check; its machine carries the switches.
    search
        How; by default every schedule, breadth first, with settling.

    Returns
    -------
    Report
        For a verdict that differs between settings, `may`: `switches` then has the verdict per
        setting, and the finding is that of the first setting under which something goes wrong.
    """
    search = search or Search()
    varied = [name for name, _ in scenario.machine.settings()]
    reports = [
        (_label(machine, varied), _check_one(scenario.on(machine), search))
        for machine in machines(scenario)
    ]
    return reports[0][1] if len(reports) == 1 else _combine(reports)


def check_small_first(scenario: Scenario, search: Search | None = None) -> Report:
    """The same answer, sooner for many small scenarios: tables of a rank pay from some size on.

    The settled search may look at a few thousand states; what is larger is asked anew.
    """
    search = search or Search()
    settled = replace(search, fast=False, max_states=min(SMALL, search.max_states or SMALL))
    report = check(scenario, settled)
    return check(scenario, search) if report.bounds["cut"] == "max_states" else report


def machines(scenario: Scenario) -> Iterator[Machine]:
    """One machine for every combination of the settings that its switches stand for."""
    several = scenario.machine.settings()
    for chosen in product(*(settings for _, settings in several)):
        machine = scenario.machine
        for (name, _), setting in zip(several, chosen, strict=True):
            machine = machine.with_switch(name, setting)
        yield machine


def _label(machine: Machine, varied: list[str]) -> str:
    return ",".join(f"{name}={getattr(machine.switches, name)}" for name in varied)


def _combine(reports: list[tuple[str, Report]]) -> Report:
    """One report for several settings of switches."""
    verdicts = {label: report.verdict for label, report in reports}
    worst = min((report for _, report in reports), key=_badness)
    together = replace(
        worst,
        states=sum(report.states for _, report in reports),
        transitions=sum(report.transitions for _, report in reports),
        depth=max(report.depth for _, report in reports),
        switches={**worst.switches, **{k: str(v) for k, v in verdicts.items()}},
    )
    if len(set(verdicts.values())) == 1:
        return together
    if "unknown" in verdicts.values():
        return replace(together, verdict="unknown", when=None)
    return replace(together, verdict="may", when=None)


def _badness(report: Report) -> int:
    order: tuple[Verdict, ...] = (*PRECEDENCE, "may", "unknown", "ok")
    return order.index(report.verdict)


def _check_one(scenario: Scenario, search: Search) -> Report:
    if search.strategy in ("uniform", "pct"):
        return _sample(scenario, search)
    declined = None
    if search.settle and search.fast and search.max_depth is None:
        try:
            return _check_fast(scenario, search)
        except NotCovered as reason:
            declined = str(reason)
    return _check_states(scenario, search, declined)


def _check_states(scenario: Scenario, search: Search, declined: str | None) -> Report:
    """By looking at every state, settled or plain; `declined` says why the fast search did not."""
    from eplb_model.explore.outcomes import never_reached, outcomes  # noqa: PLC0415 (see the rule)
    from eplb_model.explore.search import Bounds, explore  # noqa: PLC0415
    from eplb_model.explore.settle import Settling  # noqa: PLC0415
    from eplb_model.explore.stall import given_up, has_fair_loop  # noqa: PLC0415

    world = scenario.world
    order: Literal["bfs", "dfs"] = "dfs" if search.strategy == "dfs" else "bfs"
    reduction = Settling(world) if search.settle else None
    bounds = Bounds(search.max_states, search.max_depth, search.enough)
    found = explore(world, order, bounds, reduction)
    if reduction is not None and "race" in _broken(found):
        found, reduction = _behind_the_race(found, reduction, order, bounds)
    ends = _ends(found)
    goes_on = has_fair_loop(found)
    gave_up = given_up(found)
    claims = outcomes(found, gave_up)
    finding = finding_in(found, ends, gave_up) or never_reached(claims)
    verdict: Verdict = finding.verdict if finding else ("unknown" if found.cut else "ok")
    return Report(
        scenario=scenario.name,
        parameters=scenario.parameters,
        verdict=verdict,
        when=_when(found, ends, goes_on, gave_up, finding) if finding else None,
        serialised=_serialised(found, ends),
        states=len(found.states),
        transitions=found.transitions,
        depth=found.depth,
        finding=finding,
        ends={kind: len(numbers) for kind, numbers in sorted(ends.items())}
        | ({"goes on": 1} if goes_on else {}),
        bounds={**search.bounds, "cut": found.cut},
        switches=_switches(scenario),
        assumptions=assumptions(scenario),
        strategy=search.strategy,
        reduction="settling" if reduction is not None else None,
        declined=declined,
        kernels=_kernels(scenario),
        claims=claims,
    )


def _broken(found: Exploration) -> set[Verdict]:
    return {broken.verdict for broken in found.broken.values()}


def _behind_the_race(
    found: Exploration, reduction: Settling, order: Literal["bfs", "dfs"], bounds: Bounds
) -> tuple[Exploration, Settling | None]:
    """All that ends where a race was found: settling may begin accesses early, and misses some.

    That a race is there is known already, so this plain search has a bound of its own; where it
    has not come upon the race before, the settled search is what is told.
    """
    from eplb_model.explore.search import explore  # noqa: PLC0415 (see the rule)

    most = min(BEHIND_A_RACE, bounds.max_states or BEHIND_A_RACE)
    whole = explore(found.states[0].world, order, replace(bounds, max_states=most), None)
    if whole.cut == "max_states" and most != bounds.max_states:
        whole.cut = "race"
    if whole.cut is None or _broken(whole):
        return whole, None
    found.cut = found.cut or whole.cut
    return found, reduction


def _check_fast(scenario: Scenario, search: Search) -> Report:
    """The same by tables of one rank at a time; raises `NotCovered`."""
    said = answer(
        scenario.world,
        search.symmetry,
        search.max_states,
        search.enough,
        depth_first=search.strategy == "dfs",
        folding=search.folding,
    )
    finding, cut = finding_of(said), said.found.cut
    when: When = "every" if cut is None and len(said.ends) == 1 else "some"
    waited = said.waited
    return Report(
        scenario=scenario.name,
        parameters=scenario.parameters,
        verdict=finding.verdict if finding else ("unknown" if cut else "ok"),
        when=when if finding else None,
        serialised=_serialised_if(waited),
        states=len(said.found.places),
        transitions=said.found.transitions,
        depth=said.depth,
        finding=finding,
        ends={each: len(numbers) for each, numbers in sorted(said.ends.items())},
        bounds={**search.bounds, "cut": cut},
        switches=_switches(scenario),
        assumptions=assumptions(scenario),
        strategy=search.strategy,
        reduction=said.reduction,
        kernels=_kernels(scenario),
    )


def _ends(found: Exploration) -> dict[str, list[int]]:
    """The states in which runs end, by kind, in the order in which they were found."""
    ends: dict[str, list[int]] = {}
    for number, broken in found.broken.items():
        ends.setdefault(broken.verdict, []).append(number)
    for number in found.final:
        kind = "deadlock" if found.states[number].unfinished() else "ok"
        ends.setdefault(kind, []).append(number)
    return ends


def _when(
    found: Exploration,
    ends: Mapping[str, list[int]],
    goes_on: bool,
    gave_up: tuple[GivenUp, ...],
    finding: Finding,
) -> When:
    """`every` if all complete runs end alike: no other end, nothing cut, no run that goes on."""
    if found.cut is not None:
        return "some"
    if finding.verdict == "stall":  # every run that ends would be another end
        always = bool(finding.waiting) or all(each.always for each in gave_up)
        return "every" if not ends and always else "some"
    if finding.verdict not in ends:  # what no run reaches
        return "every"
    return "every" if len(ends) == 1 and not goes_on else "some"


def _serialised(found: Exploration, ends: Mapping[str, list[int]]) -> Serialised | None:
    """Whether complete runs had a kernel wait for SMs; None if no run ends well."""
    return _serialised_if({found.states[number].waited for number in ends.get("ok", ())})


def _serialised_if(waited: set[bool]) -> Serialised | None:
    if not waited:
        return None
    return "sometimes" if len(waited) == 2 else ("always" if waited == {True} else "never")


def _switches(scenario: Scenario) -> Mapping[str, str]:
    """The settings in force, by name."""
    switches = scenario.machine.switches
    names = type(switches).__dataclass_fields__
    return {name: getattr(switches, name) for name in names}


def _sample(scenario: Scenario, search: Search) -> Report:
    """Runs one by one until one goes wrong; what is not found is unknown, never ok."""
    from random import Random  # noqa: PLC0415 (see the rule)

    from eplb_model.explore.outcomes import Reached, claimed  # noqa: PLC0415
    from eplb_model.explore.walk import pct, uniform, walk  # noqa: PLC0415

    random = Random(search.seed)
    ends: Counter[str] = Counter()
    steps, longest, finding = 0, 0, None
    reached = Reached(scenario.world)
    failed: set[Claim | None] = set()
    cut: str | None = None
    for _ in range(search.runs):
        chooser = (
            uniform(random)
            if search.strategy == "uniform"
            else pct(random, PCT_DEPTH, max(longest, 50))
        )
        run = walk(scenario.world, chooser, search.max_depth or SAMPLED_STEPS, reached.watch)
        steps += len(run.schedule)
        longest = max(longest, len(run.schedule))
        ends[_end_of(run)] += 1
        finding = finding_at(run.last, run.schedule)
        if finding is not None:
            failed = _failed(run)
            break
        cut = search.enough()
        if cut is not None:
            break
    return Report(
        scenario=scenario.name,
        parameters=scenario.parameters,
        verdict=finding.verdict if finding else "unknown",
        when="some" if finding else None,
        serialised=None,
        states=steps,
        transitions=steps,
        depth=longest,
        finding=finding,
        ends=dict(sorted(ends.items())),
        bounds={**search.bounds, "cut": cut or "runs"},
        switches=_switches(scenario),
        assumptions=assumptions(scenario),
        strategy=search.strategy,
        kernels=_kernels(scenario),
        claims=claimed(scenario.world, failed, reached, whole=False),
    )


def _failed(run: Walk) -> set[Claim | None]:
    """The claims that a run shows to fail."""
    if run.broken is not None:
        return {run.broken.claim}
    return set(never_again(run.last)) if run.finished else set()


def _kernels(scenario: Scenario) -> Mapping[str, str]:
    return {kernel.name: kernel_text(kernel) for kernel in scenario.kernels.values()}


def _end_of(run: Walk) -> str:
    if run.broken is not None:
        return run.broken.verdict
    if not run.finished:
        return "cut"
    return "deadlock" if run.last.unfinished() else "ok"


def assumptions(scenario: Scenario) -> tuple[str, ...]:
    """What the verdict rests on beyond measured rules, in the words of specs/assumptions.md."""
    machine, kernels = scenario.machine, scenario.kernels.values()
    by_channel = [k for k in kernels if k.meets and k.meets.grain == "channel"]
    found = []
    if machine.placement == "unknown":
        found.append(f"the layout of {machine.name} is assumed, its placement rule unknown")
    elif len(scenario.kernels) > 1 and any(k.cluster > 1 for k in kernels):
        found.append("seats beside other kernels follow the rule measured beside two holders (U2)")
    if by_channel:
        found.append("the CTAs of a grid start in index order")
    if len(scenario.ranks) > 2 and any(
        k.meets and k.rounds == channels_of_grid(k.ctas, len(scenario.ranks), k.meets.sends)
        for k in by_channel
    ):
        found.append("which channels serve which peer follows from the number of CTAs alone")
    if any(op.kind == "alloc" for program in scenario.world.programs for op in program.code):
        found.append("tensors have one size, blocks are never split, merged or given back")
    return tuple(found)
