"""Every rule of streams, distributor, meetings and locks that the battery pins, on real threads.

A case of the battery names its rule and, in its answer, every way in which its runs end.
"""

import re

import pytest

from eplb_real.emulated.calls import TABLE
from eplb_real.performed import not_performed
from tests.battery import CASES
from tests.real.free_run import run
from tests.real.lockstep import random_walk

WITHOUT_A_DEVICE = {"put"}  # and without consequences for who moves
KINDS = {
    name: {op.kind for program in case.scenario.world.programs for op in program.code}
    for name, case in CASES.items()
}


PERFORMED = [name for name, case in CASES.items() if not not_performed(case.scenario)]


def is_for_devices(name: str) -> bool:
    """Whether threads only call their device, and nothing but that decides how runs end."""
    world = CASES[name].scenario.world
    only_calls = KINDS[name] <= set(TABLE) | WITHOUT_A_DEVICE
    return only_calls and not world.claims and all(each.started for each in world.programs)


FOR_DEVICES = [name for name in PERFORMED if is_for_devices(name)]


def test_the_battery_has_cases_that_are_performed():
    assert len(PERFORMED) * 4 > len(CASES) * 3
    assert len(FOR_DEVICES) * 2 > len(CASES)


def ends_of(answer: str) -> set[str]:
    """`5 states: 1 ok x=2, 1 deadlock 0.a` has the ends `ok` and `deadlock 0.a`."""
    ends = answer.partition(": ")[2].split(", ")
    return {re.sub(r"^\d+ | x=.*$", "", end) for end in ends}


@pytest.mark.parametrize("name", FOR_DEVICES)
def test_a_case_of_the_battery_ends_as_it_says_on_real_threads(name):
    case = CASES[name]
    ends = ends_of(case.answer)

    outcome = run(case.scenario)

    left = " ".join(each.actor for each in outcome.standing)
    errors = {error.partition(" ")[0].lower() for error in outcome.errors} - {"deviceaborted"}
    if errors:
        assert errors & ends  # the model looks no further
    elif outcome.completed:
        assert ends & {"ok", "race"}
    else:
        assert f"deadlock {left}" in ends


@pytest.mark.parametrize("name", PERFORMED)
def test_a_case_of_the_battery_agrees_step_by_step(name):
    for seed in range(8):
        random_walk(CASES[name].scenario, seed)
