"""How the cases of the battery are written, and how they are answered.

Rules:
- A case pins one rule of the law; nearly all are small enough to be counted by hand.
- The search here is its own ten lines, so that the cases hold for the law alone.

An answer reads "5 states: 1 ok x=2, 1 deadlock 0.main": the states that are reached, then the
distinct ends by kind, with the variable x of rank 0 where it has a value, or with who is left.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eplb_model.machine import FOOTPRINTS, MACHINES, Machine
from eplb_model.ops import OPERATIONS
from eplb_model.ops.expression import Value, Variable
from eplb_model.properties import violation
from eplb_model.scenario import RankPlan, Scenario, Statement, ThreadPlan
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.wait_for import stuck_set
from eplb_model.world import Grain, Kernel, Meets, Stream

TINY = MACHINES["tiny"]
Body = Sequence[Statement]


@dataclass(frozen=True)
class Case:
    """A scenario and its answer; `claim` is the rule that it pins."""

    claim: str
    scenario: Scenario
    answer: str


CASES: dict[str, Case] = {}


def case(answer: str) -> Callable[[Callable[[], Scenario]], Callable[[], Scenario]]:
    """Register a scenario under the name of the function that makes it; its docstring claims."""

    def register(make: Callable[[], Scenario]) -> Callable[[], Scenario]:
        CASES[make.__name__] = Case(make.__doc__ or "", make(), answer)
        return make

    return register


MOST_STATES = 5_000  # a mutant may never come to an end


def answer_of(scenario: Scenario) -> str:
    """Search everything and say what there is."""
    start = initial(scenario.world)
    known, frontier, ends = {start}, deque([start]), Counter[str]()
    while frontier:
        if len(known) > MOST_STATES:
            return f"more than {MOST_STATES} states"
        state = frontier.popleft()
        actions = [] if violation(state) else enabled(state)
        if not actions:
            ends[end_of(state)] += 1
        for after in (step(state, action) for action in actions):
            if after not in known:
                known.add(after)
                frontier.append(after)
    return f"{len(known)} states: " + ", ".join(f"{ends[end]} {end}" for end in sorted(ends))


def end_of(state: State) -> str:
    broken = violation(state)
    if broken is not None:
        return broken.verdict
    left = state.unfinished()
    if left:
        stuck = "" if stuck_set(state) == set(left) else " but not stuck"
        return f"deadlock {' '.join(map(str, left))}{stuck}"
    x = state.read(0, "x") if (0, "x") in state.world.slots else None
    return "ok" if x is None else f"ok x={x}"


def got(name: str) -> str:
    try:
        return answer_of(CASES[name].scenario)
    except Exception as error:  # noqa: BLE001  # a mutant may break anything; that is its answer
        return f"{type(error).__name__}: {error}"


# --- how cases are written -------------------------------------------------------------------


def op(kind: str, *values: Any, **fields: Any) -> Any:
    """An operation by its kind."""
    return OPERATIONS[kind](*values, **fields)


def launch(kernel: str, stream: str = "a", **fields: Any) -> Any:
    return op("launch", kernel, stream, **fields)


def put(variable: str, value: Any) -> Any:
    return op("put", variable, Value(value))


def add(number: int) -> Any:
    return op("put", "x", Variable("x", number))


def kernel(name: str, ctas: int = 1, **others: Any) -> Kernel:
    """A regular kernel, one CTA per SM, that ends by itself, all CTAs in one step."""
    footprint = FOOTPRINTS[others.pop("footprint", "exclusive")]
    chosen = {"launch": "regular", "cluster": 1, "ends": "together", **others}
    return Kernel(name=name, ctas=ctas, footprint=footprint, **chosen)


def gang(name: str, ctas: int, **others: Any) -> Kernel:
    return kernel(name, ctas, launch="cooperative", **others)


def spinner(ctas: int, flag: str = "go", **others: Any) -> Kernel:
    """Holds its SMs until the host sets a flag."""
    return kernel("spinner", ctas, until=flag, **others)


def meeting(grain: Grain, *offsets: int, with_: str = "k", eager: bool = False) -> Meets:
    return Meets(grain, offsets, offsets, with_, eager)


def rank(*bodies: Body, streams: Sequence[Stream | str] = ("a", "b"), x: Any = None) -> RankPlan:
    """Threads t0, t1, ...; streams by name where only that matters."""
    return RankPlan(
        tuple(ThreadPlan(f"t{n}", tuple(body)) for n, body in enumerate(bodies)),
        tuple(s if isinstance(s, Stream) else Stream(s) for s in streams),
        {} if x is None else {"x": x},
    )


def scenario(
    *ranks: RankPlan, kernels: Sequence[Kernel] = (), machine: Machine = TINY, **others: Any
) -> Scenario:
    return Scenario("case", machine, {k.name: k for k in kernels}, ranks, **others)
