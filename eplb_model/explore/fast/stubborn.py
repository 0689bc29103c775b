"""Which steps of a rank can be followed alone: persistent sets on the rank's own table.

A set of actors is persistent in a local state if, whatever all others of the rank do first, and
whenever the peers come, its steps stay the ones there are and commute with every step on the way
(Godefroid 1996).  Ranks don't disturb each other, so such a set is persistent in the whole machine
too as long as nothing that its actors could do there still waits for a peer.

Rule: all ways of the others are followed to their end, pair by pair nothing is concluded.  Three
kernels of one slot each on two slots are independent in every pair, and yet the third one waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from eplb_model.explore.fast.quotient import Arc, Label

MOST_LOOKED_AT = 2_000  # classes in one question; who asks for more gets no answer


class Persistent:
    """The persistent sets of the classes of one rank; each is worked out once.

    Whether a kernel has to wait is part of what a step does, until `waited` says that some kernel
    of the machine had to: then it makes no difference any more.
    """

    def __init__(self, arcs: Sequence[Sequence[Arc]], *, waited: bool) -> None:
        self._arcs = arcs
        self._waited = waited
        self._known: dict[int, tuple[frozenset[int], ...]] = {}

    def sets(self, here: int) -> tuple[frozenset[int], ...]:
        """The persistent sets of actors in a class, those with the fewest steps first."""
        if here not in self._known:
            able = sorted({arc.actor for arc in self._arcs[here]})
            grown = {self._grown(here, seed) for seed in able}
            found = sorted(
                (each for each in grown if each is not None),
                key=lambda chosen: (len(self._steps(here, chosen)), sorted(chosen)),
            )
            self._known[here] = tuple(found)
        return self._known[here]

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
        expected = self._steps(here, chosen)
        seen, stack = {here}, [here]
        while stack:
            place = stack.pop()
            mine = self._steps(place, chosen)
            for arc in self._arcs[place]:
                if arc.actor in chosen:
                    continue
                if not self._commutes(place, arc, chosen, mine, expected):
                    return arc.actor
                if arc.target not in seen:
                    if len(seen) >= MOST_LOOKED_AT:
                        return next(iter(chosen))
                    seen.add(arc.target)
                    stack.append(arc.target)
        return None

    def _commutes(
        self,
        place: int,
        arc: Arc,
        chosen: frozenset[int],
        mine: Mapping[Label, int],
        expected: Mapping[Label, int],
    ) -> bool:
        """Whether the steps of a set are the same after a step of another, and either way round."""
        after = self._steps(arc.target, chosen)
        if after.keys() != expected.keys():
            return False
        label = self._label(arc)
        return all(
            self._all_steps[middle].get(label) == after[each] for each, middle in mine.items()
        )

    def _steps(self, here: int, chosen: frozenset[int]) -> Mapping[Label, int]:
        return {
            label: target for label, target in self._all_steps[here].items() if label[0] in chosen
        }

    @cached_property
    def _all_steps(self) -> Sequence[Mapping[Label, int]]:
        """By class, where each step leads."""
        found = [{self._label(arc): arc.target for arc in arcs} for arcs in self._arcs]
        assert all(map(_as_many, found, self._arcs)), "[model bug] a step leads to two classes"
        return found

    def _label(self, arc: Arc) -> Label:
        return arc.actor, arc.choice, arc.asks, arc.waits and not self._waited


def _as_many(steps: Mapping[Label, int], arcs: Sequence[Arc]) -> bool:
    return len(steps) == len(arcs)
