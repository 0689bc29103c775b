"""A story as a Chrome trace, which Perfetto (ui.perfetto.dev) opens.

Rules (Trace Event Format, Google, 2016):
- A rank is a process.  Its main thread is the first track, then the other threads, then streams.
- No two tracks share a number, and a main thread has that of its process: by that Perfetto knows
  it, and releases of before October 2025 ignore `thread_sort_index` (google/perfetto#555, #3273).
- A step takes a millisecond of the picture; the model has no clock.
- What has ended is a complete event (X).  What is stuck has a begin (B) and no end.
- Flow arrows (s, f) show what happens before what, and who waits for whom at the end.
- Counters (C) show the SMs in use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from eplb_model.render.story import Arrow, Story, stretches

STEP = 1_000  # microseconds of the picture
NUMBERS = 1_000  # of tracks, for each rank; 0 is the idle process of a kernel
Event = dict[str, Any]


def chrome_trace(story: Story) -> str:
    """The trace as one JSON document."""
    document = {
        "traceEvents": list(_events(story)),
        "displayTimeUnit": "ms",
        "otherData": {
            "scenario": story.title,
            "verdict": story.verdict,
            "time": "one step of the schedule is one millisecond; the model has no clock",
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _events(story: Story) -> Iterator[Event]:
    places = _places(story)
    yield from _names(story, places)
    for number, track in enumerate(story.tracks):
        yield from _track_events(story, number, places[track.name])
    yield from _steps(story, places)
    yield from _counters(story)
    for number, arrow in enumerate(story.arrows):
        if arrow.track in places and arrow.onto in places:
            yield from _flow(number, arrow, story, places)


def _places(story: Story) -> dict[str, Event]:
    """By track, the process and the thread that it is in the trace."""
    places: dict[str, Event] = {}
    for rank in story.ranks:
        mine = [track for track in story.tracks if track.rank == rank]
        mine.sort(key=lambda track: (track.kind != "thread", track.name != f"{rank}.main"))
        for position, track in enumerate(mine):
            places[track.name] = {"pid": _process(rank), "tid": _process(rank) + position}
    return places


def _process(rank: int) -> int:
    return (rank + 1) * NUMBERS


def _names(story: Story, places: dict[str, Event]) -> Iterator[Event]:
    for position, rank in enumerate(story.ranks):
        at = {"pid": _process(rank)}
        yield _metadata("process_name", at, name=f"rank {rank}")
        yield _metadata("process_sort_index", at, sort_index=position)
    for track in story.tracks:
        at = places[track.name]
        name = f"{track.kind} {track.name.partition('.')[2]}"
        yield _metadata("thread_name", at, name=name)
        yield _metadata("thread_sort_index", at, sort_index=at["tid"])


def _metadata(what: str, at: Event, **arguments: Any) -> Event:
    return {"ph": "M", "name": what, **at, "args": arguments}


def _track_events(story: Story, number: int, at: Event) -> Iterator[Event]:
    """What a party stands at: a complete event, or one that never ends."""
    for each in stretches(story, number):
        what = {"name": each.text, "cat": each.status, "ts": each.first * STEP, **at}
        args = {"status": each.status, "why": each.why, "ctas": each.held}
        if each.last is None:
            yield {"ph": "B", **what, "args": {**args, "stuck": True}}
        else:
            yield {"ph": "X", "dur": (each.last - each.first) * STEP, **what, "args": args}


def _steps(story: Story, places: dict[str, Event]) -> Iterator[Event]:
    """Each step as an instant on the track that takes it."""
    for number, step in enumerate(story.steps, start=1):
        if step.track in places:
            name = f"{number}: {step.does}"
            yield {"ph": "i", "s": "t", "name": name, "ts": number * STEP, **places[step.track]}


def _counters(story: Story) -> Iterator[Event]:
    for number, frame in enumerate(story.frames):
        for rank, busy in zip(story.ranks, frame.busy, strict=True):
            counted = {"name": "SMs in use", "pid": _process(rank), "args": {"in use": busy}}
            yield {"ph": "C", "ts": number * STEP, **counted}


def _flow(number: int, arrow: Arrow, story: Story, places: dict[str, Event]) -> Iterator[Event]:
    """An arrow binds to the event that encloses its time, so it ends just inside a step."""
    start = arrow.step * STEP - STEP // 2
    end = (arrow.then or len(story.steps)) * STEP - STEP // 4
    if arrow.kind == "submits":
        end = arrow.step * STEP + STEP // 4
    if arrow.then is None:
        start, end = arrow.step * STEP + STEP // 4, arrow.step * STEP + STEP // 2
    what = {"name": arrow.kind, "cat": arrow.kind, "id": number + 1}
    yield {"ph": "s", **what, "ts": start, **places[arrow.track]}
    yield {"ph": "f", "bp": "e", **what, "ts": end, **places[arrow.onto]}
