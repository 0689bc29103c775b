"""Operations of host threads that put work on streams, or wait for it.

A launch queue that is full, the context lock and the lock on making are written down only
where something in the scenario can make a difference.
"""

from __future__ import annotations

from eplb_model.export.cannot import CannotExport
from eplb_model.export.promela.call import Call, Step, Steps, emits
from eplb_model.export.promela.layout import all_of
from eplb_model.ops.launch import loaded
from eplb_model.ops.marks import UNRECORDED
from eplb_model.world import HostOperation, Kernel, World

FREES = ("free", "host_free", "empty_cache")


# --- locks of the process: specs/semantics.md#locks ------------------------------------------


def context_is_free(call: Call) -> str:
    """That no other thread of the process holds the driver's context lock."""
    if not takes_context(call.layout.world, call.rank):
        return "true"
    return f"context_is_free({call.rank}, {call.thread})"


def takes_context(world: World, rank: int) -> bool:
    """Whether some call of a rank holds the context lock while it waits."""
    return any(
        op.kind in (*FREES, "load") or _is_loaded_at_first_use(world, op)
        for program in world.ranks[rank].threads
        for op in program.code
    )


def _is_loaded_at_first_use(world: World, op: HostOperation) -> bool:
    kernel = world.kernels.get(getattr(op, "kernel", ""))
    return kernel is not None and kernel.module is not None


def _may_make(call: Call) -> str:
    """That nobody keeps this thread from making an event, or memory."""
    return all_of((context_is_free(call), _nobody_fills(call)))


def _nobody_fills(call: Call) -> str:
    if not call.layout.may_fill():
        return "true"
    return f"nobody_fills({call.rank}, {call.thread})"


def _let_others_make(call: Call) -> tuple[str, ...]:
    if not call.layout.may_fill():
        return ()
    return (f"let_others_make({call.rank}, {call.thread})",)


# --- submitting ------------------------------------------------------------------------------


def _submit(call: Call, macro: str = "submit", *more: str, thread: str = "") -> list[str]:
    """The work becomes the last of the stream, behind what the legacy stream implies (G9)."""
    work = call.layout.work(call.me, call.op)
    given = filter(None, (str(call.rank), thread, call.stream, work.name, *more))
    return [*_implied_waits(call, call.stream), f"{macro}({', '.join(given)})"]


def _implied_waits(call: Call, stream: str) -> list[str]:
    layout = call.layout
    specs = layout.world.stream_specs
    mine = next(s for s in layout.cuda_streams(call.rank) if layout.stream(s.slot) == stream)
    opposite = {"legacy": "blocking", "blocking": "legacy"}.get(specs[mine.slot].kind)
    if opposite is None:
        return []
    wait = layout.implied_wait(call.me).name
    return [
        f"wait_for_all_of({stream}, {layout.stream(other.slot)}, {wait})"
        for other in layout.cuda_streams(call.rank)
        if specs[other.slot].kind == opposite
        and specs[other.slot].device == specs[mine.slot].device
    ]


def _with_room(call: Call, stream: str, guard: str, effect: tuple[str, ...]) -> Steps:
    """A step that needs room in a stream; without it the call takes the lock on making (G4)."""
    if not call.layout.may_fill():
        yield Step(0, guard, effect)
        return
    room = f"has_room({stream})"
    yield Step(0, all_of((guard, room)), effect)
    free = f"gpu[{call.rank}].making == 0"
    take = f"keep_others_from_making({call.rank}, {call.thread})"
    yield Step(0, all_of((guard, f"!{room}", free)), (take,))


def launch_steps(call: Call) -> Steps:
    """The steps of a launch that is not kept in a group.  specs/semantics.md#launch"""
    op, layout = call.op, call.layout
    if op.gil:
        raise CannotExport("a launch with the interpreter lock (gil)")
    kernel = layout.world.kernels[op.kernel]
    stream = call.stream
    guard = context_is_free(call)
    if kernel.module is not None and layout.world.machine.switches.first_use == "blocks":
        yield from _load_steps(call, kernel.module, call.stay(0))
        guard = all_of((guard, call.place(loaded(kernel.module)), _not_waiting(call)))
    nccl = kernel.meets is not None and kernel.meets.grain == "channel"  # it selects its device
    if not _can_ever_fit(call, kernel) or (_stream_device(call) != call.device and not nccl):
        yield from _with_room(call, stream, guard, (*_let_others_make(call), call.fails("MISUSE")))
        return
    if op.kernel in layout.world.counted:
        effect = _submit(call, "launch", count_name(call.rank, op.kernel))
    else:
        effect = _submit(call)
    yield from _with_room(call, stream, guard, (*effect, *_let_others_make(call), call.on()))


def _stream_device(call: Call) -> int:
    """The device of the stream that a call works on."""
    specs = call.layout.world.stream_specs
    streams = call.layout.cuda_streams(call.rank)
    return next(specs[s.slot].device for s in streams if call.layout.stream(s.slot) == call.stream)


