"""Protocols built in Python: all operations are there, vectors are the same, errors have a line."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from eplb_model.build import Build, Parameter, Thread, Var
from eplb_model.build.calls import method_name
from eplb_model.build.operations import Operations
from eplb_model.build.stub import STUB, stub_text
from eplb_model.build.words import Comparison, Value
from eplb_model.check import check
from eplb_model.format.document import dump
from eplb_model.format.statements import KINDS, arguments_of
from eplb_model.format.writing import scenario_document
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Condition, Expression
from eplb_model.ops.marks import UNRECORDED
from eplb_model.scenario import Scenario
from eplb_model.strategies import scenarios
from eplb_model.vector import load, parse

FLAGSHIP = "coop_vs_nccl_opposite_order"
HERE = Path(__file__).name


# --- the vocabulary ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_is_a_method_that_takes_what_a_vector_may_give_it(kind):
    method = getattr(Thread, method_name(kind))

    takes = list(inspect.signature(method).parameters)[1:]
    assert takes == [each.name for each in arguments_of(OPERATIONS[kind])]
    assert method.__doc__ == OPERATIONS[kind].__doc__


def test_there_is_no_method_without_an_operation():
    public = {name for name in vars(Operations) if not name.startswith("_")}

    assert public == {method_name(kind) for kind in KINDS}


def test_the_committed_stub_is_the_one_of_the_registry():
    assert STUB.read_text("utf-8") == stub_text()


def test_blocks_and_operations_have_different_names():
    blocks = {"repeat", "forever", "if_", "else_", "try_", "except_", "append"}

    assert blocks <= set(dir(Thread))
    assert not blocks & {method_name(kind) for kind in KINDS}


# --- the same vectors --------------------------------------------------------------------------


def rebuilt(scenario: Scenario) -> dict[str, Any]:
    """The document of a scenario, built again by the methods of the builder."""
    written: Any = scenario_document(scenario)
    build = Build(scenario.name, machine=scenario.machine.name, ranks=len(scenario.ranks))
    for name, group in written.get("groups", {}).items():
        build.group(name, group)
    for rank, plan in enumerate(scenario.ranks):
        role = build.rank(rank)
        for stream in plan.streams:
            more: Any = {"priority": stream.priority, "kind": stream.kind, "device": stream.device}
            role.stream(stream.name, **more)
        for name, value in written.get("initial", {}).get(role.name, {}).items():
            role.variable(name, value)
        for thread in plan.threads:
            with role.thread(thread.name, started=thread.started) as t:
                replay_block(t, written["programs"][f"{role.name}.{thread.name}"])
    return {**build.document(), "kernels": written.get("kernels", {})}


def replay_block(t: Thread, statements: list[Any]) -> None:
    for statement in statements:
        match statement:
            case {"repeat": times, "do": body, **rest}:
                with t.repeat(times, while_=comparison(rest.get("while"))):
                    replay_block(t, body)
            case {"forever": body, **rest}:
                with t.forever(while_=comparison(rest.get("while"))):
                    replay_block(t, body)
            case {"if": condition, "then": body}:
                with t.if_(some(condition)):
                    replay_block(t, body)
                if "else" in statement:
                    with t.else_():
                        replay_block(t, statement["else"])
            case {"try": body, "except": handler}:
                with t.try_():
                    replay_block(t, body)
                with t.except_():
                    replay_block(t, handler)
            case _:
                replay_operation(t, statement[0], statement[1:])


def replay_operation(t: Thread, kind: str, parts: list[Any]) -> None:
    arguments = {each.name: each for each in arguments_of(OPERATIONS[kind])}
    required = [each for each in arguments.values() if each.required]
    first = [of_python(each.hint, part) for each, part in zip(required, parts, strict=False)]
    rest: Mapping[str, Any] = parts[len(required)] if len(parts) > len(required) else {}
    named = {name: of_python(arguments[name].hint, part) for name, part in rest.items()}
    getattr(t, method_name(kind))(*first, **named)


def of_python(hint: object, part: Any) -> Any:
    if hint is Condition:
        return comparison(part)
    return value(part) if hint == Expression else part


def comparison(written: Any) -> Comparison | None:
    return None if written is None else some(written)


def some(written: Any) -> Comparison:
    left, operator, right = written
    return Comparison(value(left), operator, value(right))


def value(written: Any) -> Value:
    return Var(written["var"], written.get("plus", 0)) if isinstance(written, dict) else written


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(scenarios(forever=True))
def test_any_generated_scenario_can_be_built(scenario):
    again = parse(dump(rebuilt(scenario)), "built").scenario()

    assert (again.ranks, again.groups) == (scenario.ranks, scenario.groups)


def flagship() -> Build:
    """The flagship of the catalogue, written by hand."""
    build = Build("flagship", ranks=2)
    nccl_ctas = build.parameter("nccl_ctas", 16, least=1, most=64)
    cluster = build.derived("cluster", "nccl_cluster", ctas=nccl_ctas, size=4)
    moe = build.kernel("moe", ctas=132, cooperative=True, meets="all", grain="first")
    exchange = build.kernel(
        "exchange", ctas=nccl_ctas, cluster=cluster, footprint="nccl", meets="all", grain="channel"
    )
    for rank in (0, 1):
        with build.rank(rank) as role:
            with role.thread("main") as t:
                if rank == 0:
                    t.await_resident(exchange)
                t.launch(moe, "compute")
                t.await_complete(moe)
                t.await_complete(exchange)
            with role.thread("eplb") as t:
                if rank == 1:
                    t.await_resident(moe)
                t.launch(exchange, "side")
                t.await_complete(moe)
                t.await_complete(exchange)
    build.expect("deadlock", when="every", steps=6)
    return build


def test_the_flagship_built_by_hand_is_the_one_of_the_catalogue():
    built, shipped = flagship().scenario(), load(FLAGSHIP).scenario()

    assert built.kernels == shipped.kernels
    assert [p.code for p in built.world.programs] == [p.code for p in shipped.world.programs]
    assert check(built).verdict == "deadlock"


def test_a_parameter_can_be_set_from_outside_and_a_formula_follows_it():
    scenario = flagship().scenario(nccl_ctas=6)

    assert (scenario.kernels["exchange"].ctas, scenario.kernels["exchange"].cluster) == (6, 1)
    assert scenario.expect is None


def test_a_written_file_is_read_by_the_loader(tmp_path):
    path = flagship().write(tmp_path / "flagship.json")

    assert load(path).scenario() == flagship().scenario()


def test_the_title_becomes_a_name():
    assert Build("my protocol: 2nd try!").document()["name"] == "my_protocol_2nd_try"


def test_claims_switches_groups_and_initial_values_are_the_sections_of_a_vector():
    build = Build("claims", machine="tiny", ranks=2, source=["S"], classes=["S1"])
    build.group("some", [1, 0])
    build.switch("packing", "worst")
    build.forbid(UNRECORDED)
    with build.every_rank() as role, role.thread("main") as t:
        step = role.variable("step", 0)
        role.stream("side", priority=-1)
        t.all_reduce("some", step + 1, "sum")
        t.put(step, 3)
        t.put("done", step)
    build.always(step <= 3, "steps are few")
    build.at_end(step == 3, "the last step is done", on=0)
    build.agree("sum", "done", "ranks agree")

    found = build.document()
    assert {key: found[key] for key in ("groups", "switches", "forbid", "initial", "streams")} == {
        "groups": {"some": [1, 0]},
        "switches": {"packing": "worst"},
        "forbid": [UNRECORDED],
        "initial": {"*": {"step": 0}},
        "streams": [{"name": "side", "priority": -1, "kind": "nonblocking", "device": 0}],
    }
    assert [sorted(each) for each in found["claims"]] == [
        ["always", "sentence"],
        ["at_end", "on", "sentence"],
        ["agree", "sentence", "when"],
    ]
    assert check(build.scenario()).verdict == "ok"


def test_text_that_starts_with_a_dollar_is_text_and_a_parameter_is_its_value():
    build = Build("dollar", machine="tiny")
    which = build.parameter("which", "a")
    with build.rank(0) as role, role.thread("main") as t:
        t.put("x", "$which")
        t.put("y", which)
    build.at_end(Var("x") == "$which", "x is text")
    build.at_end(Var("y") == "a", "y is the parameter")

    assert isinstance(which, Parameter)
    assert check(build.scenario()).verdict == "ok"


# --- types -------------------------------------------------------------------------------------

TYPED = """
from eplb_model.build import Build, Var

build = Build("typed", machine="tiny", ranks=2)
moe = build.kernel("moe", ctas=1, meets="all")
with build.every_rank() as rank, rank.thread("main") as t:
    with t.repeat(2, while_=Var("x") < 3):
        t.launch(moe, "compute", reads=["a"], gil=True)
        t.all_reduce("world", Var("x") + 1, "x", reduction="max")
    t.stream_synchronize("compute")
build.scenario(ranks=3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ("", None),
        ("t.launch(moe)", 'Missing positional argument "stream"'),
        ("t.lauch(moe, 'compute')", 'has no attribute "lauch"'),
        ("t.launch(moe, 'compute', gil=1)", 'Argument "gil"'),
        ("t.copy('up', 'compute')", 'Argument 1 to "copy"'),
        ("t.assert_(True)", 'Argument 1 to "assert_"'),
    ],
)
def test_type_checkers_know_every_method(wrong, reported, tmp_path):
    pytest.importorskip("mypy", reason="needs mypy: pip install -e '.[dev]'")
    (tmp_path / "protocol.py").write_text(f"{TYPED}{wrong}\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "protocol.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    if reported is None:
        assert done.returncode == 0, done.stdout
    else:
        assert reported in done.stdout
