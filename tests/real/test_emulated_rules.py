"""Every rule of streams, distributor, meetings and locks that the battery pins, on real threads.

A case of the battery names its rule and, in its answer, every way in which its runs end.
"""

import re

import pytest

from eplb_real.emulated.calls import TABLE
from tests.battery import CASES
from tests.real.free_run import run
from tests.real.lockstep import random_walk

WITHOUT_A_DEVICE = {"put"}  # and without consequences for who moves
KINDS = {
    name: {op.kind for program in case.scenario.world.programs for op in program.code}
    for name, case in CASES.items()
}


def is_for_devices(name: str) -> bool:
    """Whether threads only call their device, and nothing but that decides how runs end."""
    programs = CASES[name].scenario.world.programs
    return KINDS[name] <= set(TABLE) | WITHOUT_A_DEVICE and all(
        program.started for program in programs
    )


def ends_of(answer: str) -> set[str]:
    """`5 states: 1 ok x=2, 1 deadlock 0.a` has the ends `ok` and `deadlock 0.a`."""
    ends = answer.partition(": ")[2].split(", ")
    return {re.sub(r"^\d+ | x=.*$", "", end) for end in ends}


@pytest.mark.parametrize("name", [name for name in CASES if is_for_devices(name)])
def test_a_case_of_the_battery_ends_as_it_says_on_real_threads(name):
    case = CASES[name]
    ends = ends_of(case.answer)

    outcome = run(case.scenario)

    left = " ".join(each.actor for each in outcome.standing)
    if any(error.startswith("Misuse") for error in outcome.errors):
        assert "misuse" in ends  # the model looks no further
    elif outcome.completed:
        assert ends & {"ok", "race"}
    else:
        assert f"deadlock {left}" in ends


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_battery_agrees_step_by_step(name):
    for seed in range(8):
        random_walk(CASES[name].scenario, seed)