def count_name(rank: int, kernel: str) -> str:
    """The constant that says where the launches of a kernel on a rank are counted."""
    return f"OF_{''.join(c if c.isalnum() else '_' for c in kernel).upper()}_{rank}"


def _can_ever_fit(call: Call, kernel: Kernel) -> bool:
    """Whether an empty device could hold what has to start at once (G19)."""
    machine = call.layout.world.machine
    per_sm = machine.limits.ctas_per_sm(kernel.footprint)
    clusters = sum(size // kernel.cluster for size in machine.groups) * per_sm
    return clusters * kernel.cluster >= (kernel.ctas if kernel.gang else kernel.cluster)


@emits("memset")
def _memset(call: Call) -> Steps:
    done = (*_submit(call), *_let_others_make(call), call.on())
    return _with_room(call, call.stream, context_is_free(call), done)


@emits("copy")
def _copy(call: Call) -> Steps:
    op = call.op
    waits = op.blocking or (op.memory == "pageable" and op.direction == "d2h")
    submit = _submit(call, "submit_and_wait", thread=call.thread) if waits else _submit(call)
    effect = (*submit, *_let_others_make(call), call.stay(1) if waits else call.on())
    if op.direction == "d2d":
        yield from _with_room(call, call.stream, context_is_free(call), effect)
    else:
        yield Step(0, context_is_free(call), effect)
    if waits:
        yield Step(1, _not_waiting(call), (call.on(),))


@emits("read")
def _read(call: Call) -> Steps:
    op, layout = call.op, call.layout
    if op.peer not in range(len(layout.world.ranks)):
        yield Step(0, "true", (call.fails("MISUSE"),))
        return
    engine = layout.stream(layout.world.stream(call.rank, op.engine).slot)
    work = layout.work(call.me, op)
    yield Step(0, "true", (f"enqueue({engine}, {work.name}, 0, 0, 0)", call.on()))


@emits("wait_reads")
def _wait_reads(call: Call) -> Steps:
    engine = call.layout.stream(call.layout.world.stream(call.rank, call.op.engine).slot)
    yield Step(0, f"stream[{engine}].items == 0", (call.on(),))


# --- events ----------------------------------------------------------------------------------


@emits("record_event")
def _record_event(call: Call) -> Steps:
    mark = _mark(call)
    made = f"(mark[{mark}].on != NEVER || {_nobody_fills(call)})"
    guard = (context_is_free(call), made if call.layout.may_fill() else "true")
    yield Step(0, all_of(guard), (*_submit(call, "record_event", mark), call.on()))


def _mark(call: Call) -> str:
    return str(call.layout.mark_base(call.rank, call.op.event))


@emits("stream_wait_event")
def _stream_wait_event(call: Call) -> Steps:
    mark = _mark(call)
    yield from _forbidden(call, 0, mark)
    yield Step(0, f"is_pending({mark})", (*_submit(call, "stream_wait_event", mark), call.on()))
    yield Step(0, _needs_no_wait(call, mark), (call.on(),))


def _needs_no_wait(call: Call, mark: str) -> str:
    if UNRECORDED in call.layout.world.forbids:
        return f"mark[{mark}].on == DONE"
    return f"!is_pending({mark})"


def _forbidden(call: Call, sub: int, mark: str, effect: tuple[str, ...] = ()) -> Steps:
    if UNRECORDED in call.layout.world.forbids:
        yield Step(sub, f"mark[{mark}].on == NEVER", (*effect, call.fails("VIOLATION")))


@emits("event_synchronize")
def _event_synchronize(call: Call) -> Steps:
    if call.op.gil:
        raise CannotExport("an event synchronise with the interpreter lock (gil)")
    mark = _mark(call)
    yield from _forbidden(call, 0, mark)
    capture = f"capture_mark({call.rank}, {call.thread}, {mark})"
    yield Step(0, f"is_pending({mark})", (capture, call.stay(1)))
    yield Step(0, _needs_no_wait(call, mark), (call.stay(1),))
    yield Step(1, _not_waiting(call), (call.on(),))


@emits("event_query")
def _event_query(call: Call) -> Steps:
    into = call.place(call.op.into)
    yield Step(0, "true", (f"{into} = !is_pending({_mark(call)})", call.on()))


# --- waiting for the GPU ---------------------------------------------------------------------


def _not_waiting(call: Call) -> str:
    """That all a call captured is over."""
    streams = call.layout.cuda_streams(call.rank)
    first = call.layout.world.streams_of(call.rank)[0].slot
    captured = (f"thread[{call.thread}].pending[{s.slot - first}] == 0" for s in streams)
    return f"({all_of(captured)})"


def _capture_device(call: Call) -> list[str]:
    """Remember what every stream of the thread's current device holds."""
    specs = call.layout.world.stream_specs
    streams = [
        s for s in call.layout.cuda_streams(call.rank) if specs[s.slot].device == call.device
    ]
    return [f"capture({call.rank}, {call.thread}, {call.layout.stream(s.slot)})" for s in streams]


@emits("stream_synchronize", "device_synchronize")
def _synchronize(call: Call) -> Steps:
    if call.op.gil:
        raise CannotExport("a synchronise with the interpreter lock (gil)")
    if call.op.kind == "stream_synchronize":
        stream = call.stream
        captures = [f"capture({call.rank}, {call.thread}, {stream})"]
    else:
        captures = _capture_device(call)
    yield Step(0, "true", (*captures, call.stay(1)))
    yield Step(1, _not_waiting(call), (call.on(),))


@emits("stream_query")
def _stream_query(call: Call) -> Steps:
    stream = call.stream
    empty = f"{call.place(call.op.into)} = stream[{stream}].items == 0"
    yield Step(0, "true", (empty, call.on()))


@emits("malloc", "host_alloc")
def _allocates(call: Call) -> Steps:
    yield Step(0, _may_make(call), (call.on(),))


@emits(*FREES)
def _frees(call: Call) -> Steps:
    take = f"take_context({call.rank}, {call.thread})"
    yield Step(0, context_is_free(call), (take, *_capture_device(call), call.stay(1)))
    yield Step(1, _not_waiting(call), (f"give_context({call.rank})", call.on()))


@emits("load")
def _load(call: Call) -> Steps:
    there = call.place(loaded(call.op.module))
    if call.layout.world.machine.switches.first_use == "returns":
        yield Step(0, context_is_free(call), (f"{there} = true", call.on()))
        return
    yield from _load_steps(call, call.op.module, call.stay(0))
    free = all_of((context_is_free(call), there, _not_waiting(call)))
    yield Step(0, free, (call.on(),))


def _load_steps(call: Call, module: str, after: str) -> Steps:
    """Take the context lock, wait for what the device held, give it back.  #load"""
    there = call.place(loaded(module))
    take = f"take_context({call.rank}, {call.thread})"
    missing = all_of((context_is_free(call), f"!{there}"))
    yield Step(0, missing, (take, *_capture_device(call), call.stay(1)))
    yield Step(1, _not_waiting(call), (f"{there} = true", f"give_context({call.rank})", after))


# --- current devices and streams: specs/semantics.md#set-device ------------------------------


@emits("set_device")
def _set_device(call: Call) -> Steps:
    device = call.op.device
    if device and device not in call.layout.devices(call.rank):
        yield Step(0, "true", (call.fails("MISUSE"),))
        return
    yield Step(0, "true", (f"thread[{call.thread}].device = {device}", call.on()))


@emits("set_stream")
def _set_stream(call: Call) -> Steps:
    device = _stream_device(call)
    here = f"thread[{call.thread}].device = {device}"
    chosen = f"thread[{call.thread}].chosen[{device}] = {call.stream} + 1"
    yield Step(0, "true", (here, chosen, call.on()))


# --- CpuGpuEvent: specs/semantics.md#cpu-gpu-event-record ------------------------------------


@emits("cpu_gpu_event_record")
def _cpu_gpu_event_record(call: Call) -> Steps:
    op, layout = call.op, call.layout
    flag, current = call.place(op.event), call.place(f"{op.event}.current")
    base = layout.mark_base(call.rank, op.event)
    yield Step(0, f"!{flag}", (call.stay(1),), "b1")
    yield Step(0, flag, (call.fails("MISUSE"),), "b1 raises")
    last = base + layout.objects(call.rank, op.event)
    new = f"new_object({call.rank}, {base}, {last}, {current})"
    yield Step(1, "true", (new, call.stay(2)), "b2")
    if op.raises:
        yield Step(2, _may_make(call), (call.fails("FAULT"),), "b3 raises")
        return
    records = _submit(call, "record_event", f"{base} + {current}")
    yield Step(2, _may_make(call), (*records, call.stay(3)), "b3")
    yield Step(3, "true", (f"{flag} = true", call.on()), "b4")


@emits("cpu_gpu_event_wait")
def _cpu_gpu_event_wait(call: Call) -> Steps:
    op, layout = call.op, call.layout
    flag, current = call.place(op.event), call.place(f"{op.event}.current")
    base = layout.mark_base(call.rank, op.event)
    held = f"thread[{call.thread}].object"
    mark = f"{held} - 1"
    let_go = f"let_go({call.rank}, {call.thread}, {base} + {current})"
    yield Step(0, flag, (call.stay(1),), "a1")
    yield Step(1, "true", (f"{held} = {base} + {current} + 1", call.stay(2)), "a2")
    if op.raises:
        yield Step(2, "true", (let_go, call.fails("FAULT")), "a3 raises")
        return
    yield from _forbidden(call, 2, mark, (let_go,))
    waits = _submit(call, "stream_wait_event", mark)
    yield Step(2, f"is_pending({mark})", (*waits, let_go, call.stay(3)), "a3")
    no_wait = _needs_no_wait(call, mark)
    yield Step(2, no_wait, (let_go, call.stay(3)), "a3: there is nothing to wait for")
    yield Step(3, "true", (f"{flag} = false", call.on()), "a4")
