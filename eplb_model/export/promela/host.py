"""Operations of host threads that touch no GPU: variables, flags, locks, threads."""

from __future__ import annotations

from eplb_model.export.promela.call import Call, Step, Steps, emits
from eplb_model.export.promela.kernels import await_guard


@emits("put")
def _put(call: Call) -> Steps:
    yield Step(
        0, "true", (f"{call.place(call.op.variable)} = {call.value(call.op.value)}", call.on())
    )


@emits("take")
def _take(call: Call) -> Steps:
    source, into = call.place(call.op.variable), call.place(call.op.into)
    yield Step(0, f"{source} != NULL", (f"{into} = {source}", f"{source} = NULL", call.on()))
    yield Step(0, f"{source} == NULL", (call.fails("VIOLATION"),))


@emits("assert")
def _assert(call: Call) -> Steps:
    return call.either(0, call.holds(call.op.condition), call.on(), call.fails("VIOLATION"))


@emits("test")
def _test(call: Call) -> Steps:
    into = call.place(call.op.into)
    yield Step(0, "true", (f"{into} = {call.holds(call.op.condition)}", call.on()))


@emits("branch")
def _branch(call: Call) -> Steps:
    if call.op.condition is None:
        yield Step(0, "true", (call.go(call.op.otherwise),))
        return
    holds = call.holds(call.op.condition)
    yield from call.either(0, holds, call.on(), call.go(call.op.otherwise))


@emits("set", "clear")
def _set_or_clear(call: Call) -> Steps:
    setting = "true" if call.op.kind == "set" else "false"
    yield Step(0, "true", (f"{call.place(call.op.flag)} = {setting}", call.on()))


@emits("wait_flag")
def _wait_flag(call: Call) -> Steps:
    yield Step(0, call.place(call.op.flag), (call.on(),))


@emits("is_set")
def _is_set(call: Call) -> Steps:
    yield Step(0, "true", (f"{call.place(call.op.into)} = {call.place(call.op.flag)}", call.on()))


@emits("acquire")
def _acquire(call: Call) -> Steps:
    lock = call.place(call.op.lock)
    yield Step(0, f"{lock} == NULL", (f"{lock} = {call.thread}", call.on()))


@emits("try_acquire")
def _try_acquire(call: Call) -> Steps:
    lock, into = call.place(call.op.lock), call.place(call.op.into)
    yield Step(0, f"{lock} == NULL", (f"{lock} = {call.thread}", f"{into} = true", call.on()))
    yield Step(0, f"{lock} != NULL", (f"{into} = false", call.on()))


@emits("release")
def _release(call: Call) -> Steps:
    lock = call.place(call.op.lock)
    yield Step(0, f"{lock} != NULL", (f"{lock} = NULL", call.on()))
    yield Step(0, f"{lock} == NULL", (call.fails("MISUSE"),))


@emits("start")
def _start(call: Call) -> Steps:
    target = call.layout.world.thread(call.rank, call.op.thread)
    new = call.layout.is_new(target)
    begins = f"thread[{call.layout.thread(target)}].begun = true"
    yield Step(0, new, (begins, call.on()))
    yield Step(0, f"!{new}", (call.fails("MISUSE"),))


@emits("join")
def _join(call: Call) -> Steps:
    target = call.layout.world.thread(call.rank, call.op.thread)
    new, busy = call.layout.is_new(target), call.layout.is_busy(target)
    yield Step(0, f"!{new} && !{busy}", (call.on(),))
    yield Step(0, new, (call.fails("MISUSE"),))


@emits("die")
def _die(call: Call) -> Steps:
    yield Step(0, "true", (f"fail({call.thread}, FAULT)",))


@emits("raise")
def _raise(call: Call) -> Steps:
    yield Step(0, "true", (call.fails("FAULT"),))


@emits("access")
def _access(call: Call) -> Steps:
    yield Step(0, "true", (call.on(),))


@emits("await_resident", "await_complete")
def _await(call: Call) -> Steps:
    yield Step(0, f"({await_guard(call.layout, call.rank, call.op)})", (call.on(),))
