"""The answer: safe or not and why, the largest safe cap, the cluster size, what else is safe.

Rules:
- `safe` is the verdict `ok` for every point.  `may` and `unknown` are not safe.
- A cap, a cluster size or an alternative is called safe only after the model checked every case.
- Caps that NCCL rounds to the same channels are one question (N10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from eplb_model.advise.judging import (
    EDGE_VECTOR,
    VECTORS,
    Case,
    Checks,
    Judged,
    cases,
    uneven_cases,
    worst,
)
from eplb_model.advise.question import MOST_CLUSTER, OVER_NCCL, Point, Question
from eplb_model.formulas import nccl_p2p_channels, rounds_of_ctas
from eplb_model.outcome import EXIT_CODES, Verdict
from eplb_model.protocols.environment import MOST_CTAS

STAND_IN = "two ranks stand for more; each channel then needs its like on the other rank"
SAME_TOKENS = "all ranks have the same number of tokens in a step"
ONE_EACH = "one exchange is in flight beside one cooperative kernel"
VERSION = "the number of channels follows NCCL 2.28.9 on one node over NVLink"
NO_SMS = "copies of the host-staged and of the one-sided transport need no SMs of a kernel"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the model says about one setting of the exchange, over all points."""

    judged: tuple[Judged, ...]
    uneven: tuple[Judged, ...]  # pairs of ranks with different grids, if that is asked

    @property
    def verdict(self) -> Verdict:
        return worst((*self.judged, *self.uneven))

    @property
    def safe(self) -> bool:
        return self.verdict == "ok"

    @property
    def first_uneven(self) -> Judged | None:
        """The first pair that is not safe."""
        return next((each for each in self.uneven if not each.safe), None)

    @property
    def first_unsafe(self) -> tuple[Point, Judged] | None:
        """The first point whose case is not safe."""
        return first_unsafe(self.judged)

    @property
    def first_unsafe_point(self) -> Point | None:
        found = self.first_unsafe
        return found[0] if found else None

    @property
    def unsafe_points(self) -> int:
        return sum(len(each.case.points) for each in self.judged if not each.safe)


@dataclass(frozen=True, slots=True)
class CapAnswer(Setting):
    """A cap, or a range of caps that NCCL rounds alike."""

    most: int  # the largest cap of the range
    least: int


@dataclass(frozen=True, slots=True)
class SizeAnswer(Setting):
    """A value of NCCL_CGA_CLUSTER_SIZE, at the cap in force."""

    cluster_size: int
    largest_safe: int | None  # the largest cap that is safe with it


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to exchange, checked over the same points."""

    name: str
    vector: str
    judged: tuple[Judged, ...]

    @property
    def verdict(self) -> Verdict:
        return worst(self.judged)


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that was asked of the model about one question, and what it said."""

    question: Question
    asked: Setting
    caps: tuple[CapAnswer, ...]  # largest first; none without NCCL
    sizes: tuple[SizeAnswer, ...]
    alternatives: tuple[Alternative, ...]
    assumptions: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        return self.asked.verdict

    @property
    def safe(self) -> bool:
        return self.asked.safe

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    @property
    def largest_safe(self) -> int | None:
        """The largest cap under which every point is safe; None if there is none."""
        return max((each.most for each in self.caps if each.safe), default=None)

    @property
    def cluster_size_matters(self) -> bool:
        """Whether another cluster size changes what is safe."""
        seen = {
            (each.unsafe_points, each.first_unsafe_point, each.largest_safe) for each in self.sizes
        }
        return len(seen) > 1


def first_unsafe(judged: Iterable[Judged]) -> tuple[Point, Judged] | None:
    """The first point whose case is not safe; cases come in the order of their first points."""
    return next(((each.case.first, each) for each in judged if not each.safe), None)


