"""One process per rank: hosts meet through gloo, the device is emulated in each process.

Rules:
- Every group of the scenario is a gloo group of its own, made by all ranks in one order.
- gloo pairs the n-th call on a group with the n-th, whatever they are; where the model finds that
  different collectives pair, gloo may hang or mix up data, so such a scenario is declined.
- Nor does it look whether members agree: a scenario in which they don't is declined.
- A value travels as JSON in a tensor of fixed size.  A received value is in its variable once gloo
  says so, a moment after the two requests met.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_model.world import World
from eplb_real.drivers.base import Driver, Ties

LETTER_BYTES = 256
PATIENCE = timedelta(days=1)  # a hang is for the runner to see, not for a time limit of gloo


class Work:
    """A ticket over what torch gives for an operation in flight."""

    def __init__(self, work: Any, answer: Callable[[], Any]) -> None:
        self._work = work
        self._answer = answer

    def wait(self) -> Any:
        """Wait for the operation; what it gave."""
        self._work.wait(PATIENCE)
        return self._answer()


class Letter:
    """A ticket for a receive: done once the letter was opened."""

    def __init__(self, work: Any, read: Callable[[], bytes], take: Callable[[Any], None]) -> None:
        self._work = work
        self._read = read
        self._take = take
        self._opened = threading.Event()

    def open(self) -> None:
        """Wait for the letter, and hand over what it says."""
        self._work.wait(PATIENCE)
        self._take(json.loads(self._read().rstrip(b"\0")))
        self._opened.set()

    def wait(self) -> None:
        """Wait until it was opened."""
        self._opened.wait()


class Mailbox:
    """The letters of one pair of ranks, opened in the order in which they were asked for."""

    def __init__(self) -> None:
        self._letters: SimpleQueue[Letter] = SimpleQueue()
        threading.Thread(target=self._open, name="mailbox", daemon=True).start()

    def expect(self, letter: Letter) -> Letter:
        """One more letter."""
        self._letters.put(letter)
        return letter

    def _open(self) -> None:
        while True:
            self._letters.get().open()


class Gloo:
    """The groups of a scenario as gloo groups, seen from one rank."""

    def __init__(self, world: World, rank: int, folder: Path) -> None:
        torch = importlib.import_module("torch")  # only places of this driver need it
        self._torch = torch
        self._dist = torch.distributed
        self._dist.init_process_group(
            "gloo",
            store=self._dist.FileStore(str(folder / "rendezvous"), len(world.ranks)),
            rank=rank,
            world_size=len(world.ranks),
            timeout=PATIENCE,
        )
        self._groups: Mapping[str, Any] = {
            name: self._dist.new_group(list(members), timeout=PATIENCE, backend="gloo")
            for name, members in world.groups.items()
        }
        self._posting = threading.Lock()
        self._mailboxes: dict[tuple[str, int], Mailbox] = {}
        self._dist.barrier()  # nobody runs ahead while groups are being made

    def post(
        self, group: str, rank: int, collective: str, value: int | None, agree: Any = None
    ) -> Work:
        """Bring this rank's part of a collective; gloo does not look whether parts agree."""
        _, _, reduction = collective.partition(" ")
        torch, dist = self._torch, self._dist
        if not reduction:
            work = dist.barrier(group=self._groups[group], async_op=True)
            return Work(work, lambda: None)
        part = torch.tensor([value], dtype=torch.int64)
        how = getattr(dist.ReduceOp, reduction.upper())
        work = dist.all_reduce(part, op=how, group=self._groups[group], async_op=True)
        return Work(work, lambda: int(part.item()))

    def send(self, group: str, source: int, target: int, value: Any) -> Work:
        """Post the send of a letter."""
        letter = self._torch.zeros(LETTER_BYTES, dtype=self._torch.uint8)
        written = json.dumps(value).encode()
        letter[: len(written)] = self._torch.tensor(list(written), dtype=self._torch.uint8)
        work = self._dist.isend(letter, dst=target, group=self._groups[group])
        return Work(work, letter.numel)  # which keeps the letter as long as the ticket

    def receive(self, group: str, source: int, target: int, take: Callable[[Any], None]) -> Letter:
        """Post the receive of a letter; its pair's mailbox opens it when it comes."""
        letter = self._torch.zeros(LETTER_BYTES, dtype=self._torch.uint8)
        with self._posting:  # threads that post to one pair do both in one order
            work = self._dist.irecv(letter, src=source, group=self._groups[group])
            if (group, source) not in self._mailboxes:
                self._mailboxes[group, source] = Mailbox()
            expected = Letter(work, lambda: bytes(letter.tolist()), take)
            return self._mailboxes[group, source].expect(expected)


def _a_place_each(world: World) -> Sequence[Sequence[int]]:
    return [[rank] for rank in range(len(world.ranks))]


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    operations = [op for program in scenario.world.programs for op in program.code]
    reasons = []
    if _kinds_differ(operations) and _pair_differently(report()):
        reasons.append("different collectives pair, and gloo does not look what it pairs")
    if any(_asks_to_agree(op) for op in operations) and _disagree(report()):
        reasons.append("what members of a collective say differs, and gloo does not look at it")
    sent = [getattr(getattr(op, "value", None), "constant", None) for op in operations]
    if any(len(json.dumps(value)) > LETTER_BYTES for value in sent):
        reasons.append(f"a value does not fit into {LETTER_BYTES} bytes")
    return reasons


def _kinds_differ(operations: Iterable[Any]) -> bool:
    """Whether the programs call different collectives on one group at all."""
    kinds: dict[str, set[tuple[str, str]]] = {}
    for op in operations:
        if op.kind in ("all_reduce", "barrier"):
            kinds.setdefault(op.group, set()).add((op.kind, getattr(op, "reduction", "")))
    return any(len(found) > 1 for found in kinds.values())


def _pair_differently(report: Report) -> bool:
    """Whether the model finds that different collectives pair."""
    finding = report.finding
    return finding is not None and finding.verdict == "violation" and " meets " in finding.message


def _asks_to_agree(operation: Any) -> bool:
    agree = getattr(operation, "agree", None)
    return agree is not None and getattr(agree, "constant", agree) is not None


def _disagree(report: Report) -> bool:
    """Whether the model finds that members say different things."""
    finding = report.finding
    return finding is not None and finding.message.endswith("which have to be equal")


def _ties(world: World, ranks: Sequence[int], folder: Path) -> Ties:
    return Gloo(world, ranks[0], folder)


GLOO = Driver("gloo", ("torch", "torch.distributed"), _a_place_each, _declines, _ties)
