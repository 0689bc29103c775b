"""One run of a scenario on real threads and processes: begun, followed, watched, ended.

Rules:
- A hang is a result.  Nothing that a rank does keeps the run from ending within its deadline.
- Hung: all places are at rest and something is pending.  Where programs loop for ever, threads rest
  when their budget of operations is spent; what is pending in one and the same operation through
  a further budget of the others is hung too, what else is pending waits for those that rest.
- An enforced schedule is granted step by step; a step that can't be taken ends the run.
"""

from __future__ import annotations

import pickle
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from eplb_model.outcome import Action
from eplb_model.scenario import Scenario
from eplb_real.drivers.base import Driver
from eplb_real.hub import Hub, Link
from eplb_real.nursery import Spawner
from eplb_real.observe import Line, observation_file, read_observations
from eplb_real.place import SCENARIO
from eplb_real.watchdog import Watchdog, stacks

Outcome = Literal["completed", "hung", "went on", "inconclusive", "not reached"]

BUDGET = 100  # operations per thread between two rests of programs that loop for ever
LOOPED = 50  # operations of others that make a pending call a stall
READY_WITHIN = 30.0  # seconds for all ranks to find each other
ABORTED_WITHIN = 10.0  # for what runs on devices to be called off
STEP_WITHIN = 5.0  # for a granted step
LOOK_EVERY = 0.03


