"""The generator reaches the whole vocabulary: each operation occurs, runs, and blocks if it can."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from eplb_model.explore.search import Bounds, explore
from eplb_model.machine import MACHINES
from eplb_model.ops import OPERATIONS, STREAM_OPERATIONS
from eplb_model.outcome import Wait
from eplb_model.scenario import Scenario
from eplb_model.step import options, step
from eplb_model.strategies import Sizes, scenarios
from eplb_model.world import HostOperation

# These never wait, whatever the state: their guards say nothing.
NEVER_BLOCK = frozenset(
    {
        *("group_boundary", "group_start", "set_device", "set_stream"),
        *("access", "assert", "branch", "clear", "die", "event_query", "is_set", "put", "raise"),
        *(
            "irecv",
            "record_stream",
            "isend",
            "read",
            "release",
            "set",
            "start",
            "stream_query",
            "stream_wait_event",
            "take",
            "test",
        ),
        "try_acquire",
    }
)
# What helps an operation to block: somebody else holds something, or does not come.
HELPERS = ("launch", "launch", "free", "memset")
# What an operation needs to get on, besides these.
PARTNERS = {
    "wait_reads": ("read",),
    "wait_flag": ("set",),
    "cpu_gpu_event_wait": ("cpu_gpu_event_record",),
    "group_end": ("group_start", "group_start"),
}
# Which operation puts each kind of work on a stream.
PUT_BY = {
    "await": "stream_wait_event",
    "record": "record_event",
    "remote_read": "read",
    "run_kernel": "launch",
    "transfer": "copy",
}
SHORT_QUEUE = replace(MACHINES["tiny"], queue_depth=1)
SMALL = Sizes(ranks=2, statements=5)

first_found = settings(
    max_examples=1_000,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)


def some(kind: str, scenario_holds, effort: settings = first_found) -> Scenario:
    """A generated scenario with this operation among few others; `find` raises if there is none."""
    pool = scenarios(SMALL, machine=SHORT_QUEUE, kinds=written(kind))
    return find(pool, scenario_holds, settings=effort, random=Random(0))


def written(kind: str) -> tuple[str, ...]:
    own = () if kind == "branch" else (kind, kind, kind)
    return (*own, *PARTNERS.get(kind, ()), *HELPERS)


def visited(scenario: Scenario) -> Iterator[tuple[HostOperation, Wait | None]]:
    """The operations that host threads stand at in the first states, and what these wait for."""
    for state in explore(scenario.world, bounds=Bounds(max_states=60)).states:
        for (actor, _), wait in options(state):
            if not actor.is_stream:
                thread = state.threads[actor.slot]
                yield scenario.world.programs[actor.slot].code[thread.pc], wait


def runs_to_its_end(scenario: Scenario, kind: str) -> bool:
    """Whether some step of this operation is its last one."""
    for state in explore(scenario.world, bounds=Bounds(max_states=60)).states:
        for action, wait in options(state):
            if action.actor.is_stream or wait is not None:
                continue
            before = state.threads[action.actor.slot]
            op = scenario.world.programs[action.actor.slot].code[before.pc]
            after = step(state, action).threads[action.actor.slot]
            if op.kind == kind and (after.pc, after.status) != (before.pc, before.status):
                return True
    return False


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_a_generated_scenario_runs_the_operation_to_its_end(kind):
    some(kind, lambda scenario: runs_to_its_end(scenario, kind))


@pytest.mark.parametrize("kind", sorted(OPERATIONS.keys() - NEVER_BLOCK))
def test_a_generated_scenario_blocks_in_the_operation(kind):
    some(kind, lambda s: any(op.kind == kind and wait for op, wait in visited(s)))


@pytest.mark.parametrize("kind", sorted(NEVER_BLOCK))
def test_the_operation_waits_for_the_interpreter_lock_at_most(kind):
    def waits(scenario: Scenario) -> bool:
        return any(
            op.kind == kind and wait and wait.why != "needs the interpreter lock"
            for op, wait in visited(scenario)
        )

    few = settings(first_found, max_examples=10)
    with pytest.raises(NoSuchExample):
        some(kind, waits, few)


@pytest.mark.parametrize("kind", sorted(STREAM_OPERATIONS))
def test_generated_scenarios_put_the_work_on_streams(kind):
    def on_a_stream(scenario: Scenario) -> bool:
        states = explore(scenario.world, bounds=Bounds(max_states=60)).states
        return any(
            item.work.kind == kind
            for state in states
            for device in state.devices
            for queue in device.queues
            for item in queue
        )

    some(PUT_BY[kind], on_a_stream)
