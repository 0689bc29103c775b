"""What each operation of a host thread does, apart from calls of the device.

Rules:
- An operation that takes one step is performed within it; what blocks, blocks there.
- A collective takes two: the part is brought in the first, the answer is used in the second.  The
  wait in between is outside of steps, because an answer may be an error that nobody granted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eplb_model.outcome import Actor
from eplb_model.world import World
from eplb_real.drivers.base import Ticket, Ties, peer_of
from eplb_real.errors import Died, Raised
from eplb_real.gates import Gates
from eplb_real.rank import Rank
from eplb_real.values import holds, value_of

# What an operation gave, as its `end` line says it.
Result = dict[str, Any]


@dataclass(frozen=True)
class Host:
    """What the operations of one rank work on."""

    world: World
    rank: Rank
    ties: Ties
    gates: Gates
    interpreter: Callable[[Actor], None]  # waits while another thread blocks with the GIL held
    requests: dict[str, list[Ticket]] = field(default_factory=dict)  # by thread

    def into(self, op: Any, value: Any) -> Result:
        """Put what an operation gave into its variable."""
        self.rank.write(op.into, value)
        return {"value": value}

    def posted(self, actor: Actor, ticket: Ticket) -> Result:
        """Remember a request for the thread's next wait."""
        self.requests.setdefault(actor.name, []).append(ticket)
        return {}


Operation = Callable[[Host, Actor, Any], Result]

OPERATIONS: dict[str, Operation] = {}

BLOCKING = ("acquire", "join", "wait_flag", "wait_requests")


def _one_step(kind: str) -> Callable[[Operation], Operation]:
    """Register an operation that is one atomic step."""

    def register(perform: Operation) -> Operation:
        def gated(host: Host, actor: Actor, op: Any) -> Result:
            with host.gates.step(str(actor)):
                host.interpreter(actor)
                result = perform(host, actor, op)
                if kind in BLOCKING:  # it let go of the interpreter while it was blocked
                    host.interpreter(actor)
                return result

        OPERATIONS[kind] = gated
        return perform

    return register


def _several_steps(kind: str) -> Callable[[Operation], Operation]:
    """Register an operation that asks the gates itself."""

    def register(perform: Operation) -> Operation:
        OPERATIONS[kind] = perform
        return perform

    return register


@_one_step("put")
def _put(host: Host, actor: Actor, op: Any) -> Result:
    value = host.rank.assign(op.variable, lambda variables: value_of(op.value, variables))
    return {"value": value}


@_one_step("take")
def _take(host: Host, actor: Actor, op: Any) -> Result:
    return {"value": host.rank.take(op.variable, op.into)}


@_one_step("assert")
def _check(host: Host, actor: Actor, op: Any) -> Result:
    if not host.rank.read(lambda variables: holds(op.condition, variables)):
        raise Raised("violation", f"it does not hold that {op.condition}")
    return {}


@_one_step("test")
def _test(host: Host, actor: Actor, op: Any) -> Result:
    value = host.rank.assign(op.into, lambda variables: holds(op.condition, variables))
    return {"value": value}


@_one_step("set")
def _set_flag(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.flags[op.flag].set()
    return {}


@_one_step("wait_flag")
def _wait_flag(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.flags[op.flag].wait()
    return {}


@_one_step("clear")
def _clear_flag(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.flags[op.flag].clear()
    return {}


@_one_step("is_set")
def _flag_is_set(host: Host, actor: Actor, op: Any) -> Result:
    return host.into(op, host.rank.flags[op.flag].is_set())


@_one_step("acquire")
def _acquire(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.locks[op.lock].acquire()
    return {}


@_one_step("try_acquire")
def _try_acquire(host: Host, actor: Actor, op: Any) -> Result:
    return host.into(op, host.rank.locks[op.lock].acquire(blocking=False))


@_one_step("release")
def _release(host: Host, actor: Actor, op: Any) -> Result:
    try:
        host.rank.locks[op.lock].release()
    except RuntimeError:
        raise Raised("misuse", f"lock {op.lock} is released by {actor}, nobody holds it") from None
    return {}


@_one_step("start")
def _start(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.threads[op.thread].start()
    if host.gates.closed:
        host.gates.await_arrival(f"{actor.rank}.{op.thread}")
    return {}


@_one_step("join")
def _join(host: Host, actor: Actor, op: Any) -> Result:
    host.rank.threads[op.thread].join()
    return {}


@_one_step("die")
def _die(host: Host, actor: Actor, op: Any) -> Result:
    raise Died


@_one_step("raise")
def _fail(host: Host, actor: Actor, op: Any) -> Result:
    raise Raised("fault", op.message)


@_one_step("isend")
def _isend(host: Host, actor: Actor, op: Any) -> Result:
    peer = peer_of(host.world, actor.rank, op.group, op.peer, op.peer_is)
    value = host.rank.read(lambda variables: value_of(op.value, variables))
    return host.posted(actor, host.ties.send(op.group, actor.rank, peer, value))


@_one_step("irecv")
def _irecv(host: Host, actor: Actor, op: Any) -> Result:
    peer = peer_of(host.world, actor.rank, op.group, op.peer, op.peer_is)

    def take(value: Any) -> None:
        host.rank.write(op.into, value)

    return host.posted(actor, host.ties.receive(op.group, peer, actor.rank, take))


@_one_step("wait_requests")
def _wait_requests(host: Host, actor: Actor, op: Any) -> Result:
    for ticket in host.requests.get(actor.name, ()):
        ticket.wait()
    host.requests.pop(actor.name, None)
    return {}


# --- several steps ---------------------------------------------------------------------------


@_several_steps("all_reduce")
def _all_reduce(host: Host, actor: Actor, op: Any) -> Result:
    def value() -> int:
        brought = host.rank.read(lambda variables: value_of(op.value, variables))
        if not isinstance(brought, int):
            raise Raised("violation", f"all_reduce takes a number, got {brought!r}")
        return int(brought)

    answer = _collective(host, actor, op, f"all_reduce {op.reduction}", value)
    with host.gates.step(str(actor)):
        host.interpreter(actor)
        return host.into(op, answer)


@_several_steps("barrier")
def _barrier(host: Host, actor: Actor, op: Any) -> Result:
    _collective(host, actor, op, "barrier", lambda: None)
    with host.gates.step(str(actor)):
        host.interpreter(actor)
        return {}


def _collective(
    host: Host, actor: Actor, op: Any, collective: str, value: Callable[[], int | None]
) -> Any:
    with host.gates.step(str(actor)):
        host.interpreter(actor)
        brought = value()
        agree = host.rank.read(lambda variables: value_of(op.agree, variables))
        if actor.rank not in host.world.groups[op.group]:
            raise Raised("misuse", f"rank {actor.rank} is no member of group {op.group}")
        ticket = host.ties.post(op.group, actor.rank, collective, brought, agree)
    host.gates.settled(str(actor))
    return ticket.wait()
