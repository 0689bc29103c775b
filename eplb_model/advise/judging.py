"""The model is asked once for every distinct case; points with the same kernels share the answer.

Rules:
- A case is tried under an enforced order first (rank 0 the exchange, the others the kernel, each
  resident before the next launch).  What hangs there, or may, does so where the threads race, since
  the order is one of theirs.  Every other answer comes from all schedules.
- Two ranks that hang in that order do so within a few dozen states.  Where there are more, all
  schedules are asked first: if these end well, so do those of the order.
- A verdict comes from `check` and from nothing else.  Formulas only say which points are one case;
  the kernels of a case are those of the vector under the parameters of its first point.
- Where two ranks stand for more, the exchange keeps the grid and cluster of the real number of
  ranks, and each of its channels meets its like on the other rank: no channel of the real group
  waits for fewer peers.
- Ranks with different grids are pairs of cases.  A kernel that never waits for SMs, whatever its
  peers do, is left out: whoever meets it does not wait for it either.
- A search that was cut, or that depends on what nobody measured, is not safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations
from typing import NamedTuple

from eplb_model.advise.question import Point, Question
from eplb_model.check import Search, check, machines
from eplb_model.formulas import (
    deepep_cluster,
    every_round,
    nccl_cluster,
    nccl_p2p_channels,
    rounds_of_ctas,
)
from eplb_model.outcome import Report, Verdict
from eplb_model.scenario import Scenario
from eplb_model.vector import VectorFile, load

NCCL_VECTOR = "deepep_ll_async_eplb"
EDGE_VECTOR = "deepep_ll_async_eplb_ordered"
UNEVEN_VECTOR = "deepep_ll_uneven_tokens"
VECTORS = {
    "torch_nccl": NCCL_VECTOR,
    "pynccl": NCCL_VECTOR,
    "torch_gloo": "deepep_ll_async_eplb_over_gloo",
    "nixl": "deepep_ll_async_eplb_over_nixl",
}
MOST_STATES = 500_000  # a case that needs more is unknown
HANGS: tuple[Verdict, ...] = ("deadlock", "may")
# Settled states: two ranks that hang in an enforced order have 15, two that end well some more.
FEW, SOME = 24, 64


class Kernels(NamedTuple):
    """What tells one case from another: the cooperative kernel, and the exchange or none."""

    coop_ctas: int
    coop_cluster: int
    nccl_ctas: int = 0
    nccl_cluster: int = 0
    rounds: tuple[tuple[int, ...], ...] = ()  # of each channel; empty where two ranks stand for all
    other_ctas: int = 0  # the cooperative kernel of rank 1, where it differs
    other_cluster: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Points that the model can't tell apart, and what would be run for them."""

    vector: str
    kernels: Kernels
    points: tuple[Point, ...]
    cap: int
    cluster_size: int
    other: Point | None = None  # of rank 1, where it differs

    @property
    def first(self) -> Point:
        return self.points[0]


@dataclass(frozen=True, slots=True)
class Judged:
    """A case with what the model says about it."""

    case: Case
    report: Report

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict

    @property
    def safe(self) -> bool:
        """`ok`, and nothing else: neither `may` nor `unknown`."""
        return self.report.verdict == "ok"


def worst(judged: Iterable[Judged]) -> Verdict:
    """The verdict that counts for all of them; `ok` for none."""
    return min((each.verdict for each in judged), key=_goodness, default="ok")


def _goodness(verdict: Verdict) -> int:
    """What was found comes before what is open, and `ok` last."""
    return {"may": 1, "unknown": 2, "ok": 3}.get(verdict, 0)


def cases(question: Question, vector: str, cap: int, cluster_size: int) -> tuple[Case, ...]:
    """The distinct cases of a question over a vector, in the order of their first points."""
    exchange = _exchange(question, vector, cap, cluster_size)
    return tuple(
        Case(vector, Kernels(grid, deepep_cluster(grid), *exchange), points, cap, cluster_size)
        for grid, points in question.grids
    )


def uneven_cases(judged: Iterable[Judged]) -> tuple[Case, ...]:
    """Every two combines of one step that may both wait for SMs."""
    waiting = [
        (point, each.case)
        for each in judged
        for point in [p for p in each.case.points if p.phase == "combine"][:1]
        if each.report.serialised != "never"
    ]
    return tuple(
        replace(
            case,
            vector=UNEVEN_VECTOR,
            kernels=case.kernels._replace(
                rounds=(),
                other_ctas=other.kernels.coop_ctas,
                other_cluster=other.kernels.coop_cluster,
            ),
            points=(point,),
            other=of_rank_1,
        )
        for (point, case), (of_rank_1, other) in combinations(waiting, 2)
    )


def _swapped(case: Case) -> Case:
    """The same two ranks in the other order."""
    assert case.other is not None
    return replace(case, points=(case.other,), other=case.first)


