"""Is what was seen one of the model's behaviours?

A run refines the model if some run of the model has exactly the calls that were seen, actor by
actor, with the same results, the same work leaving the streams in the same order, and the same
end.  Between actors only what the model itself orders counts, and the steps that were granted one
by one.  Rules (specs/refinement.md):
- completed: the model's run ends too, with the values that were seen.
- hung: after all that was seen, the calls that never came back belong to actors that the model
  leaves stuck for ever.  The other actors may have got further than their last line.
- cut: all that was seen can be reached; nothing is said about the end.
- A refusal names the step that is impossible, at the point that most of the run leads to.

The search is for one run in the product of the model and what is left of each actor's events.
A step that settling would take alone is taken alone here too, which keeps the ends of that product:
no other actor's steps matter to it, and an actor's events restrain that actor alone.  Where
programs loop for ever it has to lead to something new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from eplb_model.explore.search import Bounds, explore
from eplb_model.explore.settle import Settling
from eplb_model.explore.stall import find_stall
from eplb_model.observation import Call, Observation
from eplb_model.outcome import Action, Actor
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.step import initial, options, step, wait_of
from eplb_model.trace import parse_schedule, phrase
from eplb_model.wait_for import stuck_set, waiting
from eplb_model.world import HostOperation

Ending = Literal["completed", "hung", "cut"]

MOST_NODES = 200_000
MOST_PROBLEMS = 6  # in a message
LOOPS_UP_TO = 20_000  # states that are looked at for a loop that leaves somebody out


@dataclass(frozen=True, slots=True)
class Refinement:
    """Whether a run is allowed; `holds` is None if a bound ended the search first."""

    holds: bool | None
    message: str
    schedule: tuple[Action, ...] = ()  # a run of the model that looks the same

    def __bool__(self) -> bool:
        return self.holds is True


class _Node(NamedTuple):
    state: State
    at: tuple[int, ...]  # by actor of the world: how many of its events are behind it


def refine(
    scenario: Scenario,
    seen: Observation,
    ending: Ending,
    granted: str = "",
    visible: Callable[[HostOperation], bool] | frozenset[str] | None = None,
) -> Refinement:
    """Look for a run of the model that is what was seen.

    Parameters
    ----------
    scenario
        The model; its switches must be single settings.
    seen
        What was seen.
    ending
        How the run ended.
    granted
        The schedule whose words were granted one by one, in words; the run begins with it.
    visible
        The kinds of operation that the driver reports, or a question that says so of each; None
        for all.  The model takes other host steps as it likes.
    """
    return _Product(scenario, seen, ending, _shows(visible)).search(granted)


def _shows(
    visible: Callable[[HostOperation], bool] | frozenset[str] | None,
) -> Callable[[HostOperation], bool]:
    if visible is None:
        return lambda op: True
    if isinstance(visible, frozenset):
        kinds = visible
        return lambda op: op.kind in kinds
    return visible


class _Product:
    def __init__(
        self,
        scenario: Scenario,
        seen: Observation,
        ending: Ending,
        shows: Callable[[HostOperation], bool],
    ) -> None:
        self._world = scenario.world
        self._seen = seen
        self._ending = ending
        self._shows = shows
        self._settling = Settling(scenario.world)
        self._index = {actor: number for number, actor in enumerate(self._world.actors)}
        self._pending = frozenset(seen.open_calls) if ending == "hung" else frozenset[Actor]()
        self._farthest = -1
        self._refusals: list[str] = []

    # --- the search --------------------------------------------------------------------------

    def search(self, granted: str) -> Refinement:
        node = _Node(initial(self._world), (0,) * len(self._world.actors))
        schedule = parse_schedule(self._world, granted)
        for number, action in enumerate(schedule, start=1):
            wait = wait_of(node.state, action)
            if wait is not None:
                return Refinement(False, f"granted step {number}, {action}: it {wait.why}")
            after = self._take(node, action)
            if isinstance(after, str):
                return Refinement(False, f"granted step {number}, {action}: {after}")
            node = after
        return self._from(node, schedule)

    def _from(self, start: _Node, way: tuple[Action, ...]) -> Refinement:
        came_from: dict[_Node, tuple[_Node, Action] | None] = {start: None}
        stack = [start]
        while stack:
            if len(came_from) > MOST_NODES:
                return Refinement(None, f"no answer within {MOST_NODES} states of the product")
            node = stack.pop()
            following, refusals = self._following(node, came_from)
            if not following:
                problem = self._not_the_end(node, refusals)
                if problem is None:
                    return Refinement(
                        True, "the model has this run", (*way, *_way(came_from, node))
                    )
                self._refuse(node, problem)
            for action, after in reversed(following):
                if after not in came_from:
                    came_from[after] = (node, action)
                    stack.append(after)
        return Refinement(False, _shortened(list(dict.fromkeys(self._refusals))))

    def _following(
        self, node: _Node, known: Collection[_Node]
    ) -> tuple[list[tuple[Action, _Node]], list[str]]:
        following: list[tuple[Action, _Node]] = []
        refusals = []
        for action, wait in options(node.state):
            if wait is None:
                after = self._take(node, action)
                if isinstance(after, str):
                    refusals.append(after)
                else:
                    following.append((action, after))
        alone = set(self._settling.alone(node.state, [action for action, _ in following]))
        for pair in following:
            if pair[0] in alone and not (self._world.cyclic and pair[1] in known):
                return [pair], refusals
        return following, refusals

    def _refuse(self, node: _Node, problems: list[str]) -> None:
        """Keep what stands against the nodes that most of the run leads to."""
        done = sum(node.at)
        if done > self._farthest:
            self._farthest, self._refusals = done, []
        if done == self._farthest:
            self._refusals += problems

    # --- one step ----------------------------------------------------------------------------

    def _take(self, node: _Node, action: Action) -> _Node | str:
        """The product after a step that the model allows, or why it is not what was seen."""
        if action.actor.is_stream:
            return self._take_stream(node, action)
        return self._take_host(node, action)

    def _take_stream(self, node: _Node, action: Action) -> _Node | str:
        actor = action.actor
        head = node.state.head(actor)
        assert head is not None, f"[model bug] {actor} has nothing to do"
        after = step(node.state, action)
        if self._seen.items is None or _still_there(node.state, after, actor):
            return _Node(after, node.at)
        items = self._seen.items[actor]
        at = node.at[self._index[actor]]
        work = head.work.kernel or head.work.kind
        if at == len(items):
            return f"{actor}: {work} did not end"
        if items[at] != work:
            return f"{actor}: {items[at]} ended, the model has {work} there"
        return self._on(node, after, actor)

    def _take_host(self, node: _Node, action: Action) -> _Node | str:
        actor = action.actor
        pc = node.state.threads[actor.slot].pc
        op = self._world.programs[actor.slot].code[pc]
        if not self._shows(op):
            return _Node(step(node.state, action), node.at)
        calls = self._seen.calls[actor]
        at = node.at[self._index[actor]]
        if at == len(calls):
            return f"{actor}: {phrase(op)} was never called"
        call = calls[at]
        if not _is_call_of(call, pc, op):
            return f"{actor}: {call} was called, the model is at {phrase(op)} (operation {pc})"
        after = step(node.state, action)
        others = self._take_failures(node, after, actor)
        if isinstance(others, str):
            return others
        if after.threads[actor.slot].pc == pc and op.kind != "branch" and _runs(after, actor):
            return others  # the call goes on
        problem = self._wrong_return(call, op, node.state, after, actor)
        return self._on(others, after, actor) if problem is None else f"{actor}: {problem}"

    def _take_failures(self, node: _Node, after: State, actor: Actor) -> _Node | str:
        """The calls of other threads that the same step ends: collectives that don't pair."""
        taken = _Node(after, node.at)
        for other in self._world.threads:
            then, now = node.state.threads[other.slot], after.threads[other.slot]
            goes_on = now.pc == then.pc and now.status == "running"
            if other == actor or then.status != "running" or goes_on:
                continue
            op = self._world.programs[other.slot].code[then.pc]
            if not self._shows(op):
                continue
            call = self._seen.calls[other][node.at[self._index[other]]]
            problem = self._wrong_return(call, op, node.state, after, other)
            if problem is not None:
                return f"{other}: {problem}"
            taken = self._on(taken, after, other)
        return taken

    def _wrong_return(
        self, call: Call, op: HostOperation, before: State, after: State, actor: Actor
    ) -> str | None:
        failed = _failed(before, after, actor)
        if call.came_back == "open":
            return f"{call} never came back, the model lets it" if actor in self._pending else None
        if call.came_back == "raise":
            if failed is None:
                return f"{call} raised, the model lets it return"
            told = call.result.get("family", failed)
            return None if failed in ("", told) else f"{call} raised {told}, not {failed}"
        if failed is not None:
            return f"{call} returned, the model raises {failed}"
        return _wrong_result(call, op, before, after, actor)

    def _on(self, node: _Node, after: State, actor: Actor) -> _Node:
        index = self._index[actor]
        return _Node(after, (*node.at[:index], node.at[index] + 1, *node.at[index + 1 :]))

    # --- the end -----------------------------------------------------------------------------

    def _not_the_end(self, node: _Node, refusals: list[str]) -> list[str] | None:
        """What is wrong with a node that nothing follows; None if it is the end that was seen."""
        left = list(self._left_over(node))
        if left:
            return [*refusals, *left]
        if self._ending == "cut":
            return None
        if self._ending == "hung":
            return self._not_stuck(node.state)
        unfinished = node.state.unfinished()
        if unfinished:
            waits = [f"{each.actor}: {each.why}" for each in waiting(node.state)]
            return [*refusals, *waits] or [f"{unfinished[0]} has work left"]
        return list(self._wrong_values(node.state)) or None

    def _left_over(self, node: _Node) -> Iterator[str]:
        """Events that were seen and that the model did not come to."""
        whys = {each.actor: each.why for each in waiting(node.state)}
        nowhere = ", the model does not come to it"
        for actor, at in zip(self._world.actors, node.at, strict=True):
            why = f", in the model it {whys[actor]}" if actor in whys else nowhere
            if actor.is_stream:
                items = () if self._seen.items is None else self._seen.items[actor]
                if at < len(items):
                    yield f"{actor}: {items[at]} ended{why}"
                continue
            calls = self._seen.calls[actor]
            if at < len(calls) and calls[at].came_back != "open":
                yield f"{actor}: {calls[at]} came back{why}"
            elif at + 1 < len(calls):
                yield f"{actor}: after {calls[at]} came {calls[at + 1]}{why}"
            elif actor in self._seen.exits and _runs(node.state, actor):
                yield f"{actor}: ended{why}"

    def _not_stuck(self, state: State) -> list[str] | None:
        """Why the calls that never came back are not stuck for ever in the model."""
        free = self._pending - stuck_set(state)
        if free:
            bounds = Bounds(max_states=LOOPS_UP_TO)
            stall = find_stall(explore(self._world, "bfs", bounds, None, state))
            free -= frozenset(stall.left_out) if stall else frozenset()
        calls = self._seen.open_calls
        return [
            f"{actor}: {calls[actor]} hung, the model frees it" for actor in sorted(free)
        ] or None

    def _wrong_values(self, state: State) -> Iterator[str]:
        for (rank, name), value in self._seen.final.items():
            if state.read(rank, name) != value:
                yield f"rank {rank}: {name} is {value!r}, in the model {state.read(rank, name)!r}"


