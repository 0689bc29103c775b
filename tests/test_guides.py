"""The guides do what they say: their files are written, commands run, and the output compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.documents import BLOCK, FILE, GUIDES, guides, lacking, replayed

NAMES = [path.name for path in guides()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_guide_prints_what_it_shows(name):
    text = (GUIDES / name).read_text("utf-8")
    reason = lacking(text)
    if reason is not None:
        pytest.skip(reason)

    assert replayed(text) == text


def test_there_is_a_guide_for_each_of_the_five_minutes_and_for_gpus():
    assert NAMES == [
        "change_a_parameter.md",
        "gate_your_ci.md",
        "gpu_runner.md",
        "replay_on_your_machine.md",
        "see_the_hang.md",
        "your_protocol.md",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_a_guide_can_be_read_and_is_used(name):
    text = (GUIDES / name).read_text("utf-8")
    said = " ".join(found[1] for found in BLOCK.finditer(text))

    for file, content in FILE.findall(text):
        assert file in said
        if file.endswith(".py"):
            compile(content, file, "exec")
        else:
            assert json.loads(content)
    assert len(FILE.findall(text)) == text.count("```python") + text.count("```json")


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_guide_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", (GUIDES / name).read_text("utf-8"))

    assert [link for link in links if not Path(GUIDES / link).exists()] == []


def test_the_first_protocol_of_a_user_is_short():
    files = dict(FILE.findall((GUIDES / "your_protocol.md").read_text("utf-8")))
    written = [line for line in files["test_my_protocol.py"].splitlines() if line.strip()]

    assert len(written) <= 25  # with the imports and the test