def _exchange(
    question: Question, vector: str, cap: int, cluster_size: int
) -> tuple[int, int, tuple[tuple[int, ...], ...]]:
    """Grid, cluster and channels of the exchange; nothing where it has no kernel."""
    if vector not in (NCCL_VECTOR, EDGE_VECTOR):
        return 0, 0, ()
    channels = nccl_p2p_channels(question.ranks, question.peers, question.bytes_per_op, cap)
    rounds = rounds_of_ctas(channels)
    direct = question.check_ranks == question.ranks
    return len(rounds), nccl_cluster(len(rounds), cluster_size), rounds if direct else ()


@dataclass(slots=True)
class Checks:
    """The model, asked once per distinct case.  One question may be asked of it after another."""

    search: Search = field(default_factory=lambda: Search(max_states=MOST_STATES))
    reports: dict[tuple[object, ...], Report] = field(default_factory=dict)

    def judge(self, question: Question, case: Case) -> Judged:
        """What the model says about a case."""
        key = (question.machine, question.check_ranks, case.vector, case.kernels)
        if key not in self.reports:
            self.reports[key] = self._check(question, case)
        return Judged(case, self.reports[key])

    def _check(self, question: Question, case: Case) -> Report:
        tried = [scenario(question, each, "opposite") for each in _tried(question, case)]
        while tried:
            report = self._enforced(question, tried[0])
            if report is None:
                break
            if report.verdict in HANGS:
                return report
            tried.pop(0)
        found = check(scenario(question, case), self.search)
        if found.verdict == "ok":
            return found
        later = (check(each, self.search) for each in tried)
        return next((each for each in later if each.verdict in HANGS), found)

    def _enforced(self, question: Question, enforced: Scenario) -> Report | None:
        """The answer of an enforced order; None where two ranks need more than a few states."""
        if question.check_ranks > 2:
            return check(enforced, self.search)
        settings = sum(1 for _ in machines(enforced))
        few = FEW if settings == 1 else SOME * settings  # it may hang in some of them
        few = min(few, self.search.max_states or few)
        report = check(enforced, replace(self.search, fast=False, max_states=few))
        return report if report.states < few else None  # so no setting of a switch was cut

    def all(self, question: Question, asked: Iterable[Case]) -> tuple[Judged, ...]:
        """All cases judged."""
        return tuple(self.judge(question, each) for each in asked)

    def first_unsafe(self, question: Question, asked: Iterable[Case]) -> Judged | None:
        """A case that is not safe, if there is one; the largest grids are asked first."""
        by_size = sorted(asked, key=lambda each: each.kernels, reverse=True)
        judged = (self.judge(question, each) for each in by_size)
        return next((each for each in judged if not each.safe), None)


def _tried(question: Question, case: Case) -> tuple[Case, ...]:
    """What is tried under an enforced order; which rank goes first matters if they differ."""
    if case.kernels.nccl_ctas > question.device.sms:
        return ()
    if case.vector == UNEVEN_VECTOR:
        return case, _swapped(case)
    return (case,) if case.vector == NCCL_VECTOR else ()


def scenario(question: Question, case: Case, order: str | None = None) -> Scenario:
    """What is checked for a case: its vector at its first point, at the number of ranks to check.

    `order` is one of the vector's; for None nothing is enforced.

    All vectors but the plain one are for two ranks.
    """
    vector = _vector(case.vector)
    settings = dict(question.settings(case.first, case.cap, case.cluster_size))
    if order is not None or case.vector == UNEVEN_VECTOR:
        settings["order"] = order or "free"
    other = {} if case.other is None else {"other_tokens": case.other.tokens}
    here = vector.scenario({**settings, **other, "ranks": _ranks_of(question, case)})
    if "exchange" not in here.kernels:
        return here
    settings.pop("order", None)
    return _standing_for(_whole(tuple(settings.items()), question.ranks), here)


def _ranks_of(question: Question, case: Case) -> int:
    return question.check_ranks if case.vector == NCCL_VECTOR else 2


@cache
def _whole(settings: tuple[tuple[str, object], ...], ranks: int) -> Scenario:
    """The whole group, where the threads race."""
    return _vector(NCCL_VECTOR).scenario({**dict(settings), "ranks": ranks})


def _standing_for(whole: Scenario, here: Scenario) -> Scenario:
    """The few ranks of `here` with the exchange of the whole group."""
    exchange = whole.kernels["exchange"]
    if len(here.ranks) != len(whole.ranks):
        assert exchange.meets is not None
        others = tuple(range(1, len(here.ranks)))
        exchange = replace(
            exchange,
            meets=replace(exchange.meets, sends=others, receives=others),
            rounds=every_round(exchange.ctas, len(here.ranks)),
        )
    return replace(here, kernels={**here.kernels, "exchange": exchange}, expect=None)


@cache
def _vector(name: str) -> VectorFile:
    """A vector without what it expects of cases of its own."""
    found = load(name)
    document = {key: each for key, each in found.document.items() if key not in ("expect", "cases")}
    return replace(found, document=document)
