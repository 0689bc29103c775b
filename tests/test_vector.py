"""What a vector says is what its scenario is; documents and scenarios go to and fro unchanged."""

import json

import jsonschema
import pytest

from eplb_model.format.machines import load_machine
from eplb_model.formulas import channels_of_grid
from eplb_model.machine import FOOTPRINTS, MACHINES, Footprint
from eplb_model.ops.events import EventQuery, RecordEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.launch import AwaitComplete, AwaitResident, Launch
from eplb_model.ops.variables import Put
from eplb_model.scenario import Expectation, Forever, If, Repeat, ThreadPlan, Try
from eplb_model.schema import schema
from eplb_model.vector import (
    VECTORS,
    catalogue,
    dump,
    load,
    parse_setting,
)
from eplb_model.world import Kernel, Meets, Stream

FLAGSHIP = "coop_vs_nccl_opposite_order"
VALIDATOR = jsonschema.Draft202012Validator(schema("eplb-vector/1"))
NAMES = [vector.name for vector in catalogue()]


def document(**sections) -> dict:
    """The smallest vector, with these sections."""
    programs = {"*.main": [["malloc"]]}
    return {"schema": "eplb-vector/1", "name": "x", "about": "", "programs": programs, **sections}


@pytest.fixture
def written(tmp_path):
    """Writes a document (its sections as keywords) and loads it."""

    def write(name="x", **sections):
        path = tmp_path / f"{name}.json"
        path.write_text(dump(document(name=name, **sections)), "utf-8")
        return load(path)

    return write


# --- the catalogue -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_file_is_canonical_and_bears_its_name(name):
    text = (VECTORS / f"{name}.json").read_text("utf-8")

    assert dump(json.loads(text)) == text
    assert json.loads(text)["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_vector_fits_the_schema_and_says_what_to_expect(name):
    vector = load(name)

    VALIDATOR.validate(vector.written)
    assert vector.scenario().expect is not None
    for case, expectation in vector.cases():
        assert vector.scenario(case).expect == expectation


@pytest.mark.parametrize("name", NAMES)
def test_every_fixed_twin_names_a_vector_that_exists(name):
    assert load(name).scenario().fixes in {None, *NAMES}


def test_the_flagship_is_the_scenario_that_one_would_write_by_hand():
    scenario = load(FLAGSHIP).scenario({"ranks": 3})
    offsets = (1, 2)
    await_exchange, launch_moe = AwaitResident("exchange"), Launch("moe", "compute")

    assert scenario.kernels == {
        "moe": Kernel(
            "moe",
            "cooperative",
            132,
            1,
            FOOTPRINTS["exclusive"],
            Meets("first", offsets, offsets, "moe"),
            ends="together",
        ),
        "exchange": Kernel(
            "exchange",
            "regular",
            16,
            4,
            FOOTPRINTS["nccl"],
            Meets("channel", offsets, offsets, "exchange"),
            rounds=channels_of_grid(16, 3, offsets),
        ),
    }
    main, eplb = scenario.ranks[0].threads
    once = (await_exchange, launch_moe, AwaitComplete("moe"), AwaitComplete("exchange"))
    assert main == ThreadPlan("main", (Repeat(1, (Repeat(1, once),)),))
    assert eplb.name == "eplb"
    assert scenario.ranks[0].streams == (Stream("compute"), Stream("side"))
    assert scenario.ranks[1] == scenario.ranks[2] != scenario.ranks[0]


def test_the_twin_differs_from_its_base_in_what_it_says():
    base, twin = load(FLAGSHIP).scenario(), load("coop_vs_nccl_capped").scenario()

    assert twin.parameters == {**base.parameters, "coop_ctas": 128, "nccl_ctas": 4}
    assert twin.source == base.source
    assert twin.fixes == base.name
    assert twin.expect is not None
    assert twin.expect.verdict == "ok"


# --- parameters --------------------------------------------------------------------------------


def test_parameters_set_from_outside_reach_programs_kernels_and_machine():
    vector = load(FLAGSHIP)
    chosen = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2, "order": "free"}

    scenario = vector.scenario(chosen)

    assert scenario.machine == MACHINES["tiny"]
    assert [(k.ctas, k.cluster) for k in scenario.kernels.values()] == [(3, 1), (2, 2)]
    assert scenario.ranks[0] == scenario.ranks[1]
    assert scenario.parameters == {**vector.scenario().parameters, **chosen}


def test_a_cluster_that_does_not_divide_the_exchange_is_dropped():
    assert load(FLAGSHIP).scenario({"nccl_ctas": 6}).kernels["exchange"].cluster == 1


def test_switches_from_outside_are_set_on_the_machine(written):
    vector = written(switches={"slip_in": "on"})

    switches = vector.scenario(switches={"packing": "worst"}).machine.switches

    assert (switches.slip_in, switches.packing) == ("on", "worst")


