"""The emulated device and the model are two forms of one semantics: the same words, the same state.

What is compared after each step: what every stream holds, every mark, who arrived in which order,
every seat, which CTAs have ended, every lock, event, flag and module, which launches have ended,
and which steps may be taken next.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.scenario import Scenario
from eplb_model.step import enabled
from eplb_model.strategies import Sizes, scenarios, schedules
from eplb_model.vector import catalogue, load
from tests.generated import any_scenario, machines, often
from tests.real.lockstep import Lockstep

# More streams and bigger grids than searches could bear: only one run is followed.
WIDE = Sizes(ranks=3, threads=3, streams=4, statements=10, kernels=4, ctas=6, depth=2)


def follow_a_drawn_schedule(data, scenario: Scenario) -> None:
    lockstep = Lockstep(scenario.world)
    lockstep.compare()
    for action in data.draw(schedules(scenario, max_steps=120)):
        lockstep.take(action)
        lockstep.compare()


@settings(often, max_examples=40)
@given(st.data())
def test_emulated_agrees_with_the_model(data):
    follow_a_drawn_schedule(data, data.draw(any_scenario))


@pytest.mark.slow
@settings(often, max_examples=400)
@given(st.data())
def test_emulated_agrees_with_the_model_in_wider_scenarios(data):
    wide = machines().flatmap(lambda machine: scenarios(WIDE, machine=machine, forever=True))
    follow_a_drawn_schedule(data, data.draw(wide))


@pytest.mark.slow
@pytest.mark.parametrize("name", [file.name for file in catalogue()])
def test_emulated_agrees_with_the_model_on_every_vector(name):
    """Random runs of at most 150 steps; a setting that stands for several is tried as the first."""
    for seed in range(3):
        scenario = load(name).scenario({})
        for switch, settings_of_it in scenario.machine.settings():
            scenario = scenario.on(scenario.machine.with_switch(switch, settings_of_it[0]))
        chooser = random.Random(seed)
        lockstep = Lockstep(scenario.world)
        for _ in range(150):
            actions = enabled(lockstep.state)
            if not actions:
                break
            lockstep.take(chooser.choice(actions))
            lockstep.compare()
