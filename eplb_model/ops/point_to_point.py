"""Host point-to-point over a named group (gloo): requests are posted, then waited for together.

Rules (specs/semantics.md#isend):
- For each ordered pair of ranks of a group, the n-th send meets the n-th receive, whoever comes
  first; nothing on the wire says what they carry.
- A request is complete once it has met its counterpart; the value is then in the receiver's
  variable.  What nobody meets stays posted, also after its thread has died or gone on; a wait
  whose time limit expires takes back what is open.
- A peer is a rank of the group.  With `peer_is` "global" the number is read as a global rank, the
  mistake that some libraries invite: an error if it is not a member, else the wrong peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from eplb_model.ops.expression import Expression
from eplb_model.ops.kernel import too_late, who_may
from eplb_model.ops.registry import GroupName, HostStep, NewVariable, operation
from eplb_model.ops.time_limits import expired, is_hopeless
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import Failure, Request, State
from eplb_model.world import Offer, World

PeerIs = Literal["group", "global"]


class _Posts(HostStep):
    """Post a request to a peer and go on."""

    __slots__ = ()
    group: str
    peer: int
    peer_is: PeerIs

    def offers(self) -> tuple[Offer, ...]:
        return ((self.kind, self.group),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        return None

    def effect(self, state: State, me: Actor) -> State:
        peer = peer_of(state.world, me, self)
        if isinstance(peer, Failure):
            return state.fail(me, peer)
        return _post(state, self.request(state, me, peer)).advance(me)

    def request(self, state: State, me: Actor, peer: int) -> Request:
        raise NotImplementedError


@operation
@dataclass(frozen=True, slots=True)
class Isend(_Posts):
    """Host: post the send of a value to a peer.

    specs/semantics.md#isend
    """

    kind: ClassVar[str] = "isend"
    group: GroupName
    peer: int
    value: Expression
    peer_is: PeerIs = "group"

    def request(self, state: State, me: Actor, peer: int) -> Request:
        value = self.value.of(state, me)
        return Request(self.group, me.rank, peer, me.slot, True, value)


@operation
@dataclass(frozen=True, slots=True)
class Irecv(_Posts):
    """Host: post a receive from a peer into a variable.

    specs/semantics.md#irecv
    """

    kind: ClassVar[str] = "irecv"
    group: GroupName
    peer: int
    into: NewVariable
    peer_is: PeerIs = "group"

    def request(self, state: State, me: Actor, peer: int) -> Request:
        return Request(self.group, peer, me.rank, me.slot, False, self.into)


@operation
@dataclass(frozen=True, slots=True)
class WaitRequests(HostStep):
    """Host: wait until every request that this thread has posted is complete.

    specs/semantics.md#wait-requests
    """

    kind: ClassVar[str] = "wait_requests"
    timeout: bool = False

    def guard(self, state: State, me: Actor) -> Wait | None:
        wait = self._wait(state, me)
        return None if wait is not None and self.timeout and is_hopeless(wait) else wait

    def _wait(self, state: State, me: Actor) -> Wait | None:
        mine = [request for request in state.mail if request.thread == me.slot]
        if not mine:
            return None

        def explain() -> tuple[str, Clauses]:
            whats = ", ".join(_what(request) for request in mine)
            clauses = tuple(who_may(state, *_counterpart(request)) for request in mine)
            late = dict.fromkeys(too_late(state, *_counterpart(request)) for request in mine)
            return f"has open requests: {whats}{''.join(late)}", clauses

        return Wait(explain)

    def effect(self, state: State, me: Actor) -> State:
        others = tuple(request for request in state.mail if request.thread != me.slot)
        if len(others) == len(state.mail):
            return state.advance(me)
        return expired(state._replace(mail=others), me, "wait_requests")


def peer_of(world: World, me: Actor, post: _Posts) -> int | Failure:
    """The global rank that a request names, or the error that it raises."""
    group, peer, peer_is = post.group, post.peer, post.peer_is
    members = world.groups[group]
    if peer_is == "global" and peer in members:
        found = peer
    elif peer_is == "group" and 0 <= peer < len(members):
        found = members[peer]
    else:
        return Failure("misuse", f"{peer} is no {peer_is} rank of group {group} {list(members)}")
    if me.rank not in members or found == me.rank:
        return Failure("misuse", f"rank {me.rank} has no peer {found} in group {group}")
    return found


def _post(state: State, request: Request) -> State:
    """Meet the first open counterpart of the pair, or stay open."""
    for number, other in enumerate(state.mail):
        if other.pair == request.pair and other.is_send != request.is_send:
            left = (*state.mail[:number], *state.mail[number + 1 :])
            send, receive = (request, other) if request.is_send else (other, request)
            return state._replace(mail=left).write(receive.target, receive.data, send.data)
    mail = sorted((*state.mail, request), key=lambda each: each.pair)  # stable: first in, first met
    return state._replace(mail=tuple(mail))


def _what(request: Request) -> str:
    if request.is_send:
        return f"a send to rank {request.target}"
    return f"a receive from rank {request.source}"


def _counterpart(request: Request) -> tuple[int, Offer]:
    """Where, and by what, a request is met."""
    if request.is_send:
        return request.target, ("irecv", request.group)
    return request.source, ("isend", request.group)
