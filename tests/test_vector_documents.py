"""Documents and scenarios go to and fro unchanged, and the schemas fit both."""

import json
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings

from eplb_model.format.document import LARGEST_FILE, read_document
from eplb_model.format.writing import scenario_document
from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_model.schema import SCHEMAS, schema, vector_schema
from eplb_model.strategies import scenarios
from eplb_model.vector import catalogue, dump, load

FLAGSHIP = "coop_vs_nccl_opposite_order"
VALIDATOR = jsonschema.Draft202012Validator(schema("eplb-vector/1"))
NAMES = [vector.name for vector in catalogue()]


def document(**sections) -> dict:
    """The smallest vector, with these sections."""
    programs = {"*.main": [["malloc"]]}
    return {"schema": "eplb-vector/1", "name": "x", "about": "", "programs": programs, **sections}


def same(left: Scenario, right: Scenario) -> bool:
    """Whether two scenarios are equal in all that a check depends on."""

    def parts(each):
        return each.machine, each.kernels, each.ranks, each.groups

    return parts(left) == parts(right) and repr(parts(left)) == repr(parts(right))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_vector_survives_the_way_through_a_scenario(name, tmp_path):
    scenario = load(name).scenario()
    path = tmp_path / "back.json"
    path.write_text(dump(scenario_document(scenario)), "utf-8")

    again = load(path).scenario()

    assert same(again, scenario)
    assert again.expect == scenario.expect


# --- to and fro --------------------------------------------------------------------------------


@pytest.mark.slow
@given(scenarios())
@settings(max_examples=60)
def test_every_generated_scenario_survives_the_way_through_a_document(tmp_path_factory, scenario):
    document = scenario_document(replace(scenario, name="x"))
    path = tmp_path_factory.getbasetemp() / "generated.json"
    path.write_text(dump(document), "utf-8")

    again = load(path).scenario()

    assert same(again, scenario)
    assert dump(json.loads(path.read_text("utf-8"))) == dump(document)
    VALIDATOR.validate(document)


def test_a_scenario_on_a_machine_of_its_own_has_no_document():
    scenario = load(FLAGSHIP).scenario()
    machine = replace(scenario.machine, queue_depth=3)

    with pytest.raises(ValueError, match="machine h200 is no preset"):
        scenario_document(scenario.on(machine))


def test_a_document_is_written_in_lines_of_a_hundred_columns_where_it_can_be():
    value = {"a": [["launch", "moe", "compute"]] * 9, "b": {"c": "x" * 90}, "d": {}}

    text = dump(value)

    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert max(map(len, text.splitlines())) <= 101


def test_the_largest_file_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}" + " " * (LARGEST_FILE - 2), "utf-8")

    assert read_document(path) == {}


# --- schemas -----------------------------------------------------------------------------------


def test_the_committed_schema_of_vectors_is_the_one_of_the_registry():
    committed = (SCHEMAS / "eplb-vector-1.json").read_text("utf-8")

    assert committed == dump(vector_schema())


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_every_schema_is_one_and_canonical(path):
    text = path.read_text("utf-8")

    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    assert dump(json.loads(text)) == text


def test_the_report_schema_knows_only_what_a_report_has():
    of_the_finding = {"schedule", "waiting", "circle", "loop", "message", "details"}
    known = {"schema", "vector", *of_the_finding}  # `vector` is what was asked for

    properties = schema("eplb-report/1")["properties"]
    assert isinstance(properties, dict)
    assert set(properties) - known <= set(Report.__dataclass_fields__)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1},
        {"kernels": {"k": {"launch": "normal", "ctas": 1, "footprint": "tiny"}}},
        {"programs": {"*.main": [["lauch", "k", "s"]]}},
        {"programs": {"*.main": [["launch"]]}},
        {"programs": {"*.main": [["launch", "k", "s", {"gill": True}]]}},
        {"programs": {"*.main": [{"repeat": 2}]}},
        {"expect": {"verdict": "fine"}},
    ],
)
def test_the_schema_refuses_what_can_be_seen_without_resolving_anything(wrong):
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document(**wrong))
