"""The emulated device and the model are two forms of one semantics: the same words, the same state.

What is compared after each step: what every stream holds, every mark, who arrived in which order,
every seat, which CTAs have ended, every lock, event, flag and module, which launches have ended,
and which steps may be taken next.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eplb_model.machine import MACHINES, SETTINGS, Machine
from eplb_model.scenario import Scenario
from eplb_model.strategies import Sizes, scenarios
from eplb_model.vector import catalogue, load
from eplb_real.performed import not_performed
from tests.generated import machines, often
from tests.real.lockstep import random_walk
from tests.real.performed_programs import KINDS, performed

# More streams and bigger grids than searches could bear: only one run is followed.
WIDE = Sizes(ranks=3, threads=3, streams=4, statements=10, kernels=4, ctas=6, depth=2)
FULL = Sizes(ranks=3, threads=2, streams=4, statements=14, kernels=4, ctas=6, depth=0)
DEVICE_KINDS = (*("launch",) * 12, "memset", "copy", "set", "record_event", "stream_wait_event")

SEEDS = st.integers(0, 2**32)
ANY = machines().flatmap(lambda each: scenarios(machine=each, kinds=KINDS)).map(performed)
WIDER = machines().flatmap(lambda each: scenarios(WIDE, machine=each, forever=True, kinds=KINDS))
UNUSUAL = [(switch, each) for switch, (_, *others) in SETTINGS.items() for each in others]
VECTORS = [file.name for file in catalogue() if not not_performed(load(file.name).scenario())]


@st.composite
def full_devices(draw, machine: Machine | None = None) -> Scenario:
    """Hardly anything but kernels, with meetings and ends in every combination."""
    scenario: Scenario = draw(
        scenarios(FULL, machine=machine or draw(machines()), kinds=DEVICE_KINDS)
    )
    names = tuple(scenario.kernels)
    kernels = {}
    for name, kernel in scenario.kernels.items():
        meets = kernel.meets
        if meets is not None and draw(st.booleans()):  # also channels that the peer does not have
            meets = replace(meets, kernel=draw(st.sampled_from(names)))
        ends = draw(st.sampled_from(("each", "together")))
        kernels[name] = replace(kernel, meets=meets, ends=ends, until=None)
    return performed(replace(scenario, kernels=kernels))


@settings(often, max_examples=20)
@given(ANY, SEEDS)
def test_emulated_agrees_with_the_model(scenario, seed):
    random_walk(scenario, seed)


@settings(often, max_examples=30)
@given(full_devices(), SEEDS)
def test_emulated_agrees_with_the_model_where_kernels_compete(scenario, seed):
    random_walk(scenario, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("switch", "setting"), UNUSUAL)
def test_emulated_agrees_with_the_model_under_every_setting(switch, setting):
    machine = MACHINES["tiny"].with_switch(switch, setting)

    @settings(often, derandomize=True, max_examples=60, database=None)
    @given(full_devices(machine), SEEDS)
    def agree(scenario, seed):
        random_walk(scenario, seed)

    agree()


@pytest.mark.slow
@settings(often, max_examples=400)
@given(WIDER.map(performed), SEEDS)
def test_emulated_agrees_with_the_model_in_wider_scenarios(scenario, seed):
    random_walk(scenario, seed)


@pytest.mark.slow
@settings(often, max_examples=200)
@given(ANY, SEEDS)
def test_emulated_agrees_with_the_model_often(scenario, seed):
    random_walk(scenario, seed)


@pytest.mark.slow
@settings(often, max_examples=200)
@given(full_devices(), SEEDS)
def test_emulated_agrees_with_the_model_often_where_kernels_compete(scenario, seed):
    random_walk(scenario, seed)


def test_most_vectors_are_performed():
    assert len(VECTORS) * 4 > len(catalogue()) * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS)
def test_emulated_agrees_with_the_model_on_every_vector(name):
    """Random runs of at most 150 steps; a setting that stands for several is tried as the first."""
    for seed in range(3):
        scenario = load(name).scenario({})
        for switch, settings_of_it in scenario.machine.settings():
            scenario = scenario.on(scenario.machine.with_switch(switch, settings_of_it[0]))
        random_walk(scenario, seed)
