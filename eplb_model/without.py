"""Is this operation needed?  A scenario without it, and what the check says then.

Rule: an operation is named as `show` prints it, behind the name of its thread:
`worker: stream_synchronize side`.  It is taken out wherever that thread says it, on every rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from eplb_model.check import Search, check
from eplb_model.outcome import Report, UsageError
from eplb_model.scenario import (
    Forever,
    If,
    RankPlan,
    Repeat,
    Scenario,
    Statement,
    ThreadPlan,
    Try,
    operations_in,
)
from eplb_model.trace import phrase


class WhereError(UsageError):
    """An operation that the scenario does not have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same check with an operation and without it."""

    where: str
    removed: int  # how often it stood in the texts of all ranks
    present: Report
    absent: Report

    @property
    def needed(self) -> bool:
        """Whether something goes wrong without it that did not before."""
        return self.present.verdict == "ok" and self.absent.verdict not in ("ok", "unknown", "may")


def compare(scenario: Scenario, where: str, search: Search | None = None) -> Comparison:
    """Check a scenario as it is and without an operation.

    Raises
    ------
    WhereError
        With the operations that the thread has, or the threads that there are.
    """
    smaller, removed = without(scenario, where)
    return Comparison(where, removed, check(scenario, search), check(smaller, search))


def without(scenario: Scenario, where: str) -> tuple[Scenario, int]:
    """The scenario without an operation, and how often it was there."""
    thread, colon, words = (part.strip() for part in where.partition(":"))
    if not colon or not words:
        raise WhereError(f"got {where!r}; expected 'thread: operation', as `show` prints it")
    known = _known(scenario, thread)
    if words not in known:
        have = "; ".join(dict.fromkeys(known))
        raise WhereError(f"thread {thread} has no operation {words!r}; it has: {have}")
    ranks = tuple(_rank_without(plan, thread, words) for plan in scenario.ranks)
    return replace(scenario, ranks=ranks, expect=None), known.count(words)


def _known(scenario: Scenario, thread: str) -> list[str]:
    plans = [plan for rank in scenario.ranks for plan in rank.threads]
    if thread not in {plan.name for plan in plans}:
        names = ", ".join(dict.fromkeys(plan.name for plan in plans))
        raise WhereError(f"unknown thread {thread!r}; known: {names}")
    return [
        words
        for plan in plans
        if plan.name == thread
        for words in map(phrase, operations_in(plan.body))
    ]


def _rank_without(plan: RankPlan, thread: str, words: str) -> RankPlan:
    threads = tuple(
        replace(each, body=_body_without(each, words)) if each.name == thread else each
        for each in plan.threads
    )
    return replace(plan, threads=threads)


def _body_without(plan: ThreadPlan, words: str) -> tuple[Statement, ...]:
    return tuple(_strip(plan.body, words))


def _strip(body: Sequence[Statement], words: str) -> Iterator[Statement]:
    for statement in body:
        match statement:
            case If(_, then, otherwise):
                kept = (tuple(_strip(part, words)) for part in (then, otherwise))
                yield If(statement.condition, *kept)
            case Repeat(_, inner) | Forever(inner):
                yield replace(statement, body=tuple(_strip(inner, words)))
            case Try(inner, handler):
                yield Try(tuple(_strip(inner, words)), tuple(_strip(handler, words)))
            case _ if phrase(statement) != words:
                yield statement
            case _:
                continue
