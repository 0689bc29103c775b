"""The coordinator of ranks on GPUs, and the parts of a full run, tried without a GPU."""

from __future__ import annotations

import sys

import pytest

from eplb_real.gpu import everything
from eplb_real.gpu.everything import Part
from eplb_real.gpu.page import new_page
from eplb_real.gpu.pool import Pool, Process, RankError


@pytest.fixture
def dead(monkeypatch):
    """A rank that has ended before it said anything."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        process = Process(3, ["3"], {})
    process.owed = 2
    with pytest.raises(RankError, match="rank 3 has ended"):
        process.answer(10.0)
    yield process
    process.end()


def test_nobody_waits_for_a_rank_that_has_ended(dead):
    assert dead.owed == 0  # else draining would ask it for ever
    with new_page() as page, pytest.raises(RankError, match=r"rank 3 has ended \(1\)"):
        Pool([dead], page).drain(within=10.0)


def test_a_part_answers_by_its_exit_code_or_is_cut():
    told: list[str] = []
    parts = [
        Part("agrees", ("platform",), 20.0),
        Part("disagrees", ("unittest", "no_such_module"), 20.0),
        Part("gives up", ("no_such_module",), 20.0),
        Part("goes on", ("http.server", "--bind", "127.0.0.1", "0"), 0.5),
    ]

    shown = list(everything.show(parts, told.append))

    answers = [(part.answer, part.why) for part in shown]
    assert answers[:2] == [("agrees", ""), ("disagrees", "")]
    assert answers[3] == ("inconclusive", "cut after 0.5 s")
    assert everything.exit_code(shown[:1]) == 0
    assert everything.exit_code(shown) == 1
    assert everything.exit_code(shown[::3]) == 3
    assert any(part.lines and part.lines[0] in line for part in shown for line in told)


def test_a_document_keeps_the_parts_that_were_shown():
    shown = list(everything.show([Part("agrees", ("platform",), 20.0)], lambda _: None))

    document = everything.document(shown, "eplb-real gpu")

    assert document["schema"] == "eplb-gpu/1"
    assert document["python"] == sys.version.split()[0]
    assert [(part["name"], part["command"]) for part in document["parts"]] == [
        ("agrees", "python -m platform")
    ]
