"""The catalogue keeps its word: every vector answers what it says, by default and in every case.

Rules:
- `states` counts what the plain and the settled search visit; what else is said holds for both,
  except the way to a finding: only the plain search promises a shortest one.
- Verdict, when and serialised are always said; who waits may be left out of a case.
- A case of which a search looks at thousands of states is marked slow for that search.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import pytest

from eplb_model.check import Search, check, machines
from eplb_model.explore.search import explore
from eplb_model.explore.settle import Settling
from eplb_model.ops import OPERATIONS
from eplb_model.outcome import Report
from eplb_model.scenario import Expectation, Scenario
from eplb_model.state import State
from eplb_model.vector import VectorFile, catalogue
from tests.test_vocabulary import NEVER_BLOCK

MANY = 2_000  # states: more take too long for every run
TOO_MANY = 3_000  # settled states: nobody asks for a plain search there
FEW = 300  # states, in each of which every guard is asked
CATALOGUE = {vector.name: vector for vector in catalogue()}
TWINS = [vector for vector in CATALOGUE.values() if "fixes" in vector.document]


@dataclass(frozen=True)
class Case:
    """What a vector expects under some settings."""

    vector: VectorFile
    settings: Mapping[str, object]
    expect: Expectation

    @property
    def scenario(self) -> Scenario:
        return self.vector.scenario(self.settings)

    def takes_long(self, search: str) -> bool:
        values = self.scenario.parameters
        fills_a_stream = self.vector.name == "launch_queue_depth" and values["machine"] == "h200"
        return fills_a_stream or self.expect.states.get(search, 0) > MANY

    def __str__(self) -> str:
        return "-".join([self.vector.name, *(f"{k}={v}" for k, v in self.settings.items())])


CASES = [
    Case(vector, settings, expect)
    for vector in CATALOGUE.values()
    for settings, expect in vector.cases()
]


def parametrised(search: str) -> list[object]:
    return [
        pytest.param(
            case, id=str(case), marks=[pytest.mark.slow] if case.takes_long(search) else []
        )
        for case in CASES
        if search in case.expect.states
    ]


@pytest.mark.parametrize("case", parametrised("settled"))
def test_a_settled_search_answers_what_the_vector_says(case):
    report = check(case.scenario, Search(fast=False))
    got, wanted = answered(case.expect, report), said(case.expect)

    assert counted(got) == counted(wanted)
    assert got == wanted or "plain" in case.expect.states
    assert report.states == case.expect.states["settled"]


@pytest.mark.parametrize("case", parametrised("plain"))
def test_a_plain_search_answers_what_the_vector_says(case):
    report = check(case.scenario, Search(settle=False))

    assert answered(case.expect, report) == said(case.expect)
    assert report.states == case.expect.states["plain"]
    assert case.expect.steps is None or steps_of(report) == case.expect.steps


def said(expect: Expectation) -> dict[str, object]:
    always = {"verdict": expect.verdict, "when": expect.when, "serialised": expect.serialised}
    return {**always, "waiting": expect.waiting, "circle": expect.circle}


def counted(answer: dict[str, object]) -> dict[str, object]:
    """Only how many wait: of several nearest deadlocks, another one may be met first."""
    return {key: len(x) if isinstance(x, tuple) else x for key, x in answer.items()}


def answered(expect: Expectation, report: Report) -> dict[str, object]:
    """The same of a report, as far as the vector says anything."""
    finding = report.finding
    waiting = tuple(str(each.actor) for each in finding.waiting) if finding else ()
    circle = tuple(map(str, finding.circle)) if finding else ()
    return {
        "verdict": report.verdict,
        "when": report.when,
        "serialised": report.serialised,
        "waiting": None if expect.waiting is None else waiting,
        "circle": None if expect.circle is None else circle,
    }


def steps_of(report: Report) -> int | None:
    return None if report.finding is None else len(report.finding.schedule)


@pytest.mark.parametrize("vector", CATALOGUE.values(), ids=CATALOGUE)
def test_a_vector_says_where_it_is_from_and_counts_its_states(vector):
    assert vector.path.stem == vector.name
    assert vector.document["source"]
    assert all("settled" in expect.states for _, expect in vector.cases())
    counted = vector.cases()[0][1].states
    assert "plain" in counted or counted["settled"] > TOO_MANY


@pytest.mark.parametrize("twin", TWINS, ids=[twin.name for twin in TWINS])
def test_a_fixed_twin_holds_where_its_original_does_not(twin):
    original = CATALOGUE[str(twin.document["fixes"])]

    assert twin.cases()[0][1].verdict == "ok"
    assert original.cases()[0][1].verdict != "ok"


# --- the vocabulary ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_an_operation_occurs_in_a_vector(kind):
    assert kind in kinds_written()


@pytest.mark.parametrize("kind", sorted(set(OPERATIONS) - NEVER_BLOCK))
def test_an_operation_that_can_block_does_so_in_a_vector(kind):
    assert kind in kinds_that_block()


@cache
def kinds_written() -> frozenset[str]:
    worlds = [case.scenario.world for case in CASES]
    return frozenset(op.kind for world in worlds for each in world.programs for op in each.code)


@cache
def kinds_that_block() -> frozenset[str]:
    """The operations at which a thread waits in some state of some small vector."""
    small = [case for case in CASES if case.expect.states.get("settled", FEW) < FEW]
    return frozenset(kind for case in small for kind in waits_of(case.scenario))


def waits_of(scenario: Scenario) -> Iterator[str]:
    for machine in machines(scenario):
        world = scenario.on(machine).world
        for state in explore(world, reduction=Settling(world)).states:
            yield from waits_in(state)


def waits_in(state: State) -> Iterator[str]:
    for me in state.world.threads:
        thread = state.thread(me)
        if thread.status == "running":
            op = state.world.programs[me.slot].code[thread.pc]
            if op.guard(state, me) is not None:
                yield op.kind