def advise(question: Question, checks: Checks | None = None) -> Advice:
    """Ask the model everything about a question.

    Parameters
    ----------
    question
        The configuration.
    checks
        What was already asked; by default nothing.  Pass the same one for related questions.

    Examples
    --------
    >>> advise(Question(ranks=2, experts=288, tokens=(64,), bytes_per_op=1 << 17)).safe
    True
    """
    checks = checks or Checks()
    asked = _setting(question, checks, question.cap)
    caps = cap_answers(question, checks) if question.over_nccl else ()
    sizes = size_answers(question, checks) if question.over_nccl else ()
    others = _alternatives(question, checks)
    found = [*asked.judged, *(each for other in others for each in other.judged)]
    return Advice(question, asked, caps, sizes, others, _assumptions(question, found))


def largest_safe_cap(question: Question, checks: Checks | None = None) -> int | None:
    """The largest NCCL_MAX_CTAS, 1..64, under which every point is safe; None if there is none.

    64 is NCCL's own limit: then no cap is needed.
    """
    checks = checks or Checks()
    return next((most for most, _ in _ranges(question) if _all_safe(question, checks, most)), None)


def cap_answers(question: Question, checks: Checks) -> tuple[CapAnswer, ...]:
    """Every cap from 64 down to 1, those that NCCL rounds alike together."""
    found = []
    for most, least in _ranges(question):
        said = _setting(question, checks, most)
        found.append(CapAnswer(said.judged, said.uneven, most, least))
    return tuple(found)


def size_answers(question: Question, checks: Checks) -> tuple[SizeAnswer, ...]:
    """Every cluster size that NCCL takes."""
    found = []
    for size in range(MOST_CLUSTER + 1):
        other = replace(question, cluster_size=size)
        said = _setting(other, checks, question.cap)
        best = largest_safe_cap(other, checks)
        found.append(SizeAnswer(said.judged, said.uneven, size, best))
    return tuple(found)


def _setting(question: Question, checks: Checks, cap: int) -> Setting:
    """All cases under a cap; pairs of them only if none of them goes wrong by itself."""
    judged = checks.all(question, _cases_at(question, cap))
    pairs = question.uneven and question.over_nccl and worst(judged) == "ok"
    return Setting(judged, checks.all(question, uneven_cases(judged)) if pairs else ())


def _all_safe(question: Question, checks: Checks, cap: int) -> bool:
    if checks.first_unsafe(question, _cases_at(question, cap)) is not None:
        return False
    return not question.uneven or _setting(question, checks, cap).safe


def _cases_at(question: Question, cap: int) -> tuple[Case, ...]:
    return cases(question, VECTORS[question.communicator], cap, question.cluster_size)


def _ranges(question: Question) -> tuple[tuple[int, int], ...]:
    return _alike(question.ranks, question.peers, question.bytes_per_op)


@cache
def _alike(ranks: int, peers: str, bytes_per_op: int) -> tuple[tuple[int, int], ...]:
    """(largest, smallest) of the caps that lead to the same channels, from 64 down."""
    found: list[tuple[int, int]] = []
    before: tuple[tuple[int, ...], ...] = ()
    for cap in range(MOST_CTAS, 0, -1):
        channels = rounds_of_ctas(nccl_p2p_channels(ranks, peers, bytes_per_op, cap))
        if channels == before:
            found[-1] = (found[-1][0], cap)
        else:
            found.append((cap, cap))
        before = channels
    return tuple(found)


def _alternatives(question: Question, checks: Checks) -> tuple[Alternative, ...]:
    """The transports without a kernel, and stream edges, over all points."""
    named = [(each, vector) for each, vector in VECTORS.items() if each not in OVER_NCCL]
    if question.over_nccl:
        named.append(("stream_edge", EDGE_VECTOR))
    return tuple(
        Alternative(
            name,
            vector,
            checks.all(question, cases(question, vector, question.cap, question.cluster_size)),
        )
        for name, vector in named
        if name != question.communicator
    )


def _assumptions(question: Question, judged: list[Judged]) -> tuple[str, ...]:
    found = dict.fromkeys(each for one in judged for each in one.report.assumptions)
    own = [ONE_EACH, NO_SMS] if question.uneven else [ONE_EACH, SAME_TOKENS, NO_SMS]
    if question.over_nccl:
        own.append(VERSION)
    if question.check_ranks != question.ranks or question.ranks > 2:
        own.insert(0, STAND_IN)
    return (*own, *found)
