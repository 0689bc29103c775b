"""The contract of the two-thread event, for one producer and one consumer, step by step.

Any interleaving of the atomic steps is drawn; after each the four guarantees are looked at.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eplb_model.ops.launch import Launch
from eplb_model.ops.two_thread_event import (
    CpuGpuEventRecord,
    CpuGpuEventWait,
    Holding,
    TwoThreadEvent,
)
from eplb_model.outcome import Action
from eplb_model.scenario import Repeat, Try
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from tests.small import kernel, rank, scenario

ROUNDS = 6
# A record that comes too early raises and is tried again; it must not have changed anything.
PRODUCES = Repeat(ROUNDS, (Launch("k", "a"), Try((CpuGpuEventRecord("e", "a"),), ())))
CONSUMES = Repeat(ROUNDS, (CpuGpuEventWait("e", "b"), Launch("k", "b")))
WORLD = scenario(rank([PRODUCES], [CONSUMES], streams=("a", "b")), kernels=[kernel("k")]).world
PRODUCER, CONSUMER = WORLD.threads


class TwoThreads(RuleBasedStateMachine):
    """One producer, one consumer, two streams; every enabled step may come next."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = initial(WORLD)
        self.records = 0
        self.waits = 0

    @precondition(lambda self: not enabled(self.state))
    @rule()
    def all_is_over_and_begins_again(self) -> None:
        self.state, self.records, self.waits = initial(WORLD), 0, 0

    @precondition(lambda self: bool(enabled(self.state)))
    @rule(number=st.integers(0, 3))
    def somebody_moves(self, number: int) -> None:
        """One step, with what it must and must not do."""
        actions = enabled(self.state)
        action = actions[number % len(actions)]
        before, at = self.event, self.holding(action)
        self.state = step(self.state, action)
        if action.actor == PRODUCER and at == "b4":
            self.records += 1
        if action.actor == CONSUMER and at == "a4":
            self.waits += 1
        if action.actor == PRODUCER and before.flag:
            assert self.event == before, "(iv) a record that is not consumed is never replaced"

    @property
    def event(self) -> TwoThreadEvent:
        value = self.state.read(0, "e")
        assert isinstance(value, TwoThreadEvent)
        return value

    def holding(self, action: Action) -> str:
        if action.actor.is_stream:
            return ""
        local = self.state.threads[action.actor.slot].local
        return local.step if isinstance(local, Holding) else ""

    @invariant()
    def the_flag_keeps_the_two_apart(self) -> None:
        producer, consumer = (self.holding(Action(each)) for each in (PRODUCER, CONSUMER))

        assert not (self.event.flag and producer in ("b2", "b3", "b4"))
        assert not (not self.event.flag and consumer in ("a2", "a3", "a4"))

    @invariant()
    def a_loaded_event_is_recorded(self) -> None:
        """(i) The stream never waits for an object that nobody recorded."""
        local = self.state.threads[CONSUMER.slot].local
        if isinstance(local, Holding) and local.step == "a3":
            assert self.event.mark(local.number) is not None

    @invariant()
    def one_wait_returns_for_each_record(self) -> None:
        """(iii) A wait in its last step has not returned yet."""
        assert self.records - self.waits in (0, 1)
        assert self.event.flag == (self.records > self.waits)

    @invariant()
    def only_the_current_object_and_a_loaded_one_are_kept(self) -> None:
        assert 1 <= len(self.event.objects) <= 2


TestTwoThreads = TwoThreads.TestCase
TestTwoThreads.settings = settings(max_examples=60, stateful_step_count=80)


def test_the_four_guarantees_are_looked_at_in_runs_that_get_somewhere():
    machine = TwoThreads()
    while enabled(machine.state) and machine.waits < 3:
        machine.somebody_moves(0)
        machine.the_flag_keeps_the_two_apart()
        machine.one_wait_returns_for_each_record()

    assert machine.records >= 1
