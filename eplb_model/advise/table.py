"""The safety table of common models: specs/safety_table.md, written by `python -m` of this file.

Rules:
- Every cell is an answer of the model to a `Question`; nothing is typed here but the questions.
- A cap stands in the table only if every token count of its column is safe under it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from eplb_model.advise.answer import largest_safe_cap
from eplb_model.advise.judging import EDGE_VECTOR, NCCL_VECTOR, VECTORS, Checks, cases
from eplb_model.advise.question import Question
from eplb_model.machine import MACHINES
from eplb_model.protocols.environment import MOST_CTAS


class Model(NamedTuple):
    """A mixture-of-experts model, and its routed experts as its configuration file says."""

    name: str
    experts: int


MODELS = (Model("Qwen3-235B-A22B", 128), Model("DeepSeek-V3", 256), Model("Kimi-K2", 384))
BOARDS = ("h200", "h20", "b200")
REDUNDANT = (0, 16, 32)
RANKS = (4, 8)
UP_TO = (64, 128, 512)  # tokens of a rank
WORKAROUND = 8  # what vLLM sets (O4)
WAYS = {
    "`torch_gloo`": VECTORS["torch_gloo"],
    "`nixl`": VECTORS["nixl"],
    "stream edges in one direction": EDGE_VECTOR,
}

HEAD = """\
# Which caps are safe

Async EPLB over NCCL beside DeepEP's low-latency kernels, for common models: what
`eplb-model advise` answers for 64 MiB per send and receive, all peers, one node, NCCL 2.28, and the
same number of tokens on every rank.
Written by `python -m eplb_model.advise.table`; a test compares.

- *experts* are the routed experts of the model and the redundant ones; *EP* is the number of
  ranks; *grid* is that of the dispatch. The grid of a combine follows from the tokens too (E3).
- *no cap* and *cap 8*: over 1 to 64 tokens per rank, safe or the verdict at the largest grid *g*
  that is not. `may` depends on placement that nobody measured, and is not safe.
- *up to*: the largest `NCCL_MAX_CTAS` under which every token count from 1 to that is safe. *none*:
  no cap is enough. *none needed*: every cap is safe.
- Safe in every row, checked at its largest grid: {ways}.
- Two ranks stand for more; [assumptions.md](assumptions.md#advice) says what else the answers rest
  on. On `h20` and `b200` the layout of the board is assumed: *safe* then means safe with that
  layout, whether CTAs are packed densely or spread.

The same for any two grids, under an enforced order, with what two H200 did drawn over it:

![cooperative grid against NCCL CTAs, coloured by verdict](pictures/safety_map.png)

    eplb-model sweep coop_vs_nccl_opposite_order --vary coop_ctas=108..132 \\
      --vary nccl_ctas=1..20 --plot specs/pictures/safety_map.png

| machine | model | experts | EP | grid | no cap | cap 8 | {columns} |
|---|---|---|---|---|---|---|{rules}|
"""


def table_text(boards: Iterable[str] = BOARDS, models: Iterable[Model] = MODELS) -> str:
    """The page, or that of some machines and models."""
    checks = Checks()
    questions = list(_questions(tuple(boards), tuple(models)))
    rows = "".join(_row(model, question, checks) for model, question in questions)
    head = HEAD.format(
        ways=_ways([question for _, question in questions], checks),
        columns=" | ".join(f"up to {most}" for most in UP_TO),
        rules="|".join("---" for _ in UP_TO),
    )
    return head + rows


def _up_to(most: int) -> tuple[int, ...]:
    return tuple(range(1, most + 1))


def _questions(
    boards: tuple[str, ...], models: tuple[Model, ...]
) -> Iterator[tuple[Model, Question]]:
    for board in boards:
        for model in models:
            for redundant in REDUNDANT:
                for ranks in RANKS:
                    yield model, Question(board, ranks, model.experts + redundant, _up_to(64))


def _row(model: Model, question: Question, checks: Checks) -> str:
    extra = question.experts - model.experts
    experts = f"{model.experts} + {extra}" if extra else str(model.experts)
    dispatch = replace(question, phases=("dispatch",), tokens=(1,))
    (case,) = cases(dispatch, NCCL_VECTOR, MOST_CTAS, question.cluster_size)
    cells = (
        f"`{question.machine}`",
        model.name,
        experts,
        str(question.ranks),
        f"{case.kernels.coop_ctas} of {MACHINES[question.machine].sms}",
        _verdict(question, MOST_CTAS, checks),
        _verdict(question, WORKAROUND, checks),
        *(_cap(replace(question, tokens=_up_to(most)), checks) for most in UP_TO),
    )
    return f"| {' | '.join(cells)} |\n"


def _verdict(question: Question, cap: int, checks: Checks) -> str:
    found = checks.first_unsafe(question, cases(question, NCCL_VECTOR, cap, question.cluster_size))
    return "safe" if found is None else f"{found.verdict}, g={found.case.kernels.coop_ctas}"


def _cap(question: Question, checks: Checks) -> str:
    cap = largest_safe_cap(question, checks)
    if cap is None:
        return "none"
    return "none needed" if cap == MOST_CTAS else str(cap)


def _ways(questions: list[Question], checks: Checks) -> str:
    """The alternatives that are safe for every question, at its largest grid."""
    return ", ".join(
        name for name, vector in WAYS.items() if all(_holds(q, vector, checks) for q in questions)
    )


def _holds(question: Question, vector: str, checks: Checks) -> bool:
    """Whether a vector is safe at the largest grid of a row."""
    asked = replace(question, tokens=_up_to(max(UP_TO)))
    largest = max(cases(asked, vector, WORKAROUND, asked.cluster_size), key=lambda c: c.kernels)
    return checks.judge(asked, largest).safe


if __name__ == "__main__":
    sys.stdout.write(table_text())
