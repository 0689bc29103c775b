"""Generated programs on real threads: freely and by its schedule, the model has every run.

The examples are derandomised: their seed is the test itself (profile `ci`).
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from eplb_model.check import Search, check
from eplb_model.strategies import scenarios
from eplb_real.runner import Wish
from tests.generated import TINY, machines, often
from tests.real.performed_programs import KINDS, performed

MOST = 2_000  # states: what the model can be asked in a moment


@pytest.mark.slow
@given(
    scenario=machines()
    .flatmap(lambda each: scenarios(TINY, machine=each, kinds=KINDS))
    .map(performed)
)
@settings(often, max_examples=200)
def test_the_model_has_every_run_of_a_generated_program(threads, scenario):
    report = check(scenario, Search(max_states=MOST))
    assume(report.verdict not in ("unknown", "may"))
    found = threads.scenario(scenario, Wish(runs=1))
    free = threads.scenario(scenario, Wish(runs=1, schedule=()))

    runs = (*found, *free)
    assume(all(each.answer != "declined" for each in runs))  # Hypothesis notices if it is too many

    for each in runs:
        assert each.answer == "agrees", (each.expected, each.why)
