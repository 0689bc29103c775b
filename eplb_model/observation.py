"""What was seen of a real run: who called what, what came back, what left the streams.

Rules (document "eplb-observation/1", JSON lines, one object per event; specs/refinement.md):
- An actor's events are in order; between actors nothing is assumed, whatever file they stand in.
- A call has a `begin`, and an `end` or a `raise` if it returned.  One without either is open.
- Work that left a stream is an `item`.  A driver that can't see streams reports none, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from eplb_model.outcome import Actor
from eplb_model.world import World

OBSERVATION_SCHEMA = "eplb-observation/1"
EVENTS = ("begin", "end", "raise", "exit", "item", "started", "overlap", "final")

Return = Literal["end", "raise", "open"]


class ObservationError(ValueError):
    """Lines that are no observation; the message has the number of the line."""


@dataclass(frozen=True, slots=True)
class Call:
    """One host call: where and what, and what came back.

    `pc` is None where a driver knows only the kind of a call and some of its fields.
    """

    op: str
    pc: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    came_back: Return = "open"
    result: Mapping[str, Any] = field(default_factory=dict)  # "value", "taken" or "family"

    def __str__(self) -> str:
        place = "" if self.pc is None else f" (operation {self.pc})"
        words = "".join(f" {value}" for value in self.fields.values())
        return f"{self.op}{words}{place}"


@dataclass(frozen=True, slots=True)
class Observation:
    """A run as it was seen, actor by actor."""

    calls: Mapping[Actor, tuple[Call, ...]]
    items: Mapping[Actor, tuple[str, ...]] | None  # None: streams were not looked at
    exits: frozenset[Actor]
    final: Mapping[tuple[int, str], Any]

    @property
    def open_calls(self) -> Mapping[Actor, Call]:
        """The calls that never came back, by actor."""
        last = {actor: calls[-1] for actor, calls in self.calls.items() if calls}
        return {actor: call for actor, call in last.items() if call.came_back == "open"}


def observation(
    world: World, lines: Iterable[Mapping[str, Any]], streams: bool = True
) -> Observation:
    """The observation that lines of all ranks make, each rank's in their order.

    Parameters
    ----------
    world
        Whose actors and variables the lines name.
    lines
        The events as objects.
    streams
        Whether the driver could see what leaves streams; if not, the model is free there.

    Raises
    ------
    ObservationError
        For a line that names what the world does not have, or that can't follow those before it.
    """
    reader = _Reader(world)
    for number, line in enumerate(lines, start=1):
        try:
            reader.take(line)
        except (KeyError, ValueError, TypeError) as error:
            raise ObservationError(f"line {number}: {error}: {dict(line)}") from None
    return Observation(
        {actor: tuple(calls) for actor, calls in reader.calls.items()},
        {actor: tuple(items) for actor, items in reader.items.items()} if streams else None,
        frozenset(reader.exits),
        reader.final,
    )


class _Reader:
    def __init__(self, world: World) -> None:
        self._actors = {str(actor): actor for actor in world.actors}
        self._slots = world.slots
        self.calls: dict[Actor, list[Call]] = {actor: [] for actor in world.threads}
        self.items: dict[Actor, list[str]] = {actor: [] for actor in world.streams}
        self.exits: set[Actor] = set()
        self.final: dict[tuple[int, str], Any] = {}

    def take(self, line: Mapping[str, Any]) -> None:
        match line["event"]:
            case "begin":
                self._begin(self._actor(line, False), line)
            case "end" | "raise":
                self._came_back(self._actor(line, False), line)
            case "exit":
                self.exits.add(self._actor(line, False))
            case "item":
                self.items[self._actor(line, True)].append(line["work"])
            case "final":
                for name, value in line["variables"].items():
                    if (line["rank"], name) not in self._slots:
                        raise ValueError(f"rank {line['rank']} has no variable {name!r}")
                    self.final[line["rank"], name] = plain(value)
            case "started" | "overlap":
                pass  # evidence for people; what the model says of SMs and races is its own
            case event:
                raise ValueError(f"unknown event {event!r}; known: {', '.join(EVENTS)}")

    def _actor(self, line: Mapping[str, Any], is_stream: bool) -> Actor:
        actor = self._actors.get(line["actor"])
        if actor is None or actor.is_stream != is_stream:
            raise ValueError(f"no {'stream' if is_stream else 'thread'} {line['actor']!r}")
        return actor

    def _begin(self, actor: Actor, line: Mapping[str, Any]) -> None:
        calls = self.calls[actor]
        if calls and calls[-1].came_back == "open":
            raise ValueError(f"{actor} begins a call inside {calls[-1]}")
        fields = {name: plain(value) for name, value in line.get("fields", {}).items()}
        calls.append(Call(line["op"], line.get("pc"), fields))

    def _came_back(self, actor: Actor, line: Mapping[str, Any]) -> None:
        calls = self.calls[actor]
        if not calls or calls[-1].came_back != "open" or calls[-1].op != line["op"]:
            raise ValueError(f"{actor} is in no call of {line['op']!r}")
        told = ("value", "taken", "family")
        result = {name: plain(line[name]) for name in told if name in line}
        calls[-1] = replace(calls[-1], came_back=line["event"], result=result)


def plain(value: Any) -> Any:
    """A value as the model has it: lists of JSON are tuples."""
    return tuple(plain(each) for each in value) if isinstance(value, list) else value
