"""What a command loads: a check is a process, and most of a short one is imports."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from eplb_model import ops, vector
from eplb_model.check import check
from eplb_model.commands.check import FORMATS as CHOICES
from eplb_model.format.document import read_document
from eplb_model.format.statements import read_program
from eplb_model.format.template import Node
from eplb_model.ops import OPERATIONS, STREAM_OPERATIONS, registry
from eplb_model.ops.kernel import is_there, meeting
from eplb_model.ops.meetings import partners
from eplb_model.render.annotations import FORMATS
from eplb_model.render.documents import report_document
from eplb_model.render.indented import indented
from eplb_model.step import initial, options_of, step
from eplb_model.trace import ScheduleError, end_of, parse_schedule, replay
from eplb_model.vector import load

FLAGSHIP = "coop_vs_nccl_opposite_order"
LOADED = """
import contextlib, io, json, sys
from eplb_model.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)))
"""
# What only other commands, other searches, mistakes or people need.
NOT_FOR_A_CHECK = {
    *("difflib", "hypothesis", "networkx", "random", "shlex", "shutil", "textwrap", "traceback"),
    *("eplb_model.claims", "eplb_model.format.claims", "eplb_model.format.writing"),
    *(f"eplb_model.explore.{name}" for name in ("outcomes", "search", "settle", "stall", "walk")),
    *(f"eplb_model.{name}" for name in ("conform", "explain", "happens_before", "strategies")),
    *("eplb_model.protocols.registry", "eplb_model.render.text", "eplb_model.schema"),
}


def loaded_by(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_a_check_that_the_fast_search_answers_loads_nothing_else():
    loaded = loaded_by("check", FLAGSHIP, "--json")

    assert loaded & NOT_FOR_A_CHECK == set()
    assert "eplb_model.explore.fast.answer" in loaded


def test_a_check_loads_the_operations_that_its_programs_name():
    """And what these are made of: launches put kernels on streams, with what moves and marks."""
    loaded = {name for name in loaded_by("check", FLAGSHIP, "--json") if f"{ops.__name__}." in name}

    assert {name.removeprefix("eplb_model.ops.") for name in loaded} == {
        *("expression", "kernel", "launch", "marks", "meetings", "moves", "registry"),
        *("tensors", "thread_state", "vocabulary"),
    }


def test_help_loads_nothing_of_the_model():
    loaded = {name for name in loaded_by("--help") if name.startswith("eplb_model.")}

    assert loaded == {
        *("eplb_model.cli", "eplb_model.command_line", "eplb_model.outcome"),
        *("eplb_model.commands", "eplb_model.commands.examples"),
    }


def test_a_list_of_the_catalogue_reads_every_file_once_and_finds_what_a_load_does(monkeypatch):
    """75 vectors have a base, which is one of the others."""
    times: Counter[Path] = Counter()

    def counted(path, file):
        times[path] += 1
        return read_document(path, file)

    monkeypatch.setattr(vector, "read_document", counted)
    listed = vector.catalogue()

    assert set(times) == {*vector.VECTORS.glob("*.json")}
    assert set(times.values()) == {1}
    monkeypatch.undo()
    based = [each for each in listed if "base" in each.written]
    assert based
    assert [load(each.name) for each in based] == based


def test_every_operation_is_in_the_module_in_which_the_vocabulary_looks_for_it():
    """Each module is loaded here, so a class that the vocabulary does not know is seen."""
    for module in pkgutil.iter_modules(ops.__path__):
        importlib.import_module(f"{ops.__name__}.{module.name}")

    assert dict(OPERATIONS) == registry.HOST
    assert dict(STREAM_OPERATIONS) == registry.STREAM


def test_a_kind_that_is_no_operation_is_not_in_the_vocabulary():
    assert "launch" in OPERATIONS
    assert "lauch" not in OPERATIONS
    assert read_program(Node([["launch", "k", "s"]], "x.json")).body == (
        OPERATIONS["launch"]("k", "s"),
    )


def test_the_formats_of_check_are_those_that_can_be_written():
    assert tuple(FORMATS) == CHOICES


@pytest.mark.parametrize(
    "value",
    [
        *({}, [], "", None, True, 0, -1.5, 1e300, 'a "word"\n\t\\ \u00e9 \u2028 \U0001f600'),
        *([[], {}, [[]]], {"a": {"b": [1, {"c": None}], "d": ()}}, [True, "x", [0.1, -0.0]]),
        {1: "one", False: [], None: {}, 1.5: "x"},
    ],
)
def test_an_indented_value_is_what_the_standard_library_writes(value):
    assert indented(value) == json.dumps(value, indent=1, ensure_ascii=False)


def test_a_printed_report_is_what_the_standard_library_writes():
    document = report_document(check(load(FLAGSHIP).scenario()))

    assert indented(document) == json.dumps(document, indent=1, ensure_ascii=False)


def test_only_the_end_of_a_schedule_is_the_last_state_of_its_replay():
    world = load(FLAGSHIP).scenario().world
    schedule = parse_schedule(world, "0.eplb 0.main 1.main 1.eplb")

    assert end_of(world, schedule) == replay(world, schedule).last
    with pytest.raises(ScheduleError, match=r"step 2: 1\.eplb can't move"):
        end_of(world, parse_schedule(world, "0.eplb 1.eplb"))


@pytest.mark.parametrize("ranks", [3, 16, 17, 20])
def test_who_is_absent_is_the_same_however_many_ranks_there_are(ranks):
    """Among more than 16 ranks they are looked for once, for all that ask."""
    world = load(FLAGSHIP).scenario({"ranks": ranks, "order": "free"}).world
    state = initial(world)
    for rank in range(0, ranks, 2):
        state = step(state, next(options_of(state, world.thread(rank, "main")))[0])
        state = step(state, next(options_of(state, world.thread(rank, "eplb")))[0])
    seen = 0
    for stream in world.streams:
        for action, wait in options_of(state, stream):
            wanted = meeting(state, stream, action.choice)
            assert wanted is not None
            kernel = world.kernels[wanted.kernel]
            peers = partners(world, stream.rank, kernel, wanted.channel)
            absent = [peer for peer in peers if not is_there(state, peer, wanted)]
            if wait is not None and "waits for" in wait.why:
                told = wait.why.rpartition(" on ")[2].replace(", which will not launch it", "")
                assert told == ", ".join(f"rank {peer}" for peer in absent)
                seen += 1

    assert seen >= ranks // 2
