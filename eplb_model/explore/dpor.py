"""Source-DPOR: one run for each order of conflicting steps, and no state remembered.

A second engine for programs that end; its use is that it agrees with the first.  Source sets and
sleep sets after Abdulla, Aronis, Jonsson and Sagonas (Optimal Dynamic Partial Order Reduction, POPL
2014; the journal version is J. ACM 64(4), 2017), without wakeup trees.

Rules, and where they differ from the paper:
- What conflicts is read off footprints (footprints.py).  An actor with several choices counts as
  several processes, which conflict with one another.
- Guards may block.  A race is followed if the later step could be taken without the earlier one;
  steps that wait take part in races, so a step that disables another is tried after it too.
- A meeting orders but never races: who ends a kernel comes after the steps that brought the peers.
- A run goes on beyond a failed thread, since failures stay; so all ends of all runs are seen, but
  for what only some states on the way show (races on buffers, claims).
- With a bound on preemptions there are no sleep sets, and a step that is to be tried somewhere is
  also tried where the actor that runs there began to (Coons, Musuvathi and McKinley, Bounded
  Partial-Order Reduction, OOPSLA 2013).  With a bound on delays nothing is reduced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from eplb_model.explore.footprints import Footprint, Footprints
from eplb_model.ops.collectives import AllReduce, Barrier
from eplb_model.ops.kernel import RunKernel
from eplb_model.outcome import Action, Actor
from eplb_model.state import Answer, State
from eplb_model.step import enabled, initial, options, step
from eplb_model.world import World


@dataclass(frozen=True, slots=True)
class TraceBounds:
    """Where the exploration stops.  `runs` counts all that are begun."""

    runs: int | None = None
    steps: int | None = None
    preemptions: int | None = None
    delays: int | None = None
    enough: Callable[[], str | None] = lambda: None  # names a bound of the caller's


@dataclass(slots=True)
class Traces:
    """What the runs came to: each end once, with the schedule that first reached it."""

    complete: int = 0  # runs to an end: one for each trace in the sense of Mazurkiewicz
    asleep: int = 0  # runs that were given up because all that is left was done before
    steps: int = 0
    ends: dict[State, tuple[Action, ...]] = field(default_factory=dict)
    cut: str | None = None  # the bound that left something unexplored

    @property
    def failed(self) -> list[State]:
        """Ends with a thread that an error ended."""
        return [end for end in self.ends if _has_failed(end)]

    @property
    def deadlocks(self) -> list[State]:
        """Ends with work left, and no error before."""
        return [end for end in self.ends if end.unfinished() and not _has_failed(end)]


def explore_traces(world: World, bounds: TraceBounds | None = None) -> Traces:
    """Follow at least one run of every trace, from the start to an end.

    Raises `ValueError` for programs that loop for ever: their runs have no end.
    """
    if world.cyclic:
        raise ValueError("a program loops for ever; expected programs whose runs end")
    return _Explorer(world, bounds or TraceBounds()).explore()


class _Event(NamedTuple):
    """A step of the current run."""

    action: Action
    footprint: Footprint
    before: int  # bit i: the i-th event of the run happens before this one
    called: str | None  # the host group whose collective it enters


@dataclass(slots=True)
class _Frame:
    """A state of the current run, and what is to be tried there."""

    state: State
    sure: list[Action]  # what is enabled
    tried: list[Action] = field(default_factory=list)
    wanted: list[Action] = field(default_factory=list)
    asleep: dict[Action, Footprint] = field(default_factory=dict)
    spent: int = 0  # preemptions or delays so far

    def want(self, action: Action) -> None:
        if action not in self.wanted:
            self.wanted.append(action)

    def next_action(self) -> Action | None:
        left = (a for a in self.wanted if a not in self.tried and a not in self.asleep)
        return next(left, None)


class _Explorer:
    """The depth-first walk; used once."""

    def __init__(self, world: World, bounds: TraceBounds) -> None:
        self._footprints = Footprints(world)
        self._bounds = bounds
        self._bounded = bounds.preemptions is not None or bounds.delays is not None
        self._frames: list[_Frame] = []
        self._events: list[_Event] = []
        self._found = Traces()
        self._enter(initial(world), {}, 0)

    def explore(self) -> Traces:
        while self._frames:
            if (cut := self._cut()) is not None:
                self._found.cut = cut
                break
            frame = self._frames[-1]
            action = frame.next_action()
            if action is None:
                self._leave()
            elif self._affords(frame, action):
                self._take(frame, action)
            else:
                frame.tried.append(action)
                self._found.cut = "delays" if self._bounds.preemptions is None else "preemptions"
        return self._found

    def _cut(self) -> str | None:
        found, bounds = self._found, self._bounds
        if bounds.runs is not None and found.complete + found.asleep >= bounds.runs:
            return "runs"
        if bounds.steps is not None and found.steps >= bounds.steps:
            return "steps"
        return bounds.enough()

    # --- the walk ----------------------------------------------------------------------------

    def _take(self, frame: _Frame, action: Action) -> None:
        frame.tried.append(action)
        event = self._event(frame.state, action)
        for at in self._races(frame.state, action, event.footprint):
            self._reverse(at, action, event.before)
        asleep = {
            each: footprint
            for each, footprint in frame.asleep.items()
            if not footprint.conflicts(event.footprint) and each.actor != action.actor
        }
        spent = frame.spent + self._price(frame, action)
        self._events.append(event)
        self._found.steps += 1
        self._enter(step(frame.state, action), {} if self._bounded else asleep, spent)

    def _enter(self, state: State, asleep: dict[Action, Footprint], spent: int) -> None:
        waiting = [action for action, wait in options(state) if wait is not None]
        frame = _Frame(state, enabled(state), asleep=asleep, spent=spent)
        self._frames.append(frame)
        for action in waiting:
            footprint = self._footprints.of(state, action)
            for at in self._races(state, action, footprint):
                self._reverse(at, action, self._before(state, action, footprint))
        awake = [action for action in frame.sure if action not in asleep]
        if self._bounds.delays is not None:
            frame.wanted = list(frame.sure)
        elif awake:
            frame.want(self._first(awake))
        if not frame.sure:
            self._found.complete += 1
            self._found.ends.setdefault(state, tuple(e.action for e in self._events))
        elif not awake:
            self._found.asleep += 1

    def _first(self, awake: list[Action]) -> Action:
        """What costs nothing where preemptions are bounded: the actor that ran goes on."""
        last = self._events[-1].action.actor if self._events else None
        return next((action for action in awake if action.actor == last), awake[0])

    def _leave(self) -> None:
        self._frames.pop()
        if self._events:
            event = self._events.pop()
            if not self._bounded:
                self._frames[-1].asleep[event.action] = event.footprint

    # --- bounds ------------------------------------------------------------------------------

    def _affords(self, frame: _Frame, action: Action) -> bool:
        budget = self._bounds.preemptions
        budget = self._bounds.delays if budget is None else budget
        return budget is None or frame.spent + self._price(frame, action) <= budget

    def _price(self, frame: _Frame, action: Action) -> int:
        """Of a preemption, where the actor that ran could go on; or of the actors passed over."""
        last = self._events[-1].action.actor if self._events else None
        actors = list(dict.fromkeys(each.actor for each in frame.sure))
        if self._bounds.delays is None:
            return int(last in actors and action.actor != last)
        everyone = frame.state.world.actors
        start = 0 if last is None else everyone.index(last)
        turn = [*everyone[start:], *everyone[:start]]
        return [actor for actor in turn if actor in actors].index(action.actor)

    # --- what happens before what --------------------------------------------------------------

    def _event(self, state: State, action: Action) -> _Event:
        footprint = self._footprints.of(state, action)
        called = None
        if not action.actor.is_stream:
            op = _operation(state, action.actor)
            if isinstance(op, (AllReduce, Barrier)) and state.thread(action.actor).local is None:
                called = op.group
        return _Event(action, footprint, self._before(state, action, footprint), called)

    def _before(self, state: State, action: Action, footprint: Footprint) -> int:
        before = 0
        for at in self._direct(state, action, footprint):
            before |= self._events[at].before | 1 << at
        return before

    def _direct(self, state: State, action: Action, footprint: Footprint) -> Iterator[int]:
        """The events before this one for a reason of their own, the last first."""
        enabling = set(self._enabling(state, action))
        for at in range(len(self._events) - 1, -1, -1):
            event = self._events[at]
            own = event.action.actor == action.actor
            if own or at in enabling or event.footprint.conflicts(footprint):
                yield at

    def _races(self, state: State, action: Action, footprint: Footprint) -> list[int]:
        """The events that conflict with this step, with nothing that orders them in between."""
        found, covered = [], 0
        enabling = set(self._enabling(state, action))
        for at in self._direct(state, action, footprint):
            event = self._events[at]
            if not covered >> at & 1 and at not in enabling and event.action != action:
                found.append(at)
            covered |= event.before
        return found

    def _enabling(self, state: State, action: Action) -> Iterator[int]:
        """Events of other ranks without which a step of a meeting could not be taken."""
        if action not in enabled(state):
            return
        actor = action.actor
        if not actor.is_stream:
            if isinstance(state.thread(actor).local, Answer):
                yield from self._calls(state, actor)
            return
        head = state.head(actor)
        assert head is not None
        if isinstance(head.work, RunKernel) and state.world.kernels[head.work.runs].meets:
            for rank in range(len(state.world.ranks)):
                at = None if rank == actor.rank else self._brought(state, action, rank)
                if at is not None:
                    yield at

    def _brought(self, state: State, action: Action, rank: int) -> int | None:
        """The last event of a rank without which a kernel could not end."""
        for at in range(len(self._events) - 1, -1, -1):
            if self._events[at].action.actor.rank == rank:
                was = self._frames[at].state
                counts, devices = list(state.counts), list(state.devices)
                counts[rank], devices[rank] = was.counts[rank], was.devices[rank]
                without = state._replace(counts=tuple(counts), devices=tuple(devices))
                if action not in enabled(without):
                    return at
        return None

    def _calls(self, state: State, me: Actor) -> Iterator[int]:
        """The calls that pair with the one that this thread has made."""
        op = _operation(state, me)
        assert isinstance(op, (AllReduce, Barrier))
        by_rank: dict[int, list[int]] = {}
        number = 0
        for at, event in enumerate(self._events):
            if event.called == op.group:
                mine = by_rank.setdefault(event.action.actor.rank, [])
                mine.append(at)
                if event.action.actor == me:
                    number = len(mine)
        for calls in by_rank.values():
            if len(calls) >= number:
                yield calls[number - 1]

    # --- races ---------------------------------------------------------------------------------

    def _reverse(self, at: int, action: Action, before: int) -> None:
        """See to it that a run is followed in which the step comes without that event."""
        later = range(at + 1, len(self._events))
        kept = [n for n in later if not self._events[n].before >> at & 1]
        state = self._frames[at].state
        for number in kept:
            state = step(state, self._events[number].action)
        if action not in enabled(state):
            return
        frame, mask = self._frames[at], 0
        firsts: list[Action] = []
        for number in kept:
            if not self._events[number].before & mask:
                firsts.append(self._events[number].action)
            mask |= 1 << number
        if not before & mask:
            firsts.insert(0, action)
        if not any(first in frame.wanted for first in firsts):
            frame.want(firsts[0])
        if self._bounds.preemptions is not None:
            self._want_earlier(at, firsts)

    def _want_earlier(self, at: int, firsts: list[Action]) -> None:
        """Where preemptions are bounded: also where the actor that runs there began to."""
        start = at
        while start and self._events[start - 1].action.actor == self._events[at].action.actor:
            start -= 1
        for number in (at, start):
            frame = self._frames[number]
            possible = [first for first in firsts if first in frame.sure]
            for each in possible or frame.sure:
                frame.want(each)


def _operation(state: State, me: Actor) -> object:
    return state.world.programs[me.slot].code[state.threads[me.slot].pc]


def _has_failed(state: State) -> bool:
    failures = (thread.failure for thread in state.threads)
    return any(failure is not None and failure.family != "fault" for failure in failures)
