"""Sampling: one run after another, each chosen step by step.  It finds; it never proves.

Choosers:
- *uniform*: every enabled action is as likely as every other.
- *pct*: random priorities for the actors, the most urgent moves, and at d - 1 random steps the one
  that moves falls behind all others (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized
  Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010).  Departure: the number of
  steps is estimated from the runs so far.
- *replay*: a given schedule (`trace.replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from eplb_model.outcome import Action, Actor
from eplb_model.properties import Violation, violation
from eplb_model.state import State
from eplb_model.step import enabled, initial, step
from eplb_model.world import World

Chooser = Callable[[State, Sequence[Action]], Action]


@dataclass(frozen=True, slots=True)
class Walk:
    """One run: its schedule, its last state, and what that breaks."""

    schedule: tuple[Action, ...]
    last: State
    broken: Violation | None
    finished: bool  # nobody can move; otherwise the run was cut or broken


def uniform(random: Random) -> Chooser:
    """Every enabled action is as likely as every other."""
    return lambda state, actions: random.choice(actions)


def pct(random: Random, depth: int, expected_steps: int) -> Chooser:
    """Priorities with `depth` - 1 changes: finds a bug of that depth with known probability."""
    priorities: dict[Actor, float] = {}
    changes = {random.randrange(max(1, expected_steps)) for _ in range(depth - 1)}
    taken = 0
    lowest = 0.0

    def choose(state: State, actions: Sequence[Action]) -> Action:
        nonlocal taken, lowest
        for action in actions:
            priorities.setdefault(action.actor, 1 + random.random())
        best = max(actions, key=lambda action: priorities[action.actor])
        if taken in changes:
            lowest -= 1
            priorities[best.actor] = lowest
            best = max(actions, key=lambda action: priorities[action.actor])
        taken += 1
        same = [action for action in actions if action.actor == best.actor]
        return random.choice(same)

    return choose


def walk(
    world: World,
    choose: Chooser,
    max_steps: int,
    watch: Callable[[State], None] = lambda state: None,
) -> Walk:
    """One run from the start, until it ends, breaks a property, or is long enough.

    `watch` is shown every state of it.
    """
    state = initial(world)
    schedule: list[Action] = []
    while True:
        watch(state)
        broken = violation(state)
        actions = () if broken else enabled(state)
        if not actions or len(schedule) >= max_steps:
            return Walk(tuple(schedule), state, broken, broken is None and not actions)
        action = choose(state, actions)
        schedule.append(action)
        state = step(state, action)
