"""A run as a film: one frame for every state of a schedule, one cell for every thread and stream.

Rules:
- A frame says of a state what a reader has to see, in words and numbers; pictures are made from
  frames alone and know neither operations nor guards.
- Only the ranks that matter have tracks; `left_out` counts the others.
- As a document it is `eplb-story/1` (schemas/eplb-story-1.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

SCHEMA = "eplb-story/1"

TrackKind = Literal["thread", "stream", "engine"]
# What a party is doing in a state: it could move, it waits and others may free it, it waits for
# good, it has nothing to do, it is over.
Status = Literal["moves", "waits", "stuck", "idle", "ended"]


@dataclass(frozen=True, slots=True)
class Track:
    """One thread, stream or engine of a rank: a row of a timeline, a column of a table."""

    name: str  # as in a schedule: 0.main
    rank: int
    kind: TrackKind


@dataclass(frozen=True, slots=True)
class Cell:
    """One party in one state."""

    text: str  # the operation at which a thread stands, the work at the head of a stream
    status: Status
    why: str = ""
    on: tuple[str, ...] = ()  # who could free it
    held: int = 0  # CTAs that hold a slot of an SM
    ctas: int = 0  # of the kernel at the head; 0 where it is no kernel
    queued: tuple[str, ...] = ()  # what stands behind the head


@dataclass(frozen=True, slots=True)
class Holding:
    """What one stream's kernel holds of its GPU; `seats` is None where nobody counts them."""

    track: str
    kernel: str
    ctas: int
    seats: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One state.  `sms`, `busy` and `memory` go by position in `Story.ranks`."""

    cells: tuple[Cell, ...]  # by position in Story.tracks
    sms: tuple[tuple[Holding, ...], ...]
    busy: tuple[int, ...]  # SMs that hold at least one CTA
    memory: tuple[tuple[tuple[str, str], ...], ...]  # variables and flags that have changed
    enabled: tuple[str, ...]  # the words of all actions that may be taken, of tracks or not
    verdict: str = ""  # what is wrong here, if anything is
    message: str = ""
    circle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """What one step makes possible: `step` and `then` are numbers of steps, from 1.

    `then` is None for a wait that never ends: its two tracks are named.  What a host call submits
    is in its stream by the same step.
    """

    kind: Literal["submits", "happens before", "waits for"]
    track: str
    onto: str
    step: int
    then: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """One step of the schedule."""

    action: str
    track: str
    does: str


@dataclass(frozen=True, slots=True)
class Story:
    """A run from the first state to the last."""

    title: str
    about: str
    verdict: str
    parameters: Mapping[str, Any]
    machine: str
    sms: int
    groups: tuple[int, ...]  # SMs per group
    kernels: Mapping[str, str]
    ranks: tuple[int, ...]
    left_out: int  # ranks without tracks
    tracks: tuple[Track, ...]
    steps: tuple[Taken, ...]
    frames: tuple[Frame, ...]  # one more than steps
    arrows: tuple[Arrow, ...] = ()
    circle: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what was left out, which step decided
    loop: int | None = None  # of a stall: the steps after this one repeat for ever

    def document(self) -> dict[str, Any]:
        """The story as JSON has it."""
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames in a row in which a track shows the same; `last` is None if that never ends."""

    text: str
    status: Status
    why: str
    held: int
    first: int
    last: int | None


def stretches(story: Story, track: int) -> Iterator[Stretch]:
    """The row of a track, without the frames in which it has nothing to do."""
    cells = [(number, frame.cells[track]) for number, frame in enumerate(story.frames)]
    end = len(cells) - 1
    for (text, status, held), group in groupby(
        cells, key=lambda each: (each[1].text, each[1].status, each[1].held)
    ):
        members = list(group)
        first, last = members[0][0], members[-1][0]
        if status not in ("idle", "ended"):
            for_ever = last == end and status == "stuck"
            why = members[-1][1].why
            yield Stretch(text, status, why, held, first, None if for_ever else last + 1)
