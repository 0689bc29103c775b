"""The answer for every number of ranks, and the certificate of one that holds.

Rules:
- The search visits the states of a cut-off instance with the rules of `checker`; the checker then
  needs nothing of it.
- A stuck state of a cut-off instance with loose kernels may be one that no number of ranks has: it
  is looked for as the vector has it, from the least number of ranks on, or the answer is
  `undecided`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eplb_model.all_ranks.checker import sufficient
from eplb_model.all_ranks.family import Family, fingerprint
from eplb_model.all_ranks.lint import Cutoff, Objection, examine, facts
from eplb_model.check import Search
from eplb_model.findings import finding_at
from eplb_model.outcome import EXIT_CODES, Action, Finding
from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.trace import replay
from eplb_model.world import World

SCHEMA = "eplb-certificate/1"

Answered = Literal["holds", "fails", "hypotheses fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of every number of ranks."""

    answer: Answered
    because: str
    document: Mapping[str, Any]  # `eplb-certificate/1`
    objections: tuple[Objection, ...] = ()
    finding: Finding | None = None  # with the smallest number of ranks that was seen to fail
    ranks: int | None = None

    @property
    def exit_code(self) -> int:
        if self.finding is not None:
            return EXIT_CODES[self.finding.verdict]
        return EXIT_CODES["ok"] if self.answer == "holds" else EXIT_CODES["unknown"]


@dataclass(frozen=True, slots=True)
class _Visited:
    """The states that were visited, each but the first as where from and by which action."""

    rows: list[str]
    problem: str | None = None  # what is wrong with the last state, or the bound that ended it
    schedule: tuple[Action, ...] | None = None  # the way to a state that is stuck or broken


def answer(family: Family, search: Search | None = None) -> Answer:
    """Say whether a vector holds for every number of ranks, with a certificate if it does."""
    search = search or Search()
    head = {
        "schema": SCHEMA,
        "scenario": family.name,
        "parameters": dict(family.settings),
        "switches": dict(family.switches),
    }
    cutoff = examine(family)
    if not isinstance(cutoff, Cutoff):
        listed = [each._asdict() for each in cutoff]
        because = f"{cutoff[0].place}: {cutoff[0].why}"
        document = {**head, "answer": "hypotheses fail", "because": because, "objections": listed}
        return Answer("hypotheses fail", because, document, cutoff)
    instances: list[list[str]] = []
    for ranks in cutoff.instances:
        visited = _visit(family.instance(ranks, cutoff.loose), cutoff.loose, search)
        if visited.problem is not None:
            return _seek(family, cutoff, search, head, f"with {ranks} ranks, {visited.problem}")
        instances.append(visited.rows)
    because = _because(cutoff, [len(each) + 1 for each in instances])
    body = {**head, **facts(family, cutoff), "because": because, "states": instances}
    return Answer("holds", because, {**body, "sha256": fingerprint(body)})


def _visit(world: World, loose: tuple[str, ...], search: Search) -> _Visited:
    """Every state that sufficient actions reach, depth first, up to one that is stuck or broken."""
    start = initial(world)
    known: dict[State, int] = {start: 0}
    origins: list[tuple[int, Action]] = []
    frontier = [start]
    problem: str | None = None
    while frontier and problem is None:
        state = frontier.pop()
        problem = _wrong_with(state)
        if problem is not None:
            return _Visited([], problem, _way(origins, known[state]))
        if len(known) >= (search.max_states or len(known) + 1):
            problem = "max_states cut the search"
        elif (bound := search.enough()) is not None:
            problem = f"{bound} cut the search"
        for action in reversed(sufficient(state, loose)):  # what is enabled is followed first
            after = step(state, action)
            if after not in known:
                origins.append((known[state], action))
                known[after] = len(origins)
                frontier.append(after)
    return _Visited([f"{parent} {action}" for parent, action in origins], problem)


def _wrong_with(state: State) -> str | None:
    broken = violation(state)
    if broken is not None:
        return broken.message
    return "nobody can move" if state.unfinished() and not enabled(state) else None


def _way(origins: list[tuple[int, Action]], number: int) -> tuple[Action, ...]:
    way: list[Action] = []
    while number:
        number, action = origins[number - 1]
        way.append(action)
    return tuple(reversed(way))


def _seek(
    family: Family, cutoff: Cutoff, search: Search, head: Mapping[str, Any], problem: str
) -> Answer:
    """The smallest number of ranks up to the cut-off that fails as the vector has it."""
    for ranks in range(cutoff.least, cutoff.ranks + 1):
        world = family.at(ranks).world
        schedule = _visit(world, (), search).schedule
        if schedule is None:
            continue
        finding = finding_at(replay(world, schedule).last, schedule)
        assert finding is not None, "[model bug] a state that is stuck or broken shows nothing"
        because = f"{finding.verdict} with {ranks} ranks"
        shown = {"ranks": ranks, "verdict": finding.verdict, "schedule": list(map(str, schedule))}
        document = {**head, "answer": "fails", "because": because, **shown}
        return Answer("fails", because, document, finding=finding, ranks=ranks)
    because = f"{problem}; no number up to {cutoff.ranks} was seen to fail"
    return Answer("undecided", because, {**head, "answer": "undecided", "because": because})


def _because(cutoff: Cutoff, sizes: list[int]) -> str:
    """The argument in one sentence."""
    groups = len(cutoff.chains)
    own = f"{cutoff.fixed} with a text of their own" if cutoff.fixed else "none with a text apart"
    parts = [
        f"ranks meet in {groups} groups that span all of them, each entered in one order",
        f"so a stuck state of any number of ranks is one of {cutoff.ranks} ({own})",
        f"and {' and '.join(map(str, sizes))} states show that these have none",
    ]
    return ", ".join(parts)
