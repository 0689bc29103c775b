"""The hand-written specifications: what is written about them, and what Spin says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter

import pytest

from eplb_model.vector import VECTORS
from tests.specs.by_hand import FOLDERS, SECONDS, SPECS, Model, included, models, needs_spin, verify

MODELS = models()
FILES = sorted({(each.folder, each.row["file"]) for each in MODELS})
KEYS = (
    "file",
    "property",
    "defines",
    "fairness",
    "expected",
    "states",
    "depth",
    "search_depth",
    "cc",
    "pan",
    "about",
)
# The cases that stand for the others where there is little time: each holds or fails in a second.
REPRESENTATIVE: tuple[tuple[str, dict[str, object], str], ...] = (
    ("cpu_gpu_event.pml", {}, "g1"),
    ("cpu_gpu_event.pml", {"MISUSE": "TWO_WAITERS"}, "g4"),
    ("cpu_gpu_event_broken.pml", {}, "g1"),
    ("sm_deadlock_broken.pml", {}, "safety"),
    ("async_eplb_broken.pml", {"VERSION": 20}, "cycles_end"),
)


def properties(text: str) -> set[str]:
    return set(re.findall(r"^ltl (\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_model_is_in_the_list_and_has_a_sibling_that_fails(folder):
    files = {path.name for path in (SPECS / folder).glob("*.pml")}
    listed = {file for where, file in FILES if where == folder}
    failing = {
        each.row["file"]
        for each in MODELS
        if each.folder == folder and each.matches(expected="violated")
    }

    assert files - listed <= {"event.pml"}
    assert {f"{folder}.pml", f"{folder}_broken.pml"} <= failing


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_row_is_complete_and_names_what_the_model_has(model):
    text = included(SPECS / model.folder / model.row["file"])

    assert tuple(model.row) == KEYS
    assert model.row["property"] in {"safety"} | properties(text)
    unknown = [
        name for name in model.row["defines"] if not re.search(rf"#\s*if\w* .*\b{name}\b", text)
    ]
    assert unknown == []


def test_no_row_is_there_twice():
    count = Counter((each.folder, each.name) for each in MODELS)

    assert [name for name, number in count.items() if number > 1] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_property_is_verified_and_every_misuse_and_switch_is_tried(folder):
    text = included(SPECS / folder / f"{folder}.pml")
    rows = [each.row for each in MODELS if each.folder == folder]
    broken = (SPECS / folder / f"{folder}_broken.pml").read_text(encoding="utf-8")
    tried = {name for row in rows for name in row["defines"]}
    tried |= set(re.findall(r"#define (\w+)", broken))
    misused = {row["defines"].get("MISUSE", "NONE") for row in rows}

    assert properties(text) == {row["property"] for row in rows} - {"safety"}
    own = (SPECS / folder / f"{folder}.pml").read_text(encoding="utf-8")
    switches = set(re.findall(r"^#ifn?def (\w+)", own, re.MULTILINE)) - {"RANKS", "LAYERS", "TELL"}
    assert switches <= tried
    if folder == "cpu_gpu_event":
        assert misused == set(re.findall(r"^#define (\w+) +\d+ +/\* [^*]", own, re.MULTILINE)) | {
            "NONE"
        }


def replaced() -> list[tuple[Model, Model]]:
    """Each row with the contract in place of the event, after the same row with the code."""
    by_name = {(each.folder, each.name): each for each in MODELS}
    return [
        (
            by_name[each.folder, each.name.replace(",CONTRACT=1", "").replace("-CONTRACT=1", "")],
            each,
        )
        for each in MODELS
        if "CONTRACT" in each.row["defines"]
    ]


def test_the_contract_in_place_of_the_event_changes_no_verdict_and_saves_states():
    """But for two producers, for whom the contract is not what the code does."""
    differ = [
        contract.name
        for code, contract in replaced()
        if code.row["expected"] != contract.row["expected"]
    ]

    assert differ == ["cpu_gpu_event.pml-MISUSE=TWO_PRODUCERS,CONTRACT=1-g2"]
    assert {each.folder for _, each in replaced()} == {"cpu_gpu_event", "async_eplb"}
    assert {contract.row["expected"] for _, contract in replaced()} == {"holds", "violated"}
    assert all(contract.row["states"] < code.row["states"] for code, contract in replaced())


def test_the_page_says_how_many_states_the_contract_saves():
    text = (SPECS / "README.md").read_text(encoding="utf-8")
    code, contract = next(
        (code.row["states"], contract.row["states"])
        for code, contract in replaced()
        if contract.matches(property="safety", defines={"VERSION": 20, "CONTRACT": 1})
    )

    assert f"async EPLB of 0.20 has {contract:,} states in place of {code:,}" in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_header_of_a_model_counts_what_the_list_counts(folder):
    header = (SPECS / folder / f"{folder}.pml").read_text(encoding="utf-8").partition("*/")[0]
    said = {int(number.replace(",", "")) for number in re.findall(r"([\d,]+) states", header)}

    assert said
    assert said <= {each.row["states"] for each in MODELS if each.folder == folder}


def test_vectors_that_the_rows_name_exist():
    named = {
        name
        for each in MODELS
        for name in re.findall(r"\b(?:cpu_gpu_event|event)_\w+", each.row["about"])
    }

    assert named
    assert [name for name in sorted(named) if not (VECTORS / f"{name}.json").exists()] == []


@needs_spin
@pytest.mark.parametrize(("file", "defines", "claim"), REPRESENTATIVE)
def test_spin_says_what_the_list_says(tmp_path, file, defines, claim):
    (model,) = [each for each in MODELS if each.matches(file=file, defines=defines, property=claim)]
    found = verify(model, tmp_path)

    assert (found.verdict, found.states, found.depth) == tuple(
        model.row[key] for key in ("expected", "states", "depth")
    )


@needs_spin
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_spin_says_what_every_row_says(tmp_path, model):
    found = verify(model, tmp_path)

    assert (found.verdict, found.states, found.depth) == tuple(
        model.row[key] for key in ("expected", "states", "depth")
    )


@needs_spin
def test_the_commands_of_the_page_find_the_silent_stall(tmp_path):
    """As they are written, but for the installation."""
    text = (SPECS / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Run them\n")[2].lstrip("\n").partition("\n\n")[0]
    install, *commands = [line.removeprefix("    ") for line in block.splitlines()]
    shutil.copytree(SPECS, tmp_path / "specs")
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )

    assert install == "apt-get install spin gcc libc6-dev"
    assert "errors: 1" in done.stdout
    assert "<<<<<START OF CYCLE>>>>>" in done.stdout
