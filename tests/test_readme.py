"""README and specs show what the commands really print."""

from __future__ import annotations

import re

import pytest

from eplb_model.outcome import EXIT_CODES
from tests.documents import BLOCK, ROOT, commands, documents, played

BLOCKS = [
    pytest.param(found[1], id=f"{path.name}:{commands(found[1])[0][:60]}")
    for path in documents()
    for found in BLOCK.finditer(path.read_text())
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_command_prints_what_the_document_shows(block):
    assert played(block) == block


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


def test_links_to_files_of_the_repository_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", (ROOT / "README.md").read_text())

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
