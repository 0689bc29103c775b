"""Host collectives over a named group (gloo): blocking, value-carrying, paired by order.

Rules (specs/semantics.md#all-reduce): the n-th call of one member pairs with the n-th
call of every other.  Nothing on the wire says which collective it is; the model looks, and a call
that pairs with one of another kind is a violation.  So is a call that pairs with one that says
something else under `agree`, which is what the program means to be equal (a step, a size).  A call
with a time limit raises where a member can never come any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from eplb_model.ops.expression import NOTHING, Expression
from eplb_model.ops.kernel import too_late, who_may
from eplb_model.ops.registry import GroupName, HostStep, NewVariable, operation
from eplb_model.ops.time_limits import expired, is_hopeless
from eplb_model.outcome import Actor, Clauses, Wait
from eplb_model.state import Answer, Failure, Post, State, put
from eplb_model.world import Offer

REDUCTIONS: Mapping[str, Callable[[Any], Any]] = {"sum": sum, "min": min, "max": max}


class _Collective(HostStep):
    """Post what this member brings, wait until everybody has, go on with the answer."""

    __slots__ = ()
    group: str
    timeout: bool

    def offers(self) -> tuple[Offer, ...]:
        return (("collective", self.group),)

    def guard(self, state: State, me: Actor) -> Wait | None:
        wait = self._wait(state, me)
        return None if wait is not None and self.timeout and is_hopeless(wait) else wait

    def _wait(self, state: State, me: Actor) -> Wait | None:
        local = state.thread(me).local
        if local != "posted":
            return None

        def explain() -> tuple[str, Clauses]:
            members = state.world.groups[self.group]
            posts = state.posts[list(state.world.groups).index(self.group)]
            absent = [rank for rank, mine in zip(members, posts, strict=True) if not mine]
            clauses = tuple(who_may(state, r, ("collective", self.group)) for r in absent)
            names = ", ".join(f"rank {rank}" for rank in absent)
            late = "".join(too_late(state, r, ("collective", self.group)) for r in absent)
            return f"is in {self.kind} on group {self.group}: waits for {names}{late}", clauses

        return Wait(explain)

    def _expired(self, state: State, me: Actor) -> State:
        """Raise, and take back what was brought: nobody will ever ask for it."""
        at = list(state.world.groups).index(self.group)
        mine = state.world.groups[self.group].index(me.rank)
        kept = tuple(each for each in state.posts[at][mine] if each.thread != me.slot)
        posts = put(state.posts, at, put(state.posts[at], mine, kept))
        return expired(state._replace(posts=posts), me, f"{self.kind} on group {self.group}")


@operation
@dataclass(frozen=True, slots=True)
class AllReduce(_Collective):
    """Host: combine one number of every member; everybody gets the result.

    specs/semantics.md#all-reduce
    """

    kind: ClassVar[str] = "all_reduce"
    group: GroupName
    value: Expression
    into: NewVariable
    reduction: Literal["sum", "min", "max"] = "sum"
    timeout: bool = False
    agree: Expression = NOTHING  # what all members must bring equal; null says nothing

    def effect(self, state: State, me: Actor) -> State:
        local = state.thread(me).local
        if local == "posted":
            return self._expired(state, me)
        if isinstance(local, Answer):
            return state.write(me.rank, self.into, local.value).advance(me)
        value = self.value.of(state, me)
        if not isinstance(value, int):
            return state.fail(me, Failure("violation", f"all_reduce of {value!r}, not a number"))
        mine = Post(me.slot, f"all_reduce {self.reduction}", int(value), self.agree.of(state, me))
        return post(state, me, self.group, mine)


@operation
@dataclass(frozen=True, slots=True)
class Barrier(_Collective):
    """Host: wait until every member of the group has come.

    specs/semantics.md#barrier
    """

    kind: ClassVar[str] = "barrier"
    group: GroupName
    timeout: bool = False
    agree: Expression = NOTHING  # what all members must bring equal; null says nothing

    def effect(self, state: State, me: Actor) -> State:
        local = state.thread(me).local
        if local == "posted":
            return self._expired(state, me)
        if isinstance(local, Answer):
            return state.advance(me)
        return post(state, me, self.group, Post(me.slot, "barrier", None, self.agree.of(state, me)))


def post(state: State, me: Actor, group: str, brought: Post) -> State:
    """Bring this member's part; if it is the last one, everybody gets the answer."""
    members = state.world.groups[group]
    at = list(state.world.groups).index(group)
    if me.rank not in members:
        return state.fail(me, Failure("misuse", f"rank {me.rank} is not in group {group}"))
    mine = members.index(me.rank)
    posts = state.posts[at]
    posts = put(posts, mine, (*posts[mine], brought))
    state = state.stay(me, "posted")
    if not all(posts):
        return state._replace(posts=put(state.posts, at, posts))
    heads = [queue[0] for queue in posts]
    state = state._replace(posts=put(state.posts, at, tuple(queue[1:] for queue in posts)))
    kinds = {head.collective for head in heads}
    differ = _disagreement(state, group, heads)
    for head in heads:
        thread = state.world.threads[head.thread]
        if len(kinds) > 1:
            text = f"{head.collective} on group {group} meets {', '.join(sorted(kinds))}"
            state = state.fail(thread, Failure("violation", text))
        elif differ is not None:
            state = state.fail(thread, Failure("violation", differ))
        else:
            values = [each.value for each in heads]
            state = state.stay(thread, Answer(_reduce(brought.collective, values)))
    return state


def _disagreement(state: State, group: str, heads: list[Post]) -> str | None:
    """What two members say differently that all must bring equal; null says nothing."""
    said = [head for head in heads if head.agrees is not None]
    for other in said[1:]:
        if other.agrees != said[0].agrees:
            ranks = [state.world.threads[each.thread].rank for each in (said[0], other)]
            return (
                f"{other.collective} on group {group} pairs {said[0].agrees} of rank {ranks[0]} "
                f"with {other.agrees} of rank {ranks[1]}, which have to be equal"
            )
    return None


def _reduce(collective: str, values: list[Any]) -> Any:
    _, _, reduction = collective.partition(" ")
    return REDUCTIONS[reduction](values) if reduction else None
