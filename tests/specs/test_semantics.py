"""The sections of specs/semantics.md name every field of the operations that they describe."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from eplb_model.format.statements import BLOCKS
from eplb_model.ops import OPERATIONS, STREAM_OPERATIONS
from eplb_model.state import Device, State
from eplb_model.world import Kernel, Meets, Stream
from tests.test_specs import SPECS, chapter, read, rows, sections

HOST = "Operations of host threads"
SHARED = {
    name
    for row in rows(chapter(HOST).partition("\n## ")[0])
    for name in re.findall(r"`(\w+)`", row[0])
}
ALL = {**OPERATIONS, **STREAM_OPERATIONS}


@pytest.mark.parametrize("kind", ALL)
def test_every_field_of_an_operation_is_named_in_its_section_or_among_the_shared_ones(kind):
    title = HOST if kind in OPERATIONS else "Work in streams"
    text = sections(chapter(title))[kind.replace("_", "-")]
    unnamed = [
        each.name
        for each in fields(ALL[kind])
        if each.name not in SHARED and not re.search(rf"\b{each.name}", text, re.IGNORECASE)
    ]

    assert unnamed == []


def test_every_shared_field_is_a_field_of_several_operations():
    count = {
        name: sum(name in {each.name for each in fields(cls)} for cls in ALL.values())
        for name in SHARED
    }

    assert {name for name, number in count.items() if number < 2} == {"otherwise"}


@pytest.mark.parametrize("part", [Kernel, Meets, Stream])
def test_every_field_of_a_kernel_a_meeting_and_a_stream_is_explained(part):
    text = read(SPECS / "semantics.md")

    assert [each.name for each in fields(part) if not re.search(rf"`{each.name}`", text)] == []


def test_every_part_of_the_state_has_a_row_and_every_row_a_part():
    table = sections(chapter("The machine"))["state"].partition("\n- A *seat*")[0]
    named = [name for row in rows(table) for name in re.findall(r"`(\w+)`", row[2])]
    parts = [*State._fields, *Device._fields]

    assert sorted(named) == sorted(set(parts) - {"world", "devices"})


def test_every_block_has_a_row_with_its_keys():
    text = sections(chapter("What follows from it"))["vectors"].partition("may stand blocks:")[2]
    documented = {
        row[0].strip("`"): {row[0].strip("`"), *re.findall(r"`(\w+)`", row[1])}
        for row in rows(text)
        if len(row) == 3
    }

    assert documented == {name: set(keys) for name, keys in BLOCKS.items()}
