"""What `eplb-model export` writes, and what it refuses.  No Spin is needed here."""

import json
import re
from pathlib import Path

import pytest

from eplb_model.check import machines
from eplb_model.cli import main
from eplb_model.export import CannotExport
from eplb_model.export.promela import promela
from eplb_model.export.promela.call import EMITTERS
from eplb_model.export.promela.limits import SWITCHES
from eplb_model.machine import SETTINGS
from eplb_model.ops import OPERATIONS
from eplb_model.vector import catalogue, load

RETRIED = ("producer", "consumer", "side", "compute")  # actors of cpu_gpu_event_wait_retried
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "specs" / "spin.md").read_text(encoding="utf-8")
LAW = sorted((ROOT / "eplb_model" / "export" / "promela" / "law").glob("*.pml"))


def exported(name, **settings):
    scenario = load(name).scenario(settings)
    return promela(scenario.on(next(machines(scenario)))).text


def listed(title):
    """The first column of a table of specs/spin.md, without backquotes."""
    _, _, after = PAGE.partition(f"## {title}\n")
    assert after, f"spin.md has no section {title!r}"
    rows = re.split(r"^## ", after, flags=re.MULTILINE)[0]
    return [cell for row in re.findall(r"^\| (.+?) \|", rows, re.MULTILINE)[1:]
            for cell in re.findall(r"`([^`]+)`", row)]  # fmt: skip


def test_the_page_lists_every_operation_that_the_export_has_no_words_for():
    assert sorted(listed("What is refused")) == sorted(set(OPERATIONS) - set(EMITTERS))


def test_the_page_lists_every_setting_of_a_switch_that_the_export_has_no_words_for():
    missing = [
        f"{name}={setting}"
        for name, known in SWITCHES.items()
        for setting in SETTINGS[name]
        if setting not in known
    ]

    assert listed("Switches that are refused") == missing


@pytest.mark.parametrize("file", LAW, ids=lambda file: file.stem)
def test_every_section_that_the_promela_law_names_exists(file):
    text = (ROOT / "specs" / "semantics.md").read_text(encoding="utf-8")
    titles = {f"#{title}" for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}

    lists = re.findall(r"semantics\.md((?:#[a-z-]+(?:, )?)+)", file.read_text(encoding="utf-8"))

    assert {name for each in lists for name in each.split(", ") if name} <= titles


def test_a_thread_and_a_stream_are_a_process_each():
    text = exported("coop_vs_nccl_opposite_order")

    processes = re.findall(r"^active proctype (\w+)\(", text, re.MULTILINE)

    assert processes == [
        *("main_0", "eplb_0", "main_1", "eplb_1"),
        *("compute_0", "side_0", "compute_1", "side_1"),
        "watch",
    ]


def test_the_header_has_scenario_parameters_and_switches():
    text = exported("coop_vs_nccl_opposite_order", coop_ctas=128)

    head, _, _ = text.partition("*/")

    assert "Scenario coop_vs_nccl_opposite_order." in head
    assert "coop_ctas=128" in head
    assert "packing=rule" in head


def test_every_operation_of_a_program_is_written_above_its_steps():
    text = exported("locks_in_opposite_order")

    world = load("locks_in_opposite_order").scenario().world
    sizes = [len(program.code) for program in world.programs]

    assert len(re.findall(r"^ +/\* \d+: .+ \*/$", text, re.MULTILINE)) == sum(sizes)


def test_a_call_on_a_stream_is_a_macro_of_the_law_by_name():
    text = exported("event_order")

    called = set(re.findall(r"^ +(\w+)\(\d, ", text, re.MULTILINE))
    known = set(re.findall(r"^inline (\w+)\(", text, re.MULTILINE))

    assert {"submit", "record_event", "stream_wait_event"} <= called <= known


def test_the_steps_of_the_two_thread_event_have_their_names():
    text = exported("cpu_gpu_event_wait_first")

    named = re.findall(r"^ +/\* ([ab]\d)[^*]* \*/$", text, re.MULTILINE)

    assert named == ["b1", "b1", "b2", "b3", "b4", "a1", "a2", "a3", "a3", "a4"]


