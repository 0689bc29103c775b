"""Results are values: who waits for what, what was found, what a check says.

Rule: nothing here knows the machine, the operations or the search; all that is above reports with i
The verdicts and the exit codes are the table of specs/semantics.md#verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Verdict = Literal["ok", "deadlock", "stall", "race", "violation", "misuse", "may", "unknown"]
When = Literal["every", "some"]
Serialised = Literal["never", "sometimes", "always"]

EXIT_CODES: Mapping[Verdict, int] = {
    "ok": 0,
    "deadlock": 1,
    "stall": 1,
    "race": 1,
    "violation": 1,
    "misuse": 1,
    "may": 3,
    "unknown": 3,
}

MOST_CLAUSES = 4_096
BAD_INPUT, INCONCLUSIVE, LACKING, OUR_ERROR, INTERRUPTED = 2, 3, 4, 5, 130


class UsageError(ValueError):
    """Something of the user that can't be used: a file, a schedule, a word on a command line."""


class Lacking(RuntimeError):
    """The environment does not have what is needed."""


class Actor(NamedTuple):
    """Whatever can move: a host thread or a stream of a rank.  Prints as `0.main`."""

    rank: int
    name: str
    slot: int  # position among the threads, or among the streams, of all ranks
    is_stream: bool

    def __str__(self) -> str:
        return f"{self.rank}.{self.name}"


class Action(NamedTuple):
    """An actor taking its next step, plus a choice where the rule offers several."""

    actor: Actor
    choice: int | None = None

    def __str__(self) -> str:
        return str(self.actor) if self.choice is None else f"{self.actor}:{self.choice}"


# Clauses are joined by "and", the actors within one by "or": a gang that needs the SMs of two
# holders has two clauses, a rendezvous one clause per absent peer.  An empty clause means that
# nobody is left who could help.
Clauses = tuple[tuple[Actor, ...], ...]


class Wait:
    """Why an actor may not move, and who could free it.

    A guard is asked millions of times whether it blocks and a few times why, so the reason is
    worked out when it is read.
    """

    __slots__ = ("_explain", "_told")

    def __init__(self, explain: Callable[[], tuple[str, Clauses]]) -> None:
        self._explain = explain
        self._told: tuple[str, Clauses] | None = None

    @property
    def told(self) -> tuple[str, Clauses]:
        """Why, and on whom, worked out once for both."""
        return self._explain()

    @property
    def why(self) -> str:
        return self._tell()[0]

    @property
    def on(self) -> Clauses:
        return self._tell()[1]

    def _tell(self) -> tuple[str, Clauses]:
        if self._told is None:
            self._told = self._explain()
        return self._told


class Waiting(NamedTuple):
    """One line of "Nobody can move": an actor, its reason, and who could free it.

    An actor with several next steps, the channels of a kernel say, moves once one of them can be
    taken: each has its own clauses.
    """

    actor: Actor
    why: str
    alternatives: tuple[Clauses, ...]
    doing: str = ""  # kernel and launching thread, for a stream
    kind: Literal["thread", "stream", "engine"] = "thread"

    @property
    def on(self) -> Clauses:
        """All alternatives as one conjunction.

        Among many peers that has too many clauses to write down; then those of the first step that
        are there stand for all, since none of the steps can be taken.
        """
        clauses: set[tuple[Actor, ...]] = {()}
        for on in self.alternatives:
            if len(clauses) * len(on) > MOST_CLAUSES:
                return tuple(sorted(self.alternatives[0]))
            clauses = {tuple(sorted({*left, *right})) for left in clauses for right in on}
        return tuple(sorted(clauses))

    @property
    def freed_by(self) -> tuple[Actor, ...]:
        """The actors named in any clause, each once, in order."""
        named = (clause for clauses in self.alternatives for clause in clauses)
        return tuple(sorted({actor for clause in named for actor in clause}))


class Finding(NamedTuple):
    """What went wrong on one run: the verdict, the way there, and who waits for whom.

    What the steps of the way did is asked of its replay (`trace.replay`), by who shows it.
    """

    verdict: Verdict
    message: str
    schedule: tuple[Action, ...]
    waiting: tuple[Waiting, ...] = ()
    circle: tuple[Actor, ...] = ()
    loop: tuple[Action, ...] = ()  # for a stall: what goes on for ever
    details: tuple[str, ...] = ()  # for a race: what each side has seen, and the missing edge


ClaimOutcome = Literal["holds", "fails", "reached", "not reached", "unknown"]


class Claimed(NamedTuple):
    """A claim of the scenario and what became of it; `unknown` if not everything was seen."""

    kind: str
    sentence: str
    outcome: ClaimOutcome


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to one check.  `states` and `depth` count what this search visited."""

    scenario: str
    parameters: Mapping[str, Any]
    verdict: Verdict
    when: When | None
    serialised: Serialised | None
    states: int
    transitions: int
    depth: int
    finding: Finding | None
    ends: Mapping[str, int]  # how many distinct final states of each kind were reached
    bounds: Mapping[str, Any]  # the bounds in force, and which one cut the search ("cut": null)
    switches: Mapping[str, str]  # the settings in force, and for `may` the verdict per setting
    assumptions: tuple[str, ...]
    strategy: str = "bfs"
    reduction: str | None = None
    declined: str | None = None  # why the fast search says nothing of the scenario
    kernels: Mapping[str, str] = field(default_factory=dict)  # each in words
    claims: tuple[Claimed, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


def varied(switches: Mapping[str, str]) -> frozenset[str]:
    """The switches of a report that stood for several settings: it has a verdict for each."""
    labels = [label for label in switches if "=" in label]
    return frozenset(part.partition("=")[0] for label in labels for part in label.split(","))
