"""What is performed for real is said once, and holds for every driver; the rest has a name."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from typing import Any, ClassVar

import pytest

from eplb_model.claims import Stated
from eplb_model.ops import OPERATIONS as VOCABULARY
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.registry import HostStep
from eplb_model.scenario import RankPlan, Scenario, ThreadPlan
from eplb_model.vector import load
from eplb_model.world import Stream
from eplb_real.drivers.registry import DRIVERS
from eplb_real.emulated.calls import TABLE
from eplb_real.operations import OPERATIONS as HOST
from eplb_real.performed import OPERATIONS, SURROUNDINGS, not_performed
from eplb_real.runner import Wish, refusals

# The emulated device knows buffers by name; it has no blocks that tensors share.
DECLINED = {"alloc", "drop", "read", "record_stream", "wait_reads"}


def _running(*body: Any) -> Scenario:
    one = load("grid_too_large").scenario()
    return replace(one, ranks=(RankPlan((ThreadPlan("main", body),), (Stream("a"),)),))


def test_every_operation_is_performed_or_declined_by_name():
    assert set(VOCABULARY) - set(OPERATIONS) == DECLINED


def test_what_is_said_to_be_performed_is_what_somebody_performs():
    assert set(OPERATIONS) == {"branch", *TABLE, *HOST}


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_a_field_that_is_said_to_be_performed_is_there(kind):
    assert OPERATIONS[kind] <= {each.name for each in fields(VOCABULARY[kind])}


def test_the_surroundings_that_are_performed_are_there():
    one = load("crossed_communicators").scenario()
    kernel = next(iter(one.kernels.values()))
    there: dict[str, Any] = {
        "a scenario": one,
        "a rank": one.ranks[0],
        "a stream": one.ranks[0].streams[0],
        "a kernel": kernel,
        "a meeting": kernel.meets,
    }

    assert there.keys() == SURROUNDINGS.keys()
    assert all(
        SURROUNDINGS[what] <= {each.name for each in fields(value)} for what, value in there.items()
    )


def test_an_operation_that_nobody_knows_yet_is_refused():
    @dataclass(frozen=True)
    class Levitate(HostStep):
        kind: ClassVar[str] = "levitate"

    assert not_performed(_running(Levitate())) == ["operation levitate"]


@pytest.mark.parametrize(("value", "reasons"), [(0, []), (1, ["weight of malloc"])])
def test_a_field_that_nobody_knows_yet_is_refused_unless_it_asks_for_nothing(value, reasons):
    fresh = make_dataclass(
        "Malloc", [("weight", int, 0)], bases=(HostStep,), namespace={"kind": "malloc"}
    )

    assert not_performed(_running(fresh(value))) == reasons


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("crossed_communicators", []),
        ("freed_block_reused_in_flight", ["operation alloc", "operation drop"]),
        ("votes_out_of_step", []),
    ],
)
def test_what_is_not_performed_has_a_name(name, reasons):
    assert not_performed(load(name).scenario()) == reasons


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_every_driver_declines_what_is_not_performed(driver):
    found = refusals(load("freed_block_reused_in_flight").scenario(), DRIVERS[driver])

    assert {
        "no driver here performs operation alloc",
        "no driver here performs operation drop",
    } <= set(found)


def test_members_that_do_not_agree_raise_for_everybody(threads):
    (replayed,) = threads.scenario(load("votes_out_of_step").scenario(), Wish(runs=1))

    assert replayed.answer == "agrees", replayed.why
    assert {line["family"] for line in replayed.runs[0].exceptions} == {"violation"}


@pytest.mark.parametrize("name", ["group_end_blocks_in_launch", "unrecorded_wait_forbidden"])
def test_a_vector_on_what_the_device_got_last_agrees_with_the_model(threads, name):
    (replayed,) = threads.scenario(load(name).scenario(), Wish(runs=1))

    assert replayed.answer == "agrees", replayed.why


def test_what_goes_wrong_as_a_claim_is_declined(threads):
    one = _running(VOCABULARY["put"]("x", Value(2)))
    claim = Stated("at_end", Condition(Variable("x"), "==", Value(1)), "x ends as one")
    (replayed,) = threads.scenario(replace(one, claims=(claim,)), Wish(runs=1))

    assert (replayed.answer, replayed.why) == (
        "declined",
        "what goes wrong is a claim, which no driver looks at",
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing_is_ever_asked", "what goes wrong is a claim, which no driver looks at"),
        (
            "request_never_received",
            "what goes wrong is a request that is left over, which raises nothing",
        ),
    ],
)
def test_what_goes_wrong_without_an_error_is_declined(threads, name, why):
    (replayed,) = threads.scenario(load(name).scenario(), Wish(runs=1))

    assert (replayed.answer, replayed.why) == ("declined", why)