@pytest.mark.parametrize(
    ("name", "formulas"),
    [
        ("coop_vs_nccl_opposite_order", ["no_error", "no_deadlock"]),
        ("cpu_gpu_event_other_stream", ["no_error", "no_race", "no_deadlock"]),
        ("request_never_received", ["no_error", "ends_well", "no_deadlock"]),
        (
            "flags_drift_apart",
            ["no_error", "always_0", "no_deadlock", "sometimes_0", "sometimes_1"],
        ),
        (
            "cpu_gpu_event_wait_retried",
            ["no_error", "no_deadlock", *(f"goes_on_{who}_0" for who in RETRIED)],
        ),
    ],
)
def test_properties_are_formulas_by_name(name, formulas):
    assert re.findall(r"^ltl (\w+) \{", exported(name), re.MULTILINE) == formulas


def test_a_claim_is_a_formula_under_its_sentence():
    text = exported("cycle_never_ends")

    assert "/* every cycle ends */\nltl eventually_1 { [] <> (rebalanced_0 == 0) }" in text
    assert "/* a cycle is under way */\nltl sometimes_1 { [] !(rebalanced_0 == 1) }" in text


@pytest.mark.parametrize("name", ["coop_vs_nccl_opposite_order", "async_eplb_small"])
def test_the_same_scenario_is_the_same_text(name):
    assert exported(name) == exported(name)


def test_nearly_every_vector_can_be_said():
    refused = [vector.name for vector in catalogue() if _reason(vector) is not None]

    assert refused == REFUSED


def _reason(vector):
    scenario = vector.scenario()
    try:
        promela(scenario.on(next(machines(scenario))))
    except CannotExport as reason:
        return str(reason)
    return None


REFUSED = [
    "allocator_call_and_other_thread",
    "freed_block_held_until_wait",
    "freed_block_reused_in_flight",
    "gang_bars_later_kernels",
    "head_of_line",
    "split_of_an_sm",
    "waiting_kernel_bars_its_priority",
]


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("freed_block_reused_in_flight", "", "operation alloc (thread 0.main)"),
        ("event_order", "--switch distributor=any", "switch distributor set to any"),
        ("event_order", "--switch priority=all", "switch priority with several settings"),
        ("gang_bars_later_kernels", "", "kernels that share an SM (gang120k and tiny)"),
        ("crashed_rank_in_flag_reduce", "--set limits=on", "a time limit of all_reduce"),
    ],
)
def test_what_has_no_words_is_refused_by_name(name, words, said, capsys):
    code = main(["export", name, "--format", "promela", *words.split()])

    assert code == 2
    assert said in capsys.readouterr().err


# --- ITF -------------------------------------------------------------------------------------


def trace(capsys, *words):
    assert main(["export", *words, "--format", "itf"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_finding_is_a_trace_with_a_state_more_than_steps(capsys):
    document = trace(capsys, "coop_vs_nccl_opposite_order")

    assert document["#meta"]["finding"].startswith("deadlock")
    assert document["vars"] == ["action", "threads", "streams", "memory"]
    assert [state["#meta"]["index"] for state in document["states"]] == list(range(7))
    assert all(set(document["vars"]) <= set(state) for state in document["states"])


def test_the_loop_of_a_stall_goes_back_to_an_equal_state(capsys):
    document = trace(capsys, "clear_erases_rearm")

    first, last = document["states"][document["loop"]], document["states"][-1]

    assert {**first, "#meta": 0, "action": 0} == {**last, "#meta": 0, "action": 0}


def test_a_schedule_may_be_given(capsys):
    document = trace(capsys, "locks_in_opposite_order", "--schedule", "0.main 0.eplb")

    assert [state["action"] for state in document["states"]] == ["(initial)", "0.main", "0.eplb"]


def test_a_scenario_that_holds_has_no_run_to_show(capsys):
    assert main(["export", "event_order", "--format", "itf"]) == 2
    assert "event_order holds" in capsys.readouterr().err


def plain(value):
    """Whether a value is one that ITF knows."""
    if isinstance(value, dict):
        return set(value) in ({"#bigint"}, {"#map"}) or all(
            not key.startswith("#") or key == "#meta" for key in value
        )
    return value is not None and not isinstance(value, float)


def every_value(value):
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from every_value(each)


@pytest.mark.parametrize("name", ["cpu_gpu_event_double_record", "freed_block_reused_in_flight"])
def test_every_value_of_a_trace_is_one_that_itf_knows(name, capsys):
    document = trace(capsys, name)

    assert all(plain(value) for value in every_value(document["states"]))
