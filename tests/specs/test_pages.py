"""Pages and models below specs/ name files, sections and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.specs.by_hand import FOLDERS, SPECS
from tests.test_specs import (
    anchor,
    chapter,
    headings,
    quoted_ids,
    read,
    sections,
    source_rows,
)

ROOT = SPECS.parent
PAGES = sorted(SPECS.rglob("*.md"))
MODELS = sorted(path for folder in FOLDERS for path in (SPECS / folder).glob("*.pml"))


def is_broken(page: Path, link: str) -> bool:
    name, _, where = link.partition("#")
    target = (page.parent / name).resolve()
    if not target.exists():
        return True
    return bool(where) and where not in {anchor(heading) for heading in headings(target)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SPECS)))
def test_every_link_into_another_folder_leads_somewhere(page):
    """Links between pages of one folder are looked at in tests/test_specs.py."""
    links = re.findall(r"\]\(([^)\s]*/[^)\s]*)\)", read(page))
    local = [link for link in links if "://" not in link]

    assert [link for link in local if is_broken(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SPECS)))
def test_every_test_that_a_page_names_exists(page):
    named = re.findall(r"`(tests/[\w/.]+)`", read(page))

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_rule_that_the_readme_shows_is_the_one_of_its_section():
    shown = read(SPECS / "README.md").partition("> **stream-wait-event.** ")[2].splitlines()[0]
    _, effect, source = re.split(r" ?\*(?:Effect|Source)\*: ", shown)
    text = sections(chapter("Operations of host threads"))["stream-wait-event"]

    assert effect.partition(". ")[2] in text
    assert f"**Source.** {source}" in text


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_rule_and_page_that_a_model_quotes_exists(model):
    text = read(model)
    guarantees = {"G1", "G2", "G3", "G4"} if "cpu_gpu_event" in str(model) else set()
    rules = quoted_ids(text) - guarantees - {"V5", "V8", "V9"}

    assert rules - {row[0] for row in source_rows()} == set()
    named = re.findall(r"(?:\.\./)+[\w/]+\.\w+|\b[\w/]+\.json", text)
    assert [name for name in named if not (model.parent / name).exists()] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_can_be_read_in_one_sitting(model):
    lines = read(model).splitlines()

    assert len(lines) <= 250
    assert [line for line in lines if len(line) > 110] == []
