"""Implementations that are broken on purpose are caught, and the message names the step.

Each leaves out one thing that the protocol needs; what they do for real is then held against the
protocol as it should be.
"""

from __future__ import annotations

import pytest

from eplb_model.trace import phrase
from eplb_model.vector import load
from eplb_model.without import without
from eplb_real.runner import judge


def _where(scenario, thread, *words):
    """An operation of a thread, as `show` prints it."""
    program = next(each for each in scenario.world.programs if each.name == thread)
    return next(
        f"{thread}: {phrase(op)}"
        for op in program.code
        if all(word in phrase(op) for word in words)
    )


@pytest.mark.parametrize(
    ("vector", "settings", "thread", "words", "named"),
    [
        ("wait_gated_by_cpu_flag", {}, "consumer", ("wait_flag",), "wait_flag"),
        ("async_eplb_small", {"moved": "swap"}, "worker", ("copy d2h", "writes sent"), "copy d2h"),
        ("async_eplb_small", {}, "worker", ("stream_synchronize side",), "stream_synchronize"),
    ],
    ids=["event without its flag", "gloo without its synchronise", "published before it is there"],
)
def test_a_broken_implementation_is_caught_and_the_step_is_named(
    on_threads, vector, settings, thread, words, named
):
    pytest.importorskip("torch", reason="the library's CpuGpuEvent needs torch")
    right = load(vector).scenario(settings)
    broken, removed = without(right, _where(right, thread, *words))

    found = judge(right, on_threads(broken))

    assert removed > 0
    assert found.holds is False
    assert named in found.message