def test_derived_values_are_computed_in_order_from_the_machine_and_each_other(written):
    derived = {
        "grid": {"fn": "deepep_dispatch_grid", "experts": "$experts"},
        "cluster": {"fn": "deepep_cluster", "grid": "$grid"},
    }
    vector = written(parameters={"experts": 256}, derived=derived)

    assert vector.derived() == {"grid": 128, "cluster": 2}
    assert vector.derived({"machine": "h20"}) == {"grid": 64, "cluster": 2}


def test_by_selects_numbers_and_booleans_by_their_json_text(written):
    value = {"by": "fast", "true": {"by": "n", "1": "one", "2": "two"}, "false": "$$n"}
    programs = {"*.main": [["put", "x", value]]}
    vector = written(parameters={"fast": True, "n": 2}, programs=programs)

    def put(**chosen):
        return vector.scenario(chosen).ranks[0].threads[0].body

    assert put() == (Put("x", Value("two")),)
    assert put(n=1) == (Put("x", Value("one")),)
    assert put(fast=False) == (Put("x", Value("$n")),)


def test_a_bare_value_over_a_base_changes_only_the_default(written):
    choices = {"default": "a", "choices": ["a", "b"], "about": "which"}
    written("below", parameters={"kind": choices, "n": 1})

    vector = written("above", base="below.json", parameters={"kind": "b"})

    assert vector.scenario().parameters == {"machine": "h200", "kind": "b", "n": 1}
    assert vector.parameters["kind"].choices == ("a", "b")


def test_what_a_base_expects_is_not_inherited(written):
    written("below", expect={"verdict": "deadlock"}, classes=["S1"])

    scenario = written("above", base="below.json").scenario()

    assert (scenario.expect, scenario.classes) == (None, ("S1",))


def test_the_expectation_is_that_of_the_settings_or_none(written):
    case = {"set": {"n": 2}, "expect": {"verdict": "ok", "states": {"plain": 3}}}
    vector = written(parameters={"n": 1}, expect={"verdict": "stall"}, cases=[case])
    stall, ok = Expectation("stall"), Expectation("ok", states={"plain": 3})

    assert vector.cases() == (({}, stall), ({"n": 2}, ok))
    assert vector.scenario().expect == stall
    assert vector.scenario({"n": 1}).expect == stall
    assert vector.scenario({"n": 2}).expect == ok
    assert vector.scenario({"n": 3}).expect is None
    assert vector.scenario(switches={"slip_in": "on"}).expect is None


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("n=2", ("n", 2)),
        ("n=-1.5", ("n", -1.5)),
        ("on=true", ("on", True)),
        ("cap=null", ("cap", None)),
        ("order=free", ("order", "free")),
        ('order="2"', ("order", "2")),
        ("a=b=c", ("a", "b=c")),
        ("a=", ("a", "")),
        ("a=[1]", ("a", "[1]")),
        ("a=NaN", ("a", "NaN")),
        ("a=1e999", ("a", "1e999")),
    ],
)
def test_a_setting_is_a_json_scalar_or_else_a_string(text, setting):
    assert parse_setting(text) == setting


def test_a_null_default_takes_integers_and_null(written):
    vector = written(parameters={"cap": {"default": None, "min": 1}})

    assert vector.scenario({"cap": 4}).parameters["cap"] == 4
    assert vector.scenario({"cap": None}).parameters["cap"] is None


# --- kernels, roles, streams, statements -------------------------------------------------------


def test_a_kernel_lets_go_together_if_it_is_a_gang_or_meets_as_a_whole(written):
    meets = {"channel": None, "grid": None, "first": None, "end": None}
    kernels = {"gang": {"launch": "cooperative", "ctas": 2, "footprint": "tiny"}}
    kernels["alone"] = {**kernels["gang"], "launch": "regular"}
    for grain in meets:
        kernels[grain] = {**kernels["alone"], "meets": {"grain": grain, "peers": "all"}}

    scenario = written(kernels=kernels).scenario()

    assert {name for name, k in scenario.kernels.items() if k.ends == "each"} == {
        "alone",
        "channel",
    }


def test_one_rank_has_no_peers_and_next_means_both_neighbours(written):
    meets = {"grain": "grid", "peers": "$peers"}
    kernel = {"launch": "regular", "ctas": 1, "footprint": "tiny", "meets": meets}
    vector = written(parameters={"ranks": 1, "peers": "next"}, kernels={"k": kernel})

    def sends(**chosen):
        return vector.scenario(chosen).kernels["k"].meets.sends

    assert [sends(), sends(ranks=4), sends(ranks=4, peers="all")] == [(), (1, 3), (1, 2, 3)]


