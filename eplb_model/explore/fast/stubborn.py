"""Which steps of a rank can be followed alone: persistent sets on the rank's own table.

A set of actors is persistent in a local state if, whatever all others of the rank do first, and
whenever the peers come, its steps stay the ones there are and commute with every step on the way
(Godefroid 1996).  Ranks don't disturb each other, so such a set is persistent in the whole machine
too as long as nothing that its actors could do there still waits for a peer.

Rule: all ways of the others are followed to their end, pair by pair nothing is concluded.  Three
kernels of one slot each on two slots are independent in every pair, and yet the third one waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from eplb_model.explore.fast.fold import NO_FOLD, Fold, later_asks
from eplb_model.explore.fast.quotient import NOWHERE, Arc, Label

MOST_LOOKED_AT = 2_000  # classes in one question; who asks for more gets no answer

Steps = Mapping[Label, int]  # where each step leads


class Sets(NamedTuple):
    """The persistent sets of actors in a class, those with the fewest steps first."""

    found: tuple[frozenset[int], ...]
    reach: int | None  # holds for so many laps left or more; None: for the very number asked for


class Persistent:
    """The persistent sets of the classes of one rank; each is worked out once.

    Whether a kernel has to wait is part of what a step does, until `waited` says that some kernel
    of the machine had to: then it makes no difference any more.

    Where a table goes round, ways are followed round it, as often as bodies are left.  A way that
    ends before the last one is the same for every number of bodies left that is no smaller.
    """

    def __init__(
        self, arcs: Sequence[Sequence[Arc]], fold: Fold = NO_FOLD, *, waited: bool
    ) -> None:
        self._arcs = arcs
        self._launches = fold.launches
        self._waited = waited
        self._size = len(arcs)
        self._at_the_end = [self._labelled(here, back=False) for here in range(len(arcs))]
        self._before = (
            [self._labelled(here, back=True) for here in range(len(arcs))]
            if fold.laps
            else self._at_the_end
        )
        self._lifted = cache(self._lift)
        self._known: dict[int, Sets] = {}
        self._known_near_the_end: dict[tuple[int, int], Sets] = {}
        self._left = 0  # bodies left in the class that is looked at, and how many were passed
        self._passed = 0
        self._now = self._at_the_end

    def sets(self, here: int, left: int = 0) -> Sets:
        """The persistent sets of a class with so many bodies left."""
        known = self._known.get(here)
        if known is None or known.reach is None or known.reach > left:
            known = self._known_near_the_end.get((here, left))
        if known is None:
            known = self._looked_for(here, left)
            if known.reach is None:
                self._known_near_the_end[here, left] = known
            else:
                self._known[here] = known
        return known

    def _looked_for(self, here: int, left: int) -> Sets:
        self._left, self._passed = left, 0
        self._now = self._before if left else self._at_the_end
        able = sorted({arc.actor for arc in self._arcs[here]})
        grown = {self._grown(here, seed) for seed in able}
        found = sorted(
            (each for each in grown if each is not None),
            key=lambda chosen: (len(_Chosen(self._all_steps, chosen)[here]), sorted(chosen)),
        )
        return Sets(tuple(found), self._passed + 1 if self._passed < left else None)

    def _grown(self, here: int, seed: int) -> frozenset[int] | None:
        """The smallest set around a seed that the check accepts; None if it would need sleepers."""
        able = {arc.actor for arc in self._arcs[here]}
        chosen = frozenset((seed,))
        while True:
            disturber = self._disturber(here, chosen)
            if disturber is None:
                return chosen
            if disturber not in able or disturber in chosen:
                return None
            chosen |= {disturber}

    def _disturber(self, here: int, chosen: frozenset[int]) -> int | None:
        """An actor outside a set with a step on the way that does not leave its steps alone."""
        steps_of = _Chosen(self._all_steps, chosen)
        expected = steps_of[here]
        seen, stack = {here}, [here]
        while stack:
            place = stack.pop()
            mine = steps_of[place]
            for label, target in self._all_steps(place).items():
                if label[0] in chosen:
                    continue
                after = steps_of[target]
                if after.keys() != expected.keys() or not self._commutes(label, mine, after):
                    return label[0]
                if target not in seen:
                    if len(seen) >= MOST_LOOKED_AT:
                        return next(iter(chosen))
                    seen.add(target)
                    stack.append(target)
        return None

    def _commutes(self, label: Label, mine: Steps, after: Steps) -> bool:
        """Whether a step leads on from the steps of a set to where these lead after it."""
        all_steps = self._all_steps
        return all(all_steps(middle).get(label) == after[each] for each, middle in mine.items())

    def _all_steps(self, place: int) -> Steps:
        """Where each step leads from a class, or from one some laps later."""
        if place < self._size:
            return self._now[place]
        passed, here = divmod(place, self._size)
        self._passed = max(self._passed, passed)
        return self._lifted(here, passed, passed < self._left)

    def _lift(self, here: int, passed: int, before: bool) -> Steps:
        """The steps of a class as they are so many laps later."""
        steps = self._before[here] if before else self._at_the_end[here]
        return {
            (actor, choice, later_asks(asks, self._launches, passed), waits): passed * self._size
            + target
            for (actor, choice, asks, waits), target in steps.items()
        }

    def _labelled(self, here: int, *, back: bool) -> Steps:
        """Where each step of a class leads, with or without bodies left."""
        found = {
            (arc.actor, arc.choice, arc.asks, arc.waits and not self._waited): (
                self._size + arc.back if back and arc.back != NOWHERE else arc.target
            )
            for arc in self._arcs[here]
        }
        assert len(found) == len(self._arcs[here]), "[model bug] a step leads to two classes"
        return found


class _Chosen(dict[int, Steps]):
    """By place, the steps of some actors."""

    def __init__(self, all_steps: Callable[[int], Steps], chosen: frozenset[int]) -> None:
        self._all_steps, self._chosen = all_steps, chosen

    def __missing__(self, place: int) -> Steps:
        found = self[place] = {
            label: target
            for label, target in self._all_steps(place).items()
            if label[0] in self._chosen
        }
        return found
