"""Shards run, in any order; their lines come out in order, each once.

Rules:
- At most `jobs` shards are under way.  A shard that is done is in the journal before it counts.
- A shard that fails is tried again, `retries` times; then it is reported and the rest goes on.
- A worker that dies takes down what runs beside it.  Nobody knows whose fault it was, so these
  shards are tried again one at a time.
- Ctrl-C stops after the shards under way; the journal has what was done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field

from eplb_model.campaign.executors import Workers
from eplb_model.campaign.journal import Journal
from eplb_model.campaign.task import Line, Task, perform

PAUSE = 0.2  # seconds after which `stop` is asked again
Shard = tuple[Task, ...]
Performer = Callable[[Shard], list[Line]]


@dataclass(frozen=True, slots=True)
class Failed:
    """A shard that was given up, and its last error."""

    shard: int
    attempts: int
    error: str


@dataclass(slots=True)
class Campaign:
    """What became of the shards: their lines in order, those that failed, whether all were done."""

    shards: int
    done: dict[int, list[Line]] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.done) + len(self.failed) == self.shards

    @property
    def lines(self) -> list[Line]:
        """The lines of all shards that are done, in the order of the shards."""
        return [line for shard in sorted(self.done) for line in self.done[shard]]


def perform_shard(tasks: Shard) -> list[Line]:
    """What a worker does."""
    return [perform(task) for task in tasks]


def run_campaign(
    shards: Sequence[Shard],
    workers: Workers | None = None,
    journal: Journal | None = None,
    *,
    retries: int = 2,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[int], None] = lambda done: None,
    performer: Performer = perform_shard,
) -> Campaign:
    """Do every shard that the journal does not have.

    Parameters
    ----------
    shards
        The tasks of each shard, in the order in which their lines are wanted.
    workers
        Where; by default here, one after the other.
    journal
        Keeps what is done, and says what was.
    retries
        How often a shard that failed is tried again.
    stop
        Asked now and then; true ends the campaign after the shards under way.
    tell
        Is told how many shards are done.
    performer
        What a worker does with a shard; for tests.
    """
    found = Campaign(len(shards), dict(journal.done) if journal else {})
    running = _Running(shards, workers or Workers(), performer)
    running.queue.extend(n for n in range(len(shards)) if n not in found.done)
    try:
        while running.goes_on(stop()):
            for number, outcome in running.ended():
                if not isinstance(outcome, BaseException):
                    found.done[number] = outcome
                    if journal is not None:
                        journal.add(number, outcome)
                elif running.attempts[number] > retries:
                    error = f"{type(outcome).__name__}: {outcome}"
                    found.failed.append(Failed(number, running.attempts[number], error))
                else:
                    running.again(number, outcome)
            tell(len(found.done) + len(found.failed))
    finally:
        running.end()
    found.failed.sort(key=lambda each: each.shard)
    return found


class _Running:
    """The shards that are under way, and those still to come."""

    def __init__(self, shards: Sequence[Shard], workers: Workers, performer: Performer) -> None:
        self.shards, self.workers, self.performer = shards, workers, performer
        self.queue: deque[int] = deque()
        self.suspects: deque[int] = deque()  # were under way when a worker died
        self.alone: int | None = None  # a suspect that is under way: nothing else may be
        self.attempts: dict[int, int] = {}
        self.under_way: dict[Future[list[Line]], int] = {}
        self.executor = workers.start()

    def goes_on(self, stopped: bool) -> bool:
        """Submit what there is room for, unless stopped; whether anything is under way then."""
        if not stopped:
            while (number := self._next_to_submit()) is not None:
                self.attempts[number] = self.attempts.get(number, 0) + 1
                future = self.executor.submit(self.performer, self.shards[number])
                self.under_way[future] = number
        return bool(self.under_way)

    def _next_to_submit(self) -> int | None:
        if self.alone is not None or len(self.under_way) >= self.workers.jobs:
            return None
        if self.suspects:
            if self.under_way:
                return None
            self.alone = self.suspects.popleft()
            return self.alone
        return self.queue.popleft() if self.queue else None

    def ended(self) -> list[tuple[int, list[Line] | BaseException]]:
        """What has ended meanwhile: lines, or an error."""
        ended, _ = wait(self.under_way, PAUSE, FIRST_COMPLETED)
        if any(isinstance(each.exception(), BrokenExecutor) for each in ended):
            ended, _ = wait(self.under_way)  # the pool is gone, and all that was in it
            self.executor.shutdown(wait=False, cancel_futures=True)
            self.executor = self.workers.start()
        found: list[tuple[int, list[Line] | BaseException]] = []
        for future in sorted(ended, key=self.under_way.__getitem__):
            number = self.under_way.pop(future)
            self.alone = None if self.alone == number else self.alone
            found.append((number, future.exception() or future.result()))
        return found

    def again(self, number: int, error: BaseException) -> None:
        """Try a shard again: alone if a worker died, else when its turn comes."""
        (self.suspects if isinstance(error, BrokenExecutor) else self.queue).append(number)

    def end(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
