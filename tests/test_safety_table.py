"""specs/safety_table.md is what the model answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from eplb_model.advise.judging import Checks
from eplb_model.advise.question import Question
from eplb_model.advise.table import (
    BOARDS,
    HEAD,
    MODELS,
    RANKS,
    REDUNDANT,
    UP_TO,
    WAYS,
    _row,
    table_text,
)

PAGE = (Path(__file__).parents[1] / "specs" / "safety_table.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.slow
def test_the_committed_table_is_the_generated_one():
    """About three minutes."""
    assert table_text() == PAGE


def test_the_head_of_the_page_is_the_generated_one():
    """The part of the test above that takes no minutes."""
    head, ways = HEAD.partition("| machine")[0], ", ".join(WAYS)

    assert PAGE.startswith(head.format(ways=ways))


def test_every_machine_model_and_size_has_a_row():
    assert len(ROWS) == len(BOARDS) * len(MODELS) * len(REDUNDANT) * len(RANKS)


def test_a_row_is_what_the_model_answers():
    question = Question("h200", 8, 256, tuple(range(1, 65)))

    assert _row(MODELS[1], question, Checks()).rstrip("\n") in ROWS


def test_no_cap_is_safe_where_a_grid_takes_every_sm():
    """Within 512 tokens some combine does, on every board (E3)."""
    assert {row.split(" | ")[-1] for row in ROWS} == {"none |"}
    assert max(UP_TO) == 512
