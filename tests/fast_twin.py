"""The fast search beside the plain one: the same answer, and the same deadlocks up to renaming."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from itertools import permutations, product
from typing import Any

from eplb_model.check import Search, check
from eplb_model.explore.fast.alone import NotCovered
from eplb_model.explore.fast.answer import Answer, answer
from eplb_model.explore.search import Bounds, explore
from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_model.state import Device, State
from eplb_model.world import World


def disagreement(scenario: Scenario, most_states: int) -> str | None:
    """How the two searches differ; nothing if they agree.

    Raises `NotCovered` where the fast search says nothing or the plain one is too large.
    """
    fast = check(scenario, Search())
    found = explore(scenario.world, "bfs", Bounds(max_states=most_states))
    if fast.declined is not None or found.cut is not None:
        raise NotCovered(fast.declined or "too large for the plain search")
    plain = check(scenario, Search(settle=False))
    if answered(fast) != answered(plain):
        return f"{answered(fast)} instead of {answered(plain)}"
    if fast.verdict == "deadlock" and steps_of(fast) != steps_of(plain):
        return f"{steps_of(fast)} steps to a deadlock instead of {steps_of(plain)}"
    if plain.verdict not in ("ok", "deadlock"):
        return None  # the plain search stops where a property breaks
    dead = {without_seats(found.states[n]) for n in found.final if found.states[n].unfinished()}
    said = said_of(scenario.world)
    mine = {each for one in deadlocks(said) for each in renamed(said, one)}
    return None if mine == dead else f"{len(mine)} deadlocks instead of {len(dead)}"


def said_of(world: World, *, symmetry: bool = True) -> Answer:
    """The whole answer of the fast search."""
    return answer(world, symmetry, None, lambda: None)


def answered(report: Report) -> tuple[object, ...]:
    return report.verdict, report.when, report.serialised, sorted(report.ends)


def steps_of(report: Report) -> int | None:
    return None if report.finding is None else len(report.finding.schedule)


def deadlocks(said: Answer) -> set[State]:
    """The deadlocks that were found, as states of the machine."""
    return {without_seats(said.schedule(number)[1]) for number in said.ends.get("deadlock", ())}


def renamed(said: Answer, state: State) -> set[State]:
    """A state under every renaming of ranks that keeps the roles."""
    roles = [role.members for role in said.found.roles.roles]
    found = set()
    for chosen in product(*(permutations(members) for members in roles)):
        order = {
            rank: other
            for members, mine in zip(roles, chosen, strict=True)
            for rank, other in zip(members, mine, strict=True)
        }
        found.add(_with_ranks_of(state, order))
    return found


def without_seats(state: State) -> State:
    """A state whichever SMs are held in it, and whoever had to wait before."""
    devices = tuple(
        device._replace(
            arrived=tuple(run._replace(seats=bytes(len(run.seats))) for run in device.arrived)
        )
        for device in state.devices
    )
    return state._replace(devices=devices, waited=False)


def _with_ranks_of(state: State, order: dict[int, int]) -> State:
    """The state in which each rank is as another one was.  What names actors is renamed too."""
    world = state.world
    streams = {
        mine.slot: theirs.slot
        for rank, other in order.items()
        for mine, theirs in zip(world.streams_of(rank), world.streams_of(other), strict=True)
    }
    threads = {
        mine.slot: theirs.slot
        for rank, other in order.items()
        for mine, theirs in zip(world.threads_of(rank), world.threads_of(other), strict=True)
    }
    slots = {
        world.slots[rank, name]: world.slots[other, name]
        for rank, other in order.items()
        for name in world.ranks[rank].memory
    }
    names = _Renaming(
        {there: here for here, there in streams.items()},
        {there: here for here, there in threads.items()},
    )
    return state._replace(
        threads=tuple(names.of(state.threads[threads[n]]) for n in range(len(state.threads))),
        devices=tuple(names.device(state.devices[order[n]]) for n in range(len(state.devices))),
        memory=tuple(names.of(state.memory[slots[n]]) for n in range(len(state.memory))),
        counts=tuple(state.counts[order[n]] for n in range(len(state.counts))),
    )


class _Renaming:
    """Puts other numbers for streams and threads into parts of a state."""

    def __init__(self, streams: dict[int, int], threads: dict[int, int]) -> None:
        self._streams, self._threads = streams, threads

    def of(self, value: Any) -> Any:
        """The same value; its fields `stream`, `by`, `thread` and the like name others."""
        if hasattr(value, "_asdict"):
            parts = value._asdict().items()
            return value._replace(**{name: self._field(name, part) for name, part in parts})
        match value:
            case frozenset():
                return frozenset(map(self.of, value))
            case tuple():
                return tuple(map(self.of, value))
            case _ if is_dataclass(value) and not isinstance(value, type):
                changed = {
                    each.name: self._field(each.name, getattr(value, each.name))
                    for each in fields(value)
                }
                return type(value)(**changed)
            case _:
                return value

    def device(self, device: Device) -> Device:
        """A device; which thread holds its locks is a number."""
        holders: dict[str, Any] = {
            name: self._threads.get(getattr(device, name), -1)
            for name in ("context", "recording", "gil")
        }
        same: Device = self.of(device)
        return same._replace(**holders)

    def _field(self, name: str, part: Any) -> Any:
        if name == "stream" and isinstance(part, int):
            return self._streams.get(part, part)
        if name in ("by", "thread") and isinstance(part, int):
            return self._threads.get(part, part)
        return self.of(part)
