"""What a driver is: where the ranks of a scenario live, and what binds their hosts together.

Rules:
- A driver performs and reports; it never decides a verdict.
- A driver declines by name what it can't perform, before anything is started.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_model.world import World
from eplb_real.errors import Raised

TWO_THREAD_KINDS = ("cpu_gpu_event_record", "cpu_gpu_event_wait")


def library_event() -> type:
    """Our own `CpuGpuEvent`; it needs torch, so it is loaded where it is used."""
    found: type = importlib.import_module("eplb_real.events").CpuGpuEvent
    return found


class Ticket(Protocol):
    """Something that was posted and that others have to meet."""

    def wait(self) -> Any:
        """Wait until it was met; what it gave.  Raises `Raised`."""


class Ties(Protocol):
    """Host collectives and requests between the ranks of a run."""

    def post(
        self, group: str, rank: int, collective: str, value: int | None, agree: Any = None
    ) -> Ticket:
        """Bring a member's part; `collective` is "barrier", or "all_reduce" and a reduction.

        What members say under `agree` has to be equal; None says nothing.
        """

    def send(self, group: str, source: int, target: int, value: Any) -> Ticket:
        """Post a send between global ranks of a group."""

    def receive(self, group: str, source: int, target: int, take: Callable[[Any], None]) -> Ticket:
        """Post a receive; `take` gets the value once it has come."""


@dataclass(frozen=True)
class Driver:
    """A place where vectors can run.

    Parameters
    ----------
    name
        What `--driver` calls it.
    modules
        What places import; an import error means that the environment lacks them.
    places
        Which ranks share a process.
    declines
        Reasons why a scenario can't run here; none if it can.  The model's report is worked out
        only if it is asked for.
    ties
        Binds the ranks of one place to the others: world, ranks, a folder that all places share.
    event_class
        Whose two-thread event is performed: a class that takes `event_factory` and `flag_factory`.
    lacks
        What is missing here besides modules, in words.
    devices
        The module whose `Devices` a place uses.
    scratch
        Where the folder of a run is made; None for the usual place.
    enforces
        Whether a schedule can be enforced step by step.
    loosened
        The scenario with the orders left open that this place does not keep; None if it keeps all.
    adapt
        The scenario as it is run here and as the model is asked about it: on a machine there is.
    on_gpus
        Whether ranks are on GPUs.  Their hosts spin, so a place there is at rest
        when it tells nothing for a while; elsewhere when it uses no processor time.
    """

    name: str
    modules: tuple[str, ...]
    places: Callable[[World], Sequence[Sequence[int]]]
    declines: Callable[[Scenario, Callable[[], Report]], list[str]]
    ties: Callable[[World, Sequence[int], Path], Ties]
    event_class: Callable[[], type] = library_event
    lacks: Callable[[], Sequence[str]] = tuple
    devices: str = "eplb_real.hosts"
    scratch: Path | None = None
    on_gpus: bool = False
    enforces: bool = True
    loosened: Callable[[Scenario], Scenario | None] = lambda scenario: None
    adapt: Callable[[Scenario], Scenario] = lambda scenario: scenario


def library_modules(scenario: Scenario) -> tuple[str, ...]:
    """The modules of our own library that a scenario is performed with; they need torch."""
    kinds = {op.kind for program in scenario.world.programs for op in program.code}
    return ("eplb_real.events",) if kinds & set(TWO_THREAD_KINDS) else ()


def peer_of(
    world: World, rank: int, group: str, peer: int, peer_is: Literal["group", "global"]
) -> int:
    """The global rank that a request names.

    Raises
    ------
    Raised
        As misuse, for a peer that the group does not have.
    """
    members = world.groups[group]
    if peer_is == "global":
        known = peer in members
        found = peer
    else:
        known = 0 <= peer < len(members)
        found = members[peer] if known else -1
    if not known:
        raise Raised("misuse", f"group {group} {list(members)} has no {peer_is} rank {peer}")
    if rank not in members or found == rank:
        raise Raised("misuse", f"in group {group} rank {rank} can't reach rank {found}")
    return found