def _is_call_of(call: Call, pc: int, op: HostOperation) -> bool:
    if call.op != op.kind or call.pc not in (None, pc):
        return False
    return all(getattr(op, name, None) == value for name, value in call.fields.items())


def _wrong_result(
    call: Call, op: HostOperation, before: State, after: State, actor: Actor
) -> str | None:
    result = call.result
    if "taken" in result:
        pc = before.threads[actor.slot].pc
        if getattr(op, "otherwise", None) == pc + 1:
            return None  # both ways lead there
        taken = after.threads[actor.slot].pc == pc + 1
        return None if taken == result["taken"] else f"{call} went the other way"
    into = getattr(op, "into", getattr(op, "variable", None))
    if "value" not in result or into is None:
        return None
    value = after.read(actor.rank, into)
    return None if value == result["value"] else f"{call} gave {result['value']!r}, not {value!r}"


def _failed(before: State, after: State, actor: Actor) -> str | None:
    """The family of the error that ended a call; "" if a handler took it, None if none."""
    failure = after.threads[actor.slot].failure
    if failure is not None:
        return failure.family
    pc, now = before.threads[actor.slot].pc, after.threads[actor.slot].pc
    for first, last, target in before.world.programs[actor.slot].handlers:
        if first <= pc <= last and now == target != pc + 1:
            return ""
    return None


def _shortened(problems: list[str]) -> str:
    more = len(problems) - MOST_PROBLEMS
    return "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


def _runs(state: State, actor: Actor) -> bool:
    return state.threads[actor.slot].status == "running"


def _still_there(before: State, after: State, stream: Actor) -> bool:
    """Whether the head of a stream is what it was: only a part of it ended."""
    head = after.head(stream)
    return head is not None and head is before.head(stream)


def _way(came_from: dict[_Node, tuple[_Node, Action] | None], node: _Node) -> Sequence[Action]:
    actions = []
    origin = came_from[node]
    while origin is not None:
        node, action = origin
        actions.append(action)
        origin = came_from[node]
    return tuple(reversed(actions))
