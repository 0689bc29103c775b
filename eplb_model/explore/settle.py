"""Settling: steps that nothing else can disturb are followed alone.

A set of steps that may be taken in a state is persistent if no sequence of other steps can disable
one of them, or lead to a step that does not commute with one of them (Godefroid 1996).  Every run
to a deadlock takes one of these steps, and may take it first, so it is enough to follow them.
specs/semantics.md#settling

Rules:
- A set begins with the step of one actor.  Who may still do what one of its steps minds
  (`touches.py`) joins it; of an actor in it that waits, those who could free it join: one clause of
  its `Wait`, all of them where a time limit may end the wait.  A single step is preferred.
- A step that may change a variable of some claim is only followed with all others: every order of
  these is looked at, so no state in which a claim could be seen to hold or to fail is left out.
- CTAs of different channels of one kernel are steps of their own where nobody competes for SMs.
- Kernels don't compete where nothing more can arrive and at most one kernel waits.
The search adds two: a set is not followed alone if one of its steps breaks a property, or, where
programs loop for ever, leads to a state that was looked at before (`search.py`).
An access may begin earlier by this, never end earlier: races are neither hidden nor made up, but a
run that would have gone past one may not be seen any more, so `when` of a race is looked up in the
plain search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import or_

from eplb_model.distributor import kernel_of
from eplb_model.explore.touches import Touches, phase_of
from eplb_model.outcome import Action, Actor, Wait
from eplb_model.state import Item, State
from eplb_model.step import options_of
from eplb_model.world import World


class Settling:
    """The reduction for one world: call it with a state and its enabled actions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._touches = Touches(world)
        self._queued: dict[tuple[int, int, tuple[Item, ...], bool], dict[int, int]] = {}
        self._last: tuple[State, tuple[bool, ...]] | None = None  # which ranks of it are quiet

    def __call__(self, state: State, actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
        """Sets of actions each of which may be followed alone, the smallest first."""
        if len(actions) < 2:
            return
        minds = self.minded(state)
        singles = [(each,) for each in self._singles(state, actions, minds)]
        yield from singles
        seen: set[tuple[Action, ...]] = set(singles)
        sets = []
        for actor in dict.fromkeys(action.actor for action in actions):
            found = self._closure(state, actor, actions, minds)
            if found is not None and found not in seen:
                seen.add(found)
                sets.append(found)
        yield from sorted(sets, key=len)

    def alone(self, state: State, actions: Sequence[Action]) -> Iterator[Action]:
        """The actions each of which may be taken alone."""
        return self._singles(state, actions, self.minded(state))

    def minded(self, state: State) -> dict[Actor, int]:
        """What each actor with work left may still mind."""
        found = {}
        threads, futures = state.threads, self._touches.futures
        for me in self._world.actors:
            if not me.is_stream:
                thread = threads[me.slot]
                if thread.status == "running":
                    found[me] = futures[me.slot][thread.pc]
            else:
                bits = self._held(state, me)
                if bits is not None:
                    found[me] = bits
        return found

    def _held(self, state: State, me: Actor) -> int | None:
        """What the work in a stream minds; None if it holds nothing."""
        connection = self._world.connections[me.slot]
        queue = state.devices[me.rank].queues[connection]
        if not queue:
            return None
        quiet = self._quiet(state)[me.rank]
        key = (me.rank, connection, queue, quiet)
        known = self._queued.get(key)
        if known is None:
            known = self._queued[key] = {}
            for item in queue:
                stream = self._world.streams[item.stream]
                bits = self._touches.ending(stream, item.work, quiet).minds
                known[item.stream] = known.get(item.stream, 0) | bits
        return known.get(me.slot)

    # --- single steps ------------------------------------------------------------------------

    def _singles(
        self, state: State, actions: Sequence[Action], minds: dict[Actor, int]
    ) -> Iterator[Action]:
        actors, bits = list(minds), list(minds.values())
        before = [0, *accumulate(bits, or_)]
        after = [0, *accumulate(reversed(bits), or_)]
        count = len(bits)
        at = {actor: number for number, actor in enumerate(actors)}
        for action in actions:
            number = at[action.actor]
            others = before[number] | after[count - 1 - number]
            does = self.does(state, action)
            disturbs = does & (others | self._touches.claimed)
            if not disturbs and not self._has_rivals(action, does):
                yield action

    def does(self, state: State, action: Action) -> int:
        """What the next step of an actor does."""
        me = action.actor
        if not me.is_stream:
            thread = state.threads[me.slot]
            op = self._world.programs[me.slot].code[thread.pc]
            return self._touches.step(me, op, phase_of(state, me, op)).does
        head = state.head(me)
        assert head is not None, f"[model bug] {action} from an empty stream"
        return self._touches.ending(me, head.work, self._quiet(state)[me.rank]).does

    def _has_rivals(self, action: Action, does: int) -> bool:
        """Whether other steps of the same stream compete with one for SMs."""
        rank = action.actor.rank
        rivals = action.choice is not None and not self._world.roomy[rank]
        return rivals and bool(does & self._touches.sms(rank))

    def _quiet(self, state: State) -> tuple[bool, ...]:
        """By rank, whether kernels could compete, but no more can arrive and at most one waits."""
        if self._last is None or self._last[0] is not state:
            roomy = self._world.roomy
            found = (not roomy[r] and self._is_quiet(state, r) for r in range(len(roomy)))
            self._last = (state, tuple(found))
        return self._last[1]

    def _is_quiet(self, state: State, rank: int) -> bool:
        device = state.devices[rank]
        for queue in device.queues:
            for item in queue:
                stream = self._world.streams[item.stream]
                arrived = state.run_of(stream) is not None and state.head(stream) is item
                if item.work.kernel is not None and not arrived:
                    return False
        waiting = sum(1 for run in device.arrived if len(run.seats) < kernel_of(state, run).ctas)
        return waiting <= 1 and not self._may_launch(state, rank)

    def _may_launch(self, state: State, rank: int) -> bool:
        offers = self._world.reachable_offers
        return any(
            what in ("launch", "group_end")
            for thread in self._world.threads_of(rank)
            if state.threads[thread.slot].status != "ended"
            for what, _ in offers[thread.slot][state.threads[thread.slot].pc]
        )

    # --- sets --------------------------------------------------------------------------------

    def _closure(
        self, state: State, seed: Actor, actions: Sequence[Action], minds: dict[Actor, int]
    ) -> tuple[Action, ...] | None:
        """The steps of a persistent set that begins with an actor; None if it takes them all."""
        inside = {seed}
        ahead = [seed]
        taken: set[Action] = set()
        while ahead:
            me = ahead.pop()
            joining: list[Actor] = []
            for action, wait in self._options(state, me):
                if wait is not None:
                    joining += self._freed_by(state, me, wait, inside)
                    continue
                does = self.does(state, action)
                if does & self._touches.claimed:
                    return None
                taken.add(action)
                joining += (other for other, bits in minds.items() if does & bits and other != me)
            for other in joining:
                if other not in inside:
                    inside.add(other)
                    ahead.append(other)
            if len(taken) == len(actions):
                return None
        return tuple(action for action in actions if action in taken)

    def _options(self, state: State, me: Actor) -> list[tuple[Action, Wait | None]]:
        """The next steps of an actor that belong together."""
        options = list(options_of(state, me))
        if len(options) > 1:
            for option in options:
                action, wait = option
                if wait is None and not self._has_rivals(action, self.does(state, action)):
                    return [option]
        return options

    def _freed_by(self, state: State, me: Actor, wait: Wait, inside: set[Actor]) -> Sequence[Actor]:
        """Those of whom one has to move before a wait can end."""
        thread = None if me.is_stream else state.threads[me.slot]
        if thread is not None:
            op = self._world.programs[me.slot].code[thread.pc]
            if getattr(op, "timeout", False):
                return [actor for clause in wait.on for actor in clause]
        if not wait.on:
            return list(self._world.actors)
        return min(wait.on, key=lambda clause: sum(each not in inside for each in clause))
