"""A table of few bodies that stands for a rank with many: it goes back at the end of each body.

A local state of the whole rank is a state of the table and a number of laps: how many of the bodies
that were cut out have been passed.  While some are left, a step into the body behind `TURN` leads
to the same situation one body earlier, and one lap more is done.

Rules, looked at state by state; where one fails, the rank is tabulated as it is:
- From a state before the turn nobody gets further than two bodies ahead: what cutting moved nearer,
  the text behind the bodies, is never seen while bodies are left.
- Every state behind the turn is one before it, shifted: its launches of a body are all over.
- The steps of that state, shifted, are the steps of the one behind the turn.
- A kernel and the one that it asks for are launched as often in a body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eplb_model.explore.fast.repetition import Repetition, cut, repetition_of
from eplb_model.explore.fast.table import Ask, Edge, Table
from eplb_model.state import State
from eplb_model.world import World

TURN = 1  # the body at whose end to go back, counted from 0: the first one may begin otherwise
AHEAD = 2  # bodies that a thread may be in front of the others
BODIES = TURN + AHEAD + 2  # that are left in the text


class Uneven(Exception):
    """Why a rank can't be folded."""


@dataclass(frozen=True, slots=True)
class Fold:
    """How often a table goes round, and where it goes back."""

    laps: int
    launches: Mapping[str, int]  # in one lap, of each kernel whose launches are numbered
    back: Mapping[tuple[int, int], int]  # by a step's state and target, the target one body earlier
    depth: int  # steps of the machine in one lap


NO_FOLD = Fold(0, {}, {}, 0)


def folded(
    world: World, rank: int, enough: Callable[[], str | None] = lambda: None
) -> tuple[Table, Fold] | None:
    """The table of a rank with few bodies, and how it goes round; None if that can't be."""
    whole = repetition_of(world, rank, BODIES + 1)
    if whole is None:
        return None
    few, laps = whole.shorter(BODIES), whole.count - BODIES
    described = cut(world.ranks[rank], whole, laps)
    if described is None:
        return None
    try:
        table = Table(world, rank, described=described, enough=enough, watch=_Watch(few))
        return table, _Folding(table, few).fold(laps)
    except Uneven:
        return None


class _Watch:
    """Looks at every step of a table whether it runs too far ahead."""

    def __init__(self, repetition: Repetition) -> None:
        self._repetition = repetition

    def __call__(self, before: State, after: State) -> None:
        here, there = self._repetition.body(before), self._repetition.body(after)
        if not here <= there <= here + 1:
            raise Uneven("a step out of its body")
        if here <= TURN and self._repetition.furthest(after) > there + AHEAD:
            raise Uneven("a thread that is too far ahead")


class _Folding:
    """Finds where a table goes back, and looks whether it may."""

    def __init__(self, table: Table, repetition: Repetition) -> None:
        self._table, self._repetition = table, repetition

    def fold(self, laps: int) -> Fold:
        """The fold, if there is one."""
        table = self._table
        bodies = [self._repetition.body(state) for state in table.states]
        back: dict[tuple[int, int], int] = {}
        for here, edges in enumerate(table.edges):
            for edge in edges:
                self._asks_go_on(edge)
                if bodies[here] == TURN and bodies[edge.target] == TURN + 1:
                    sooner = self._moved(edge.target, -1)
                    if sooner is None:
                        raise Uneven("a body leaves a trace")
                    back[here, edge.target] = sooner
        pairs = {(sooner, later) for (_, later), sooner in back.items()}
        depths = {table.depth[later] - table.depth[sooner] for sooner, later in pairs}
        if len(depths) > 1 or not all(self._alike(*pair) for pair in pairs):
            raise Uneven("a body that is not like the one before it")
        return Fold(laps, self._repetition.launches, back, max(depths, default=0))

    def _asks_go_on(self, edge: Edge) -> None:
        launches = self._repetition.launches
        for kernel, wanted in edge.asks:
            if launches.get(kernel, 0) != launches.get(wanted.kernel, 0):
                raise Uneven("a kernel that meets another one, launched more or less often")

    def _moved(self, number: int, by: int) -> int | None:
        """The state in the same situation some bodies later, or earlier."""
        table = self._table
        state = self._repetition.shifted(table.states[number], table.rank, by)
        return None if state is None else table.number_of(state)

    def _alike(self, sooner: int, later: int) -> bool:
        """Whether the steps of a state are those of the same situation one body later."""
        expected = [
            edge._replace(asks=later_asks(edge.asks, self._repetition.launches, 1), target=target)
            for edge in self._table.edges[sooner]
            if (target := self._moved(edge.target, 1)) is not None
        ]
        return expected == list(self._table.edges[later])


def later_asks(asks: frozenset[Ask], launches: Mapping[str, int], laps: int) -> frozenset[Ask]:
    """What a step asks so many laps later."""
    return frozenset(
        ask._replace(
            wanted=ask.wanted._replace(
                number=ask.wanted.number + laps * launches.get(ask.wanted.kernel, 0)
            )
        )
        for ask in asks
    )
