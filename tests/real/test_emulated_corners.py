"""Corners that generated programs seldom reach, step by step against the model."""

from dataclasses import replace

import pytest

from eplb_model.scenario import Scenario
from eplb_model.world import Meets, Stream
from tests.cases import TINY, gang, kernel, launch, op, rank, scenario, spinner
from tests.real.lockstep import random_walk


def channels(name: str, ctas: int, with_: str, rounds=(), **more):
    return kernel(name, ctas, meets=Meets("channel", (1, 2), (1, 2), with_), rounds=rounds, **more)


def a_clustered_waiter_and_a_gang() -> Scenario:
    machine = TINY.with_switch("clustered_waiter_blocks_gangs", "on")
    body = [launch("spinner", "a"), launch("pair", "b"), launch("gang", "c"), op("set", "go")]
    kernels = [spinner(3), kernel("pair", 2, cluster=2), gang("gang", 1)]
    return scenario(rank(body, streams=("a", "b", "c")), kernels=kernels, machine=machine)


def kernels_that_slip_in() -> Scenario:
    machine = TINY.with_switch("slip_in", "on")
    body = [launch("spinner", "a"), launch("x", "b"), launch("y", "c"), op("set", "go")]
    kernels = [spinner(4), kernel("x", 3, ends="each"), kernel("y", 3, ends="each")]
    return scenario(rank(body, streams=("a", "b", "c")), kernels=kernels, machine=machine)


def channels_in_opposed_orders() -> Scenario:
    machine = TINY.with_switch("cta_order", "opposed")
    ranks = [rank([launch("spinner", "a"), launch("x", "b"), op("set", "go")])] * 2
    meets = Meets("channel", (1,), (1,), "x")
    kernels = [spinner(2), kernel("x", 4, meets=meets, rounds=((0,), (1,), (1,), (0, 1)))]
    return scenario(*ranks, kernels=kernels, machine=machine)


def channels_that_the_peer_does_not_have() -> Scenario:
    ranks = [rank([launch("x", "a"), launch("y", "b")])] * 2
    meets = Meets("channel", (1,), (1,), "y")
    kernels = [kernel("x", 2, meets=meets, rounds=((1,), (0, 1)), ends="each"), kernel("y", 1)]
    machine = TINY.with_switch("cta_order", "opposed")
    return scenario(*ranks, kernels=kernels, machine=machine)


def channels_that_end_together() -> Scenario:
    one, other = rank([launch("x", "a")]), rank([launch("spinner", "b"), launch("x", "a")])
    later = rank([launch("spinner", "b"), launch("x", "a"), op("set", "go")])
    rounds = ((1,), (2,), (1, 2), (1,))
    return scenario(one, other, later, kernels=[spinner(2), channels("x", 4, "x", rounds)])


def urgent_kernels_behind_a_gang_that_fits() -> Scenario:
    streams = ("a", "b", Stream("c", -1), Stream("d", -1))
    body = [launch("spinner", "a"), launch("pair", "d"), launch("gang", "b"), launch("y", "c")]
    kernels = [spinner(2), kernel("pair", 3, ends="each"), gang("gang", 2), kernel("y", 2)]
    return scenario(rank([*body, op("set", "go")], streams=streams), kernels=kernels)


def a_record_held_back_between_its_steps() -> Scenario:
    filling = [launch("spinner", "a"), launch("spinner", "a"), op("set", "go")]
    recording = [op("cpu_gpu_event_record", "ready", "b")]
    machine = replace(TINY, queue_depth=1)
    return scenario(rank(filling, recording), kernels=[spinner(1)], machine=machine)


def an_event_replaced_between_a1_and_a2() -> Scenario:
    record, wait = (op(f"cpu_gpu_event_{what}", "ready", "b") for what in ("record", "wait"))
    recorded_and_done = [op("record_event", "e", "a"), op("stream_wait_event", "b", "e")]
    bodies = ([*recorded_and_done, record, launch("k", "b"), record], [wait], [wait])
    return scenario(rank(*bodies), kernels=[kernel("k")])


CORNERS = (
    a_record_held_back_between_its_steps,
    an_event_replaced_between_a1_and_a2,
    a_clustered_waiter_and_a_gang,
    kernels_that_slip_in,
    channels_in_opposed_orders,
    channels_that_the_peer_does_not_have,
    channels_that_end_together,
    urgent_kernels_behind_a_gang_that_fits,
)


@pytest.mark.parametrize("corner", CORNERS, ids=[corner.__name__ for corner in CORNERS])
def test_a_corner_agrees_step_by_step(corner):
    for seed in range(20):
        random_walk(corner(), seed)