@dataclass(frozen=True, slots=True)
class Pending:
    """An actor with work left that does not go on: where, in what, and why if the device knows."""

    actor: str
    op: str
    pc: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of one run."""

    outcome: Outcome
    evidence: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()
    exceptions: tuple[Line, ...] = ()  # the `raise` lines that ended a thread
    overlaps: tuple[Line, ...] = ()
    variables: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    observations: tuple[Line, ...] = ()
    stacks: Mapping[int, str] = field(default_factory=dict)
    granted: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """How to run: what is enforced, the seed of the free choices, the time limit in seconds."""

    schedule: tuple[Action, ...] | None = None
    seed: int = 0
    deadline: float = 20.0


class _Ended(Exception):
    """The run is over: what came of it, and why."""

    def __init__(self, outcome: Outcome, *evidence: str, pending: Sequence[Pending] = ()) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.evidence = evidence
        self.pending = tuple(pending)


def run(scenario: Scenario, driver: Driver, nursery: Spawner, order: Order) -> RunResult:
    """Run a scenario once.

    Parameters
    ----------
    scenario
        With single settings of its switches.
    driver
        Where.
    nursery
        Gives the processes.
    order
        How.
    """
    with (
        tempfile.TemporaryDirectory(prefix="eplb-real-", dir=driver.scratch) as name,
        Hub(nursery) as hub,
    ):
        return _Run(scenario, driver, hub, Path(name), order).result()


class _Run:
    def __init__(
        self, scenario: Scenario, driver: Driver, hub: Hub, folder: Path, order: Order
    ) -> None:
        self._world = scenario.world
        self._ranks = range(len(scenario.world.ranks))
        self._driver = driver
        self._hub = hub
        self._folder = folder
        self._order = order
        self._granted = 0
        self._until = time.monotonic() + order.deadline
        # A fresh copy: what the model has worked out for itself is no business of the places.
        fresh = {name: getattr(scenario, name) for name in Scenario.__dataclass_fields__}
        (folder / SCENARIO).write_bytes(pickle.dumps(Scenario(**fresh)))

    def result(self) -> RunResult:
        """Everything from the first process to the last."""
        kept: Mapping[int, str] = {}
        try:
            self._begin()
            self._follow()
            self._watch()
            raise AssertionError("a watched run ends")
        except _Ended as end:
            ended = end
        # What happens from here on is our own doing: a peer that loses a rank may well raise.
        lines = read_observations(self._folder, self._ranks)
        if ended.outcome in ("hung", "inconclusive"):
            kept = self._stacks()
        idle = self._called_off()
        self._hub.end()
        return RunResult(
            ended.outcome,
            (*ended.evidence, *idle, *self._losses()),
            ended.pending,
            tuple(_fatal(lines)),
            tuple(line for line in lines if line["event"] == "overlap"),
            {line["rank"]: line["variables"] for line in lines if line["event"] == "final"},
            tuple(lines),
            kept,
            (self._order.schedule or ())[: self._granted],
        )

    # --- beginning ---------------------------------------------------------------------------

    def _begin(self) -> None:
        for ranks in self._driver.places(self._world):
            link = self._hub.spawn(ranks)
            self._hub.send(
                link,
                {
                    "t": "run",
                    "driver": self._driver.name,
                    "folder": str(self._folder),
                    "ranks": list(ranks),
                    "closed": self._order.schedule is not None,
                    "seed": self._order.seed,
                    "budget": BUDGET if self._world.cyclic else None,
                },
            )
        self._await("ready", READY_WITHIN)
        self._until = time.monotonic() + self._order.deadline
        self._hub.broadcast({"t": "begin"})
        self._await("begun", READY_WITHIN)

    def _await(self, kind: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._hub.all_told(kind):
            for link, message in self._poll(until):
                if message["t"] == "failed":
                    raise _Ended("inconclusive", f"{link.name} could not start: {message['text']}")
            if time.monotonic() > until:
                late = [link.name for link in self._hub.links if kind not in link.told]
                raise _Ended("inconclusive", f"not {kind} in {seconds:g} s: {', '.join(late)}")

    def _poll(self, until: float) -> list[tuple[Link, dict[str, Any]]]:
        """What places say; a place that has gone ends the run."""
        found = self._hub.poll(max(0.0, min(LOOK_EVERY, until - time.monotonic())))
        if self._hub.lost:
            raise _Ended("inconclusive", "a place ended in the middle of the run")
        return found

    # --- following a schedule ----------------------------------------------------------------

    def _follow(self) -> None:
        if self._order.schedule is None:
            return
        for number, action in enumerate(self._order.schedule, start=1):
            why = self._grant(action)
            if why is not None:
                raise _Ended("not reached", f"step {number}, {action}: {why}")
            self._granted = number
        self._hub.broadcast({"t": "open"})

    def _grant(self, action: Action) -> str | None:
        """Let one step be taken; why it could not be."""
        actor, choice = action
        link = self._hub.link_of(actor.rank)
        go = {"t": "go", "actor": str(actor), "choice": choice, "stream": actor.is_stream}
        self._hub.send(link, go)
        until = time.monotonic() + STEP_WITHIN
        while time.monotonic() < until:
            for _, message in self._poll(until):
                if message["t"] == "did" and message["actor"] == str(actor):
                    return None
                if message["t"] == "cannot":
                    return str(message["why"])
        return f"it was not taken within {STEP_WITHIN:g} s"

    # --- watching ----------------------------------------------------------------------------

    def _watch(self) -> None:
        watchdog = Watchdog(
            [link.pid for link in self._hub.links],
            [observation_file(self._folder, rank) for rank in self._ranks],
            not self._driver.on_gpus,
        )
        before: _Rest | None = None
        while True:
            self._poll(self._until)
            if self._hub.all_told("ended"):
                self._finish()
            if time.monotonic() > self._until:
                raise _Ended("inconclusive", f"still at work after {self._order.deadline:g} s")
            if not watchdog.at_rest():
                continue
            rest = self._rest()
            if rest is None:
                continue
            if not rest.parked:
                evidence = "at rest with work left"
                raise _Ended("hung", evidence, pending=list(rest.pending.values()))
            if before is not None:
                raise rest.compared_with(before)
            before = rest
            self._hub.broadcast({"t": "extend", "more": BUDGET})
            watchdog.disturbed()

    def _finish(self) -> None:
        self._hub.broadcast({"t": "finish"})
        self._await("finished", READY_WITHIN)
        raise _Ended("completed")

    def _rest(self) -> _Rest | None:
        """Where everybody stands; None if all have ended meanwhile."""
        self._hub.broadcast({"t": "status"})
        told: dict[int, dict[str, Any]] = {}
        until = time.monotonic() + STEP_WITHIN
        while len(told) < len(self._hub.links):
            for link, message in self._poll(until):
                if message["t"] == "status":
                    told[link.pid] = message
            if time.monotonic() > until:
                raise _Ended("inconclusive", "a place at rest does not answer")
        if self._hub.all_told("ended"):
            return None
        lines = read_observations(self._folder, self._ranks)
        return _Rest({str(actor) for actor in self._world.actors}, lines, list(told.values()))

    def _called_off(self) -> list[str]:
        """Let devices come to an end before their processes do; what did not, in words."""
        self._hub.broadcast({"t": "abort"})
        until = time.monotonic() + ABORTED_WITHIN
        while time.monotonic() < until:
            if all(link.lost or "aborted" in link.told for link in self._hub.links):
                return []
            self._hub.poll(LOOK_EVERY)
        late = [link.name for link in self._hub.links if "aborted" not in link.told]
        return [f"its devices were still at work when it was ended: {', '.join(late)}"]

    def _stacks(self) -> Mapping[int, str]:
        self._hub.signal(signal.SIGUSR1)
        return stacks(self._folder, [link.ranks[0] for link in self._hub.links if not link.lost])

    def _losses(self) -> list[str]:
        return [
            f"{link.name} (pid {link.pid}) ended with status {link.status}; last seen: "
            f"{_last_line(self._folder, link.ranks)}"
            for link in self._hub.lost
        ]


class _Rest:
    """Where every actor stands while all places are at rest."""

    def __init__(
        self, actors: set[str], lines: Sequence[Line], told: Sequence[Mapping[str, Any]]
    ) -> None:
        standing = {
            each["actor"]: each
            for status in told
            for each in status["streams"]
            if each["actor"] in actors  # threads of the harness wait for devices too
        }
        self.parked = {actor for status in told for actor in status["parked"]}
        self.operations: dict[str, int] = {}
        for status in told:
            self.operations |= status["operations"]
        self._items: dict[str, int] = {}
        last: dict[str, Line] = {}
        for line in lines:
            if line["event"] == "item":
                self._items[line["actor"]] = self._items.get(line["actor"], 0) + 1
            elif "actor" in line and line["event"] != "started":
                last[line["actor"]] = line
        self.pending = {
            actor: Pending(actor, line["op"], line["pc"], standing.get(actor, {}).get("why", ""))
            for actor, line in sorted(last.items())
            if line["event"] == "begin"
        }
        streams = [each for actor, each in standing.items() if actor not in last]
        for each in sorted(streams, key=lambda each: str(each["actor"])):
            actor = each["actor"]
            self.pending[actor] = Pending(actor, each["doing"], None, each["why"])

    def compared_with(self, before: _Rest) -> _Ended:
        """Hung if somebody stayed where they were while others went through their budgets."""
        stuck = [
            pending
            for actor, pending in self.pending.items()
            if actor in before.pending and self._progress(actor) == before._progress(actor)
        ]
        done = sum(self.operations[actor] - before.operations[actor] for actor in self.parked)
        if stuck and done >= LOOPED:
            evidence = f"others completed {done} operations meanwhile"
            return _Ended("hung", evidence, pending=stuck)
        return _Ended("went on", f"stopped after {sum(self.operations.values())} operations")

    def _progress(self, actor: str) -> tuple[int, int]:
        return self.operations.get(actor, 0), self._items.get(actor, 0)


def _fatal(lines: Sequence[Line]) -> list[Line]:
    """The errors that no handler took: nothing but the thread's exit follows."""
    last: dict[str, Line] = {}
    found = []
    for line in lines:
        if line["event"] == "exit" and last.get(line["actor"], line)["event"] == "raise":
            found.append(last[line["actor"]])
        if "actor" in line:
            last[line["actor"]] = line
    return found


def _last_line(folder: Path, ranks: Sequence[int]) -> str:
    lines = read_observations(folder, ranks)
    if not lines:
        return "nothing"
    words = (lines[-1].get(name) for name in ("actor", "event", "op", "pc"))
    return " ".join(str(word) for word in words if word is not None)
