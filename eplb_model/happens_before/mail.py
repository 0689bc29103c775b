"""Messages between ranks: a send and its receive happen before both ends of the wait for them."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TypeAlias

from eplb_model.happens_before.access import Clock, join
from eplb_model.happens_before.causes import posted
from eplb_model.outcome import Actor
from eplb_model.state import State

Pair: TypeAlias = tuple[str, int, int]  # of a message: group, source, target


class Mail:
    """The clocks of the messages of one run; used and thrown away with its history."""

    def __init__(self, nothing: Clock) -> None:
        self.answers: defaultdict[Actor, Clock] = defaultdict(lambda: nothing)  # what a wait sees
        self._posts: defaultdict[Pair, deque[Clock]] = defaultdict(deque)  # open, one side only
        self._met: defaultdict[Pair, Clock] = defaultdict(lambda: nothing)  # the latest of a pair

    def post(self, before: State, me: Actor, after: State, clock: Clock) -> Clock:
        """The clock of what a step has written: its own, or that of both ends if it met one."""
        left, met = posted(before, after)
        if left is not None:
            self._posts[left.pair].append(clock)
        if met is None:
            return clock
        both = join(clock, self._posts[met.pair].popleft(), self._met[met.pair])
        self._met[met.pair] = both
        for thread in (me, before.world.threads[met.thread]):
            self.answers[thread] = join(self.answers[thread], both)
        return both

    def take_back(self, before: State, me: Actor, after: State) -> None:
        """Forget the open requests of a thread whose time limit has expired."""
        if before.mail == after.mail:
            return
        for pair, clocks in self._posts.items():
            threads = [each.thread for each in before.mail if each.pair == pair]
            kept = [c for c, thread in zip(clocks, threads, strict=True) if thread != me.slot]
            self._posts[pair] = deque(kept)
