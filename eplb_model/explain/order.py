"""What happens before what in a run, step by step: only what is not implied by the rest.

Rule: the order is that of `happens_before`; of it the arrows keep what joins two actors and follows
from no other arrow (the transitive reduction).
"""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.happens_before import clocks
from eplb_model.render.story import Arrow
from eplb_model.trace import Trace

LONGEST_RUN = 400  # steps; an order is quadratic in them


def arrows(trace: Trace) -> Iterator[Arrow]:
    """From a step to each step of another actor that comes directly after it."""
    if len(trace.schedule) > LONGEST_RUN:
        return
    known = clocks(trace)
    place = {actor: n for n, actor in enumerate(trace.last.world.actors)}
    numbers: dict[tuple[int, int], int] = {}  # the step by which an actor has made so many
    latest: dict[int, int] = {}
    for number, action in enumerate(trace.schedule):
        me = place[action.actor]
        mine = known[number]
        before = known[latest[me]] if me in latest else (0,) * len(mine)
        news = [
            numbers[other, count]
            for other, count in enumerate(mine)
            if other != me and count > before[other]
        ]
        for step in news:
            other = place[trace.schedule[step].actor]
            count = mine[other]
            if not any(known[each][other] >= count for each in news if each != step):
                one, two = trace.schedule[step].actor, action.actor
                yield Arrow("happens before", str(one), str(two), step + 1, number + 1)
        numbers[me, mine[me]] = latest[me] = number