def test_no_rounds_is_not_the_same_as_rounds_by_default(written):
    meets = {"grain": "channel", "peers": "all"}
    kernel = {"launch": "regular", "ctas": 3, "footprint": "nccl", "meets": meets}
    kernels = {"guessed": kernel, "strict": {**kernel, "rounds": []}}

    found = written(parameters={"ranks": 4}, kernels=kernels).scenario().kernels

    assert found["guessed"].rounds == ((2,), (1,), (3,))
    assert found["strict"].rounds == ()


def test_a_footprint_may_be_given_in_numbers(written):
    numbers = {"threads": 64, "registers_per_thread": 8, "shared_bytes": 0}
    kernels = {"k": {"launch": "regular", "ctas": 1, "footprint": numbers}}

    scenario = written(kernels=kernels).scenario()

    assert scenario.kernels["k"].footprint == Footprint("custom", 64, 8, 0)


def test_streams_come_in_the_order_of_first_use_unless_they_are_declared(written):
    programs = {
        "*.a": [["memset", "s"], ["stream_synchronize", "t"]],
        "*.b": [{"if": [1, "==", 1], "then": [["memset", "u"]], "else": [["memset", "t"]]}],
    }
    declared = ["t", {"name": "u", "priority": -1}, "s"]

    used = written(programs=programs).scenario().ranks[0].streams
    named = written(programs=programs, streams=declared).scenario().ranks[0].streams

    assert used == (Stream("s"), Stream("u"), Stream("t"))
    assert named == (Stream("t"), Stream("u", -1), Stream("s"))


def test_others_are_the_ranks_that_no_list_names(written):
    roles = {"first": [1], "rest": "others", "each": "all"}
    programs: dict[str, list] = {"first.a": [], "rest.b": [], "each.c": []}

    ranks = written(parameters={"ranks": 3}, roles=roles, programs=programs).scenario().ranks

    assert [[t.name for t in plan.threads] for plan in ranks] == [
        ["b", "c"],
        ["a", "c"],
        ["b", "c"],
    ]


def test_statements_are_what_they_say(written):
    programs = {
        "*.main": [
            {
                "repeat": 2,
                "do": [["put", "n", {"var": "n", "plus": 1}]],
                "while": [{"var": "n"}, "<", 3],
            },
            {"forever": [{"try": [["raise"]], "except": [["put", "n", [1, "a"]]]}]},
            {"if": [{"var": "n"}, "!=", None], "then": [["put", "m", {"value": True}]]},
        ]
    }

    body = written(programs=programs).scenario().ranks[0].threads[0].body

    assert body[0] == Repeat(
        2, (Put("n", Variable("n", 1)),), Condition(Variable("n"), "<", Value(3))
    )
    assert isinstance(body[1], Forever)
    assert isinstance(body[1].body[0], Try)
    assert body[1].body[0].handler == (Put("n", Value((1, "a"))),)
    assert body[2] == If(Condition(Variable("n"), "!=", Value(None)), (Put("m", Value(True)),))


def test_fields_may_be_given_by_name(written):
    programs = {
        "*.main": [
            ["record_event", "e", {"stream": "s"}],
            ["event_query", {"event": "e", "into": "x"}],
        ]
    }

    body = written(programs=programs).scenario().ranks[0].threads[0].body

    assert body == (RecordEvent("e", "s"), EventQuery("e", "x"))


def test_threads_groups_and_initial_values_reach_the_ranks(written):
    scenario = written(
        parameters={"ranks": 2},
        roles={"last": [1]},
        groups={"ep": "all", "tail": [1]},
        threads={"worker": {"started": False}},
        initial={"*": {"n": 1}, "last": {"ready": True}},
        programs={"*.main": [["start", "worker"]], "*.worker": [["wait_flag", "ready"]]},
    ).scenario()

    assert scenario.groups == {"ep": (0, 1), "tail": (1,)}
    assert [thread.started for thread in scenario.ranks[0].threads] == [True, False]
    assert [plan.initial for plan in scenario.ranks] == [{"n": 1}, {"n": 1, "ready": True}]


# --- machines ----------------------------------------------------------------------------------


def test_a_machine_file_is_found_beside_the_vector_that_names_it(written, tmp_path):
    machine = {"schema": "eplb-machine/1", "name": "mine", "groups": [2, 4], "placement": "unknown"}
    (tmp_path / "mine.json").write_text(json.dumps(machine), "utf-8")

    found = written(parameters={"machine": "mine.json"}).scenario().machine

    assert (found.name, found.sms, found.switches.packing) == ("mine", 6, "both")
    assert found == load_machine(str(tmp_path / "mine.json"))
    jsonschema.validate(machine, schema("eplb-machine/1"))
