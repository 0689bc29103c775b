"""Programs that repeat themselves, as Hypothesis draws them, and what folding may not change."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from hypothesis import strategies as st

from eplb_model.drawn import drawn_kernels
from eplb_model.explore.fast import table
from eplb_model.explore.fast.answer import Answer, answer
from eplb_model.machine import Machine
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.flags import Clear, Set, WaitFlag
from eplb_model.ops.launch import AwaitComplete, AwaitResident, Launch
from eplb_model.ops.locks import Acquire, Release
from eplb_model.ops.synchronize import StreamSynchronize
from eplb_model.scenario import RankPlan, Repeat, Scenario, Statement, ThreadPlan
from eplb_model.world import Kernel, Stream, World
from tests.generated import machines

STREAMS = ("s0", "s1")
BODIES = (6, 8)  # of a thread; fewer are never folded
MOST_PLACES = 1_500
MOST_LOCAL = 2_000  # states of one rank

# What a thread may do beside launches and waits for launches.
OTHERS: tuple[tuple[Statement, ...], ...] = (
    (),
    (),
    (RecordEvent("e", "s0"), StreamWaitEvent("s1", "e")),
    (Acquire("lock"), Release("lock")),
    (Set("flag"), WaitFlag("flag"), Clear("flag")),
    (Set("flag"),),
    (StreamSynchronize("s0"),),
    (RecordEvent("e", "s1"),),
)
BEFORE: tuple[tuple[Statement, ...], ...] = ((), (), (Acquire("other"), Release("other")))


def everything(world: World, *, folding: bool, symmetry: bool = True) -> Answer:
    """The answer of the fast search, within a bound."""
    return answer(world, symmetry, MOST_PLACES, lambda: None, folding=folding)


def said(answered: Answer) -> tuple[object, ...]:
    """What two searches of one world have to agree in: all that they say."""
    found, ends = answered.found, answered.ends
    return (
        len(found.places),
        found.transitions,
        found.cut,
        answered.depth,
        {kind: len(numbers) for kind, numbers in ends.items()},
        answered.waited,
        # Following a way makes sure that it can be followed.
        {kind: len(answered.run_to(numbers[0]).schedule) for kind, numbers in ends.items()},
    )


def difference(world: World, *, symmetry: bool = True) -> tuple[bool, str | None]:
    """Whether a world is folded, and what folding changes; `NotCovered` where nothing is said."""
    whole = everything(world, folding=False, symmetry=symmetry)
    few = everything(world, folding=True, symmetry=symmetry)
    if said(few) == said(whole):
        return few.found.roles.folded, None
    return few.found.roles.folded, f"{said(few)} instead of {said(whole)}"


def small_difference(world: World) -> tuple[bool, str | None]:
    """The same where the tables of ranks are small."""
    with patch.object(table, "MOST_STATES", MOST_LOCAL):
        return difference(world)


@st.composite
def repetitive(draw: st.DrawFn, machine: Machine) -> Scenario:
    """A scenario whose threads repeat bodies that launch each kernel as often on every rank."""
    ranks = draw(st.integers(1, 3))
    kernels = drawn_kernels(draw, 3, 4, ranks)
    times = draw(st.integers(*BODIES))
    streams = {each.name: draw(st.sampled_from(STREAMS)) for each in kernels}
    texts = [_rank(draw, kernels, streams, times) for _ in range(draw(st.integers(1, 2)))]
    plans = (texts[0], *(texts[-1] for _ in range(ranks - 1)))
    return Scenario("repetitive", machine, {each.name: each for each in kernels}, plans)


def _rank(
    draw: st.DrawFn, kernels: Sequence[Kernel], streams: dict[str, str], times: int
) -> RankPlan:
    count = draw(st.integers(1, 2))
    bodies: list[list[Statement]] = [[] for _ in range(count)]
    for kernel in draw(st.permutations(kernels)):
        draw(st.sampled_from(bodies)).append(Launch(kernel.name, streams[kernel.name]))
    threads = []
    for name, body in zip("ab", bodies, strict=False):
        waits = draw(st.lists(st.sampled_from(kernels), max_size=2, unique=True))
        for kernel in waits:
            wait = draw(st.sampled_from((AwaitResident, AwaitComplete)))
            body.insert(draw(st.integers(0, len(body))), wait(kernel.name))
        more = draw(st.sampled_from(OTHERS))
        at = draw(st.integers(0, len(body)))
        body[at:at] = list(more)
        if draw(st.sampled_from((True, True, True, False))):
            waited = {op.kernel for op in body if isinstance(op, AwaitComplete)}
            body += [AwaitComplete(each.name) for each in kernels if each.name not in waited]
        before: tuple[Statement, ...] = draw(st.sampled_from(BEFORE))
        after: tuple[Statement, ...] = draw(
            st.sampled_from(((), (), (Launch(kernels[0].name, "s0"),), (Set("over"),)))
        )
        threads.append(ThreadPlan(name, (*before, Repeat(times, tuple(body)), *after)))
    return RankPlan(tuple(threads), tuple(map(Stream, STREAMS)), {"flag0": True, "flag": False})


drawn = machines().flatmap(repetitive)
