"""A communicator as a state machine: add, execute, fail, reuse; clean after any error."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eplb_real.communicators.pynccl import PyNcclEplbCommunicator

RANKS = 3


class Wire:
    """An NCCL communicator that writes down what it is told, and fails at a chosen operation."""

    available, disabled, rank, world_size = True, False, 0, RANKS

    def __init__(self) -> None:
        self.depth = 0
        self.told: list[tuple[str, int, int]] = []
        self.fails_at: int | None = None

    def group_start(self) -> None:
        self.depth += 1

    def group_end(self) -> None:
        assert self.depth == 1, "ends a group that was never started"
        self.depth -= 1

    def send(self, tensor: torch.Tensor, dst: int, stream: object = None) -> None:
        self._tell("send", dst, tensor)

    def recv(self, tensor: torch.Tensor, src: int, stream: object = None) -> None:
        self._tell("recv", src, tensor)

    def _tell(self, what: str, peer: int, tensor: torch.Tensor) -> None:
        assert self.depth == 1, "an operation outside of a group"
        if self.fails_at == len(self.told):
            raise RuntimeError("the wire is cut")
        self.told.append((what, peer, int(tensor[0])))


class Reuse(RuleBasedStateMachine):
    """The communicator beside the list of what was added since it was last empty."""

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire()
        self.communicator = PyNcclEplbCommunicator(self.wire)
        self.added: list[tuple[str, int, int]] = []
        self.number = 0

    def _row(self) -> torch.Tensor:
        self.number += 1
        return torch.tensor([self.number])

    @rule(peer=st.integers(1, RANKS - 1))
    def add_send(self, peer: int) -> None:
        self.communicator.add_send(self._row(), peer)
        self.added.append(("send", peer, self.number))

    @rule(peer=st.integers(1, RANKS - 1))
    def add_recv(self, peer: int) -> None:
        self.communicator.add_recv(self._row(), peer)
        self.added.append(("recv", peer, self.number))

    @rule(peer=st.sampled_from([0, RANKS, -1]))
    def add_a_peer_that_is_none(self, peer: int) -> None:
        with pytest.raises(ValueError, match=r"peer|rank"):
            self.communicator.add_send(self._row(), peer)
        self.added = []

    @rule()
    def execute(self) -> None:
        self.communicator.execute()

        assert self.wire.told == self.added
        self.wire.told, self.added = [], []

    @rule(at=st.integers(0, 3))
    def fail(self, at: int) -> None:
        if at >= len(self.added):
            return
        self.wire.fails_at = at
        with pytest.raises(RuntimeError, match="the wire is cut"):
            self.communicator.execute()
        self.wire.fails_at, self.wire.told, self.added = None, [], []

    @invariant()
    def no_group_is_open(self) -> None:
        assert self.wire.depth == 0


TestReuse = Reuse.TestCase
TestReuse.settings = settings(max_examples=60, stateful_step_count=20)
