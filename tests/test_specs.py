"""The specifications and the code name the same things: operations, anchors, switches, sources."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from eplb_model import check
from eplb_model.format.claims import CLAIM_KINDS
from eplb_model.machine import EVERY, MACHINES, SETTINGS, Switches
from eplb_model.ops import OPERATIONS, STREAM_OPERATIONS
from eplb_model.outcome import EXIT_CODES, Verdict
from eplb_model.properties import PROPERTIES
from eplb_model.scenario import FORBIDDEN
from eplb_model.vector import KEYS
from tests.test_properties import ROWS

ROOT = Path(__file__).parent.parent
SPECS = ROOT / "specs"
PAGES = tuple(sorted(SPECS.glob("*.md")))
CODE = tuple(sorted((ROOT / "eplb_model").rglob("*.py")))
DATA = tuple(sorted((ROOT / "eplb_model").rglob("*.json")))

KEPT = "What every scenario keeps"
RULE_ID = r"[AGNEHVUPOX]\d+[a-z]?"
GPUS = frozenset({"H20", "H100", "H200", "H800"})  # names of boards, not rules
DIRECTIONS = frozenset({"may miss", "may cry wolf", "may miss, may cry wolf"})
CONFIDENCES = frozenset({"high", "medium", "low", "-"})


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", read(path), re.MULTILINE)


def chapter(title: str) -> str:
    """The text of semantics.md between a first-level heading and the next one."""
    _, _, after = read(SPECS / "semantics.md").partition(f"\n# {title}\n")
    assert after, f"semantics.md has no chapter {title!r}"
    return re.split(r"^# ", after, flags=re.MULTILINE)[0]


def sections(text: str) -> dict[str, str]:
    """The second-level sections of a text, by heading; a heading used twice is an error."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    names = parts[::2]
    assert len(names) == len(set(names)), names
    return dict(zip(names, parts[1::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of all table rows, without the rows above and below the rulers."""
    lines = text.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        is_row = line.startswith("|") and not re.fullmatch(r"[|\-: ]+", line)
        if is_row and not re.fullmatch(r"\|[|\-: ]+", after):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def kinds(table: dict[str, type]) -> set[str]:
    return {kind.replace("_", "-") for kind in table}


def quoted_ids(text: str) -> set[str]:
    """Rule ids in a text; a range of one letter names what is between its ends."""
    found = set(re.findall(rf"\b{RULE_ID}\b", text)) - GPUS
    for letter, first, last in re.findall(r"\b([AGNEHVUPOX])(\d+)[a-z]?-\1(\d+)[a-z]?\b", text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return found


def source_rows() -> list[list[str]]:
    return [row for row in rows(read(SPECS / "sources.md")) if re.fullmatch(RULE_ID, row[0])]


def quotes() -> dict[str, set[str]]:
    """By file, the rule ids that it quotes; sources.md itself does not count."""
    files = (*CODE, *DATA, *(page for page in PAGES if page.name != "sources.md"))
    return {str(path.relative_to(ROOT)): quoted_ids(read(path)) for path in files}


# --- operations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "table"),
    [("Operations of host threads", OPERATIONS), ("Work in streams", STREAM_OPERATIONS)],
)
def test_every_operation_has_a_section_and_every_section_an_operation(title, table):
    assert set(sections(chapter(title))) == kinds(table)


@pytest.mark.parametrize("title", ["Operations of host threads", "Work in streams"])
def test_every_operation_section_is_a_guard_an_effect_and_a_source(title):
    shapes = {
        name: re.findall(r"^\*\*(\w+)\.\*\* \S", text, re.MULTILINE)
        for name, text in sections(chapter(title)).items()
    }

    assert shapes == {name: ["Guard", "Effect", "Source"] for name in shapes}


def test_every_operation_names_its_own_section():
    wrong = [
        cls.__name__
        for kind, cls in (*OPERATIONS.items(), *STREAM_OPERATIONS.items())
        if not re.search(
            rf"specs/semantics\.md#{kind.replace('_', '-')}(?![\w-])", cls.__doc__ or ""
        )
    ]

    assert wrong == []


def test_every_page_and_anchor_that_the_code_names_exists():
    known = {page.name: {anchor(heading) for heading in headings(page)} for page in PAGES}
    missing = [
        f"{path.relative_to(ROOT)}: specs/{page}#{where}"
        for path in CODE
        for page, where in re.findall(r"specs/(\w+\.md)(?:#([\w-]+))?", read(path))
        if page not in known or (where and where not in known[page])
    ]

    assert missing == []


def test_every_link_between_pages_leads_somewhere():
    known = {page.name: {anchor(heading) for heading in headings(page)} for page in PAGES}
    broken = [
        f"{page.name}: {name}#{where}"
        for page in PAGES
        for name, where in re.findall(r"\]\(([\w.]*)(?:#([\w-]+))?\)", read(page))
        if (target := name or page.name) not in known or (where and where not in known[target])
    ]

    assert broken == []


# --- the machine -----------------------------------------------------------------------------


def switch_rows() -> list[list[str]]:
    return list(rows(sections(chapter("What follows from it"))["switches"]))


def test_every_switch_has_a_row_with_its_settings_and_default():
    documented = {
        name.strip("`"): (tuple(re.findall(r"`(\w+)`", settings)), default.strip("`"))
        for name, settings, default, *_ in switch_rows()
    }

    defaults = Switches()
    assert documented == {
        name: (settings, getattr(defaults, name)) for name, settings in SETTINGS.items()
    }


def test_every_switch_of_the_machine_has_settings_and_is_documented_once():
    names = sorted(row[0].strip("`") for row in switch_rows())

    assert names == sorted(SETTINGS) == sorted(each.name for each in fields(Switches))


def test_every_switch_row_says_measured_or_assumed():
    silent = [
        row[0] for row in switch_rows() if not re.search(r"measured|assumed|documented", row[3])
    ]

    assert silent == []


def test_names_for_several_settings_are_documented():
    text = sections(chapter("What follows from it"))["switches"]

    assert [key for key in EVERY if f"`{key.partition(':')[2]}`" not in text] == []


def test_every_preset_machine_has_a_row_with_its_sms():
    documented = {
        row[0].strip("`"): int(row[1].split()[0])
        for row in rows(sections(chapter("The machine"))["placement"])
        if row[0].strip("`") in MACHINES
    }

    assert documented == {name: machine.sms for name, machine in MACHINES.items()}


# --- verdicts --------------------------------------------------------------------------------


def test_every_verdict_has_one_row_with_its_exit_code():
    table = list(rows(sections(chapter("What follows from it"))["verdicts"]))

    assert sorted((row[0].strip("`"), int(row[2])) for row in table) == sorted(EXIT_CODES.items())
    assert sorted(EXIT_CODES) == sorted(get_args(Verdict))


# --- vectors ---------------------------------------------------------------------------------


def test_every_key_of_a_vector_is_explained_and_no_other():
    table, _, _ = sections(chapter("What follows from it"))["vectors"].partition("What may stand")
    explained = [key for row in rows(table) for key in re.findall(r"`(\w+)`", row[0])]

    assert sorted(explained) == sorted(KEYS)


# --- properties ------------------------------------------------------------------------------


def property_sections() -> dict[str, str]:
    """The sections of properties.md about what every scenario keeps, by sentence."""
    parts = re.split(
        r"^### (.+)\n", sections(read(SPECS / "properties.md"))[KEPT], flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_property_has_a_section_and_every_section_a_property_in_order():
    assert list(property_sections()) == list(PROPERTIES)


def test_every_property_section_says_its_kind_and_its_verdicts():
    said = {
        sentence: (
            re.findall(r"^\*\*Kind\.\*\* `(\w+)`", text, re.MULTILINE),
            set(re.findall(r"`(\w+)`", text)) & set(EXIT_CODES),
        )
        for sentence, text in property_sections().items()
    }

    assert said == {s: ([each.kind], set(each.verdicts)) for s, each in PROPERTIES.items()}


def test_every_kind_of_claim_has_a_row_and_every_row_a_kind():
    table = list(rows(sections(read(SPECS / "properties.md"))["Claims"]))

    assert [row[0].strip("`") for row in table] == list(CLAIM_KINDS)


def test_everything_that_can_be_forbidden_has_a_row():
    table = list(rows(sections(read(SPECS / "properties.md"))["Forbidden"]))

    assert [row[0].strip("`") for row in table] == list(FORBIDDEN)


def test_every_row_of_interesting_cases_is_a_row_of_the_tests():
    table, _, _ = sections(read(SPECS / "properties.md"))["Interesting cases"].partition("shapes")
    named = {name for row in rows(table) for name in re.findall(r"`(\w+)`", "".join(row[1:]))}
    tested = {name for row in ROWS for name in (row.vector, row.twin)}

    assert named <= tested


# --- sources ---------------------------------------------------------------------------------


def test_every_rule_id_that_is_quoted_has_a_source():
    known = {row[0] for row in source_rows()}
    unknown = {file: sorted(ids - known) for file, ids in quotes().items() if ids - known}

    assert unknown == {}


def test_every_source_is_quoted_somewhere():
    quoted = set().union(*quotes().values())

    assert [row[0] for row in source_rows() if row[0] not in quoted] == []


def test_every_source_has_one_row_with_a_fact_an_origin_and_a_confidence():
    table = source_rows()

    assert len({row[0] for row in table}) == len(table)
    bad = [row for row in table if len(row) != 4 or not all(row) or row[3] not in CONFIDENCES]
    assert bad == []


# --- assumptions -----------------------------------------------------------------------------


def test_every_assumption_has_a_direction_and_says_where_it_shows():
    table = list(rows(read(SPECS / "assumptions.md")))

    assert len(table) > 50
    assert [r for r in table if len(r) != 3 or r[1] not in DIRECTIONS or not r[2]] == []


def test_every_assumption_that_a_report_prints_is_explained():
    tree = ast.parse(inspect.getsource(check.assumptions))
    printed = [
        part.value.strip()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "append"
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]

    assert printed
    text = read(SPECS / "assumptions.md")
    assert [words for words in printed if words not in text] == []


# --- the pages themselves --------------------------------------------------------------------


def test_the_glossary_is_alphabetical_and_names_nothing_twice():
    words = [row[0].lower() for row in rows(read(SPECS / "glossary.md"))]

    assert words == sorted(set(words))


def test_the_reading_order_names_every_page():
    order = re.findall(r"^\d+\. \[(\w+\.md)\]", read(SPECS / "README.md"), re.MULTILINE)

    assert sorted([*order, "README.md"]) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_mentions_a_path_of_a_machine(page):
    roots = "work|home|root|tmp|usr|opt|mnt|var|etc|data|Users"
    found = re.findall(
        rf"(?<![\w./)])/(?:{roots})\b\S*|\b[A-Z]:\\\S*|\bshared/\S*|~/\S*", read(page)
    )

    assert found == []
