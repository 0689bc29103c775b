"""README and specs show what the commands really print."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from eplb_model.outcome import EXIT_CODES
from eplb_model.tables import MEASURED
from tests.documents import (
    BLOCK,
    FILE,
    ROOT,
    commands,
    documents,
    lacking,
    played,
    run,
    write_files,
)

LONG = (
    "eplb-model conform",
    "eplb-model advise",
)  # test_conform.py and test_advise.py ask the same


def block_of(path: Path, block: str) -> object:
    """A row of the test below."""
    long = any(command.startswith(LONG) for command in commands(block))
    marks = pytest.mark.slow if long else ()
    return pytest.param(path, block, marks=marks, id=f"{path.name}:{commands(block)[0][:60]}")


BLOCKS = [
    block_of(path, found[1])
    for path in documents()
    for found in BLOCK.finditer(path.read_text("utf-8"))
]


def is_there(place: str) -> bool:
    """Whether a path in the prose leads somewhere; the first folders may be left out."""
    folders = ("", "tests", "tests/real", "eplb_model", "eplb_real")
    return any((ROOT / folder / place).exists() for folder in folders)


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_a_command_prints_what_the_document_shows(path, block, tmp_path):
    reason = lacking(f"```console\n{block}```")
    if reason is not None:
        pytest.skip(reason)
    write_files(path.read_text("utf-8"), tmp_path)

    assert played(block, partial(run, folder=tmp_path)) == block


def test_the_first_screen_is_one_sentence_and_ten_lines_with_their_output():
    first = (ROOT / "README.md").read_text("utf-8").split("```")
    title, sentence = first[0].split("\n\n", 1)

    assert title == "# eplb-checker"
    assert sentence.count(".") == 1
    assert len(first[1].removeprefix("console\n").splitlines()) <= 12  # with the commands


def test_the_first_protocol_of_a_reader_is_short():
    files = dict(FILE.findall((ROOT / "README.md").read_text("utf-8")))
    written = [line for line in files["test_my_protocol.py"].splitlines() if line.strip()]

    assert len(written) <= 20  # with the imports and the test


def test_a_changed_output_is_noticed():
    assert played("$ x\nold\n", run=lambda _: "new\n") == "$ x\nnew\n"


def test_the_table_of_verdicts_is_the_one_of_the_code():
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| (\d) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )

    assert {verdict: int(code) for verdict, code in rows} == EXIT_CODES


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"^make (\S+)$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "tests/README.md"])
def test_files_that_the_prose_names_exist(name):
    text = (ROOT / name).read_text("utf-8")
    named = re.findall(r"`((?:\w+/)+(?:[\w.]+)?|\w+\.(?:py|md|toml))(?: [^`]*)?`", text)

    assert named
    assert [
        place for place in named if not re.search(r"x\.py|NAME", place) and not is_there(place)
    ] == []


def test_links_to_files_of_the_repository_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", (ROOT / "README.md").read_text())

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_number_of_measured_rows_is_that_of_the_tables():
    told = re.search(r"all tables, ([\d,]+) rows", (ROOT / "README.md").read_text("utf-8"))
    rows = sum(len(json.loads(table.read_text())["rows"]) for table in MEASURED.glob("*.json"))

    assert told is not None
    assert int(told[1].replace(",", "")) == rows
