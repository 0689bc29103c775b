"""The answer for every number of ranks, and the certificate of one that holds.

Rules:
- The search visits the states of a cut-off instance with the rules of `checker`; the checker then
  needs nothing of it.
- A stuck state of a cut-off instance with loose kernels may be one that no number of ranks has: the
  answer is then that of the ordinary check, from the least number of ranks on, or `undecided`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eplb_model.all_ranks.checker import sufficient
from eplb_model.all_ranks.family import Family, fingerprint
from eplb_model.all_ranks.lint import Cutoff, Objection, examine, facts
from eplb_model.check import Search, check
from eplb_model.outcome import EXIT_CODES, Report
from eplb_model.properties import violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
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
    report: Report | None = None  # of the smallest number of ranks that was seen to fail

    @property
    def exit_code(self) -> int:
        if self.report is not None:
            return self.report.exit_code
        return EXIT_CODES["ok"] if self.answer == "holds" else EXIT_CODES["unknown"]


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
    instances: list[dict[str, Any]] = []
    for ranks in cutoff.instances:
        closed = _closed_set(family.instance(ranks, cutoff.loose), cutoff.loose, search)
        if isinstance(closed, str):
            return _seek(family, cutoff, search, head, f"with {ranks} ranks, {closed}")
        instances.append({"ranks": ranks, "states": closed})
    because = _because(cutoff, [len(each["states"]) + 1 for each in instances])
    body = {**head, **facts(family, cutoff), "because": because, "instances": instances}
    return Answer("holds", because, {**body, "sha256": fingerprint(body)})


def _closed_set(world: World, loose: tuple[str, ...], search: Search) -> list[str] | str:
    """Every state but the first, as where it comes from and by which action; or what is wrong."""
    start = initial(world)
    known: dict[State, int] = {start: 0}
    rows: list[str] = []
    frontier = [start]
    while frontier:
        state = frontier.pop()
        broken = violation(state)
        if broken is not None:
            return broken.message
        if state.unfinished() and not enabled(state):
            return "nobody can move"
        cut = "max_states" if len(known) >= (search.max_states or len(known) + 1) else None
        cut = cut or search.enough()
        if cut is not None:
            return f"{cut} cut the search"
        for action in reversed(sufficient(state, loose)):  # what is enabled is followed first
            after = step(state, action)
            if after not in known:
                rows.append(f"{known[state]} {action}")
                known[after] = len(rows)
                frontier.append(after)
    return rows


def _seek(
    family: Family, cutoff: Cutoff, search: Search, head: Mapping[str, Any], problem: str
) -> Answer:
    """The smallest number of ranks up to the cut-off that the ordinary check sees fail."""
    because = f"{problem}; no number up to {cutoff.ranks} was seen to fail"
    for ranks in range(cutoff.least, cutoff.ranks + 1):
        report = check(family.at(ranks), search)
        if report.verdict not in ("ok", "unknown"):
            because = f"{report.verdict} with {ranks} ranks"
            document = {**head, "answer": "fails", "because": because, "ranks": ranks}
            return Answer("fails", because, document, report=report)
    document = {**head, "answer": "undecided", "because": because}
    return Answer("undecided", because, document)


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
