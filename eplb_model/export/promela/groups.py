"""NCCL groups: launches between a start and its end are kept by the thread, and submitted together.

specs/semantics.md#group-start, #group-end, #group-boundary
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from eplb_model.export.promela.call import Call, Step, Steps, emits
from eplb_model.export.promela.device import launch_steps
from eplb_model.export.promela.layout import LOOPING_CAPACITY, Layout, all_of
from eplb_model.outcome import Actor
from eplb_model.world import HostOperation

KINDS = frozenset({"group_start", "group_end", "group_boundary"})


def has_groups(layout: Layout, me: Actor) -> bool:
    """Whether a thread ever opens, closes or looks at a group."""
    return any(op.kind in KINDS for op in layout.world.programs[me.slot].code)


def most_kept(layout: Layout) -> int:
    """How many launches a thread may keep; 0 where nobody has a group."""
    counts = [
        sum(1 for op in layout.world.programs[me.slot].code if _is_of_nccl(layout, op))
        for me in layout.world.threads
        if has_groups(layout, me)
    ]
    if counts and layout.world.cyclic:
        return LOOPING_CAPACITY
    return max(1, *counts) if counts else 0


def _is_of_nccl(layout: Layout, op: HostOperation) -> bool:
    kernel = layout.world.kernels.get(getattr(op, "kernel", ""))
    meets = None if kernel is None else kernel.meets
    return op.kind == "launch" and meets is not None and meets.grain == "channel"


@emits("launch")
def _launch(call: Call) -> Steps:
    if not (has_groups(call.layout, call.me) and _is_of_nccl(call.layout, call.op)):
        yield from launch_steps(call)
        return
    depth = f"thread[{call.thread}].depth"
    work = call.layout.work(call.me, call.op).name
    yield Step(
        0, f"{depth} > 0", (f"keep({call.thread}, {work}, {call.stream})", call.on()), "kept"
    )
    for step in launch_steps(call):
        yield step._replace(guard=all_of((f"{depth} == 0", step.guard)))


@emits("group_start")
def _group_start(call: Call) -> Steps:
    yield Step(0, "true", (f"thread[{call.thread}].depth++", call.on()))


@emits("group_end")
def _group_end(call: Call) -> Steps:
    close = (f"close_group({call.thread})", call.on())
    if call.op.drop:
        yield Step(0, "true", close, "drop")
        return
    depth, keeps = f"thread[{call.thread}].depth", f"thread[{call.thread}].keeps"
    yield Step(0, f"{depth} == 0", (call.fails("MISUSE"),))
    yield Step(0, f"{depth} > 1", (f"{depth}--", call.on()))
    yield Step(0, f"{depth} == 1 && {keeps} == 0", close)
    for kept in _kept(call):
        work = kept.layout.work(kept.me, kept.op).name
        first = f"first_kept({kept.thread}, {work}, {kept.stream})"
        for step in launch_steps(kept):
            guard = all_of((f"{depth} == 1 && {keeps} > 0", first, step.guard))
            yield Step(step.sub, guard, _as_kept(kept, step.effect), f"submit {kept.op.kernel}")


def _kept(call: Call) -> Iterator[Call]:
    """Every launch that the thread may keep, as a call at the place of the end."""
    seen: dict[tuple[str, str], Call] = {}
    for op in call.layout.world.programs[call.me.slot].code:
        if not _is_of_nccl(call.layout, op):
            continue
        for stream in call.layout.world.streams_named(call.rank, getattr(op, "stream", "")):
            name = call.layout.stream(stream.slot)
            key = (call.layout.work(call.me, op).name, name)
            seen.setdefault(key, replace(call, op=op, stream=name))
    yield from seen.values()


def _as_kept(call: Call, effect: tuple[str, ...]) -> tuple[str, ...]:
    """A step of a kept launch: the next one follows, and an error closes the group."""
    thread = call.thread
    if effect[-1] == call.on():
        left = (f":: thread[{thread}].keeps > 0 -> {call.stay(0)}", ":: else ->")
        last = (f"thread[{thread}].depth = 0", call.on())
        return (*effect[:-1], f"forget_first({thread})", "if", *left, *last, "fi")
    if effect[-1] == call.fails("MISUSE"):
        return (*effect[:-1], f"close_group({thread})", effect[-1])
    return effect


@emits("group_boundary")
def _group_boundary(call: Call) -> Steps:
    depth = f"thread[{call.thread}].depth"
    yield Step(0, f"{depth} == 0", (call.on(),))
    yield Step(0, f"{depth} > 0", (call.fails("VIOLATION"),))
