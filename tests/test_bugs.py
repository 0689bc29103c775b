"""The catalogue of bugs: pairs, their table, and the question whether an operation is needed."""

from __future__ import annotations

import json

import pytest

from eplb_model.bugs import bugs, bugs_table
from eplb_model.cli import main
from eplb_model.trace import phrase
from eplb_model.vector import catalogue, load
from eplb_model.without import WhereError, compare, without

PAIRS = bugs(catalogue())


def test_there_are_at_least_24_pairs_and_every_class_has_one():
    classes = {each for pair in PAIRS for each in pair.classes}

    assert len(PAIRS) >= 24
    assert classes == {f"S{number}" for number in range(1, 14)}


def test_a_twin_differs_from_its_bug_and_says_something_else():
    assert all(pair.name != pair.twin and pair.about != pair.fix for pair in PAIRS)


def test_the_list_of_bugs_is_a_document(capsys):
    code = main(["list", "--bugs", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert document["schema"] == "eplb-list/1"
    assert [each["name"] for each in document["bugs"]] == [pair.name for pair in PAIRS]


def test_the_table_has_a_row_for_every_pair():
    assert bugs_table(PAIRS).count("\n") == len(PAIRS) + 2


def test_the_wait_of_the_consumer_is_needed():
    comparison = compare(
        load("event_wait_after_record").scenario(), _first_wait("event_wait_after_record")
    )

    assert comparison.present.verdict == "ok"
    assert comparison.absent.verdict == "race"
    assert comparison.needed


def _first_wait(name: str) -> str:
    """The flag wait of a vector, as `show` prints it."""
    world = load(name).scenario().world
    return next(
        f"{program.name}: {phrase(op)}"
        for program in world.programs
        for op in program.code
        if op.kind == "wait_flag"
    )


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nonsense", "expected 'thread: operation'"),
        ("nobody: set x", "unknown thread 'nobody'; known:"),
        ("main: set x", "has no operation 'set x'; it has:"),
    ],
)
def test_an_operation_that_is_not_there_is_named_with_what_is(where, message):
    with pytest.raises(WhereError, match=message):
        without(load("coop_vs_nccl_capped").scenario(), where)


def test_the_command_says_whether_it_is_needed(capsys):
    code = main(["without", "cpu_gpu_event_handshake", "--op",
                 "worker: cpu_gpu_event_wait emptied side", "--json"])  # fmt: skip
    document = json.loads(capsys.readouterr().out)

    assert code == 1
    assert document["needed"]
    assert document["with"]["verdict"] == "ok"
