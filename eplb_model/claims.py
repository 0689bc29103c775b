"""What a scenario claims of its own variables, each claim a sentence.  specs/properties.md#claims

Rules:
- A claim `on` several ranks is that claim of each of them by itself.
- A claim looks at one state; which states have to satisfy it is its kind.
- A variable that no operation of a rank mentions is null there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from eplb_model.ops.expression import Condition, Value
from eplb_model.outcome import Actor
from eplb_model.state import State

ClaimKind: TypeAlias = Literal["always", "at_end", "eventually", "sometimes", "agree"]
StatedKind: TypeAlias = Literal["always", "at_end", "eventually", "sometimes"]


@dataclass(frozen=True, slots=True)
class Stated:
    """A condition over the variables of one rank.

    `always`: in every state.  `at_end`: in every state in which nobody has work left.
    `eventually`: every fair run reaches it, and reaches it again whenever it has ceased to hold.
    `sometimes`: in some state of some run.
    """

    kind: StatedKind
    condition: Condition
    sentence: str
    on: tuple[int, ...] | None = None  # all ranks if None

    def names(self, rank: int) -> tuple[str, ...]:
        """The variables of a rank that it looks at."""
        return self.condition.variables if self.on is None or rank in self.on else ()

    def ranks(self, state: State) -> tuple[int, ...]:
        """The ranks that it is about."""
        return tuple(range(len(state.world.ranks))) if self.on is None else self.on

    def holds_on(self, state: State, rank: int) -> bool:
        """Whether the condition holds on a rank."""
        return self.condition.holds(state, Actor(rank, "", -1, False))

    def broken_by(self, state: State) -> str | None:
        """What of a state contradicts the condition."""
        for rank in self.ranks(state):
            if not self.holds_on(state, rank):
                values = ", ".join(_values(state, rank, self.condition.variables))
                seen = f" ({values})" if values else ""
                return f"on rank {rank}, {self.condition} fails{seen}"
        return None

    def __str__(self) -> str:
        where = "" if self.on is None else f" on rank {', '.join(map(str, self.on))}"
        return f"{self.kind.replace('_', ' ')} {self.condition}{where}"


@dataclass(frozen=True, slots=True)
class Agree:
    """In every state two ranks with the same key have the same value; a null key has none."""

    variable: str
    key: str
    sentence: str

    @property
    def kind(self) -> Literal["agree"]:
        return "agree"

    def names(self, rank: int) -> tuple[str, ...]:
        """The variables of a rank that it looks at."""
        return (self.variable, self.key)

    def broken_by(self, state: State) -> str | None:
        """What of a state contradicts it: the first two ranks that differ."""
        seen: list[_Seen] = []
        for rank in range(len(state.world.ranks)):
            key = state.read(rank, self.key)
            if key is None:
                continue
            mine = _Seen(rank, key, state.read(rank, self.variable))
            for other in seen:
                if other.key == mine.key and other.value != mine.value:
                    values = f"{self.variable} is {other} and {mine}"
                    return f"with {self.key} {Value(key)} on both, {values}"
            seen.append(mine)
        return None

    def __str__(self) -> str:
        return f"agree on {self.variable} when {self.key} is equal"


class _Seen(NamedTuple):
    rank: int
    key: object
    value: object

    def __str__(self) -> str:
        return f"{Value(self.value)} on rank {self.rank}"


Claim: TypeAlias = Stated | Agree


def _values(state: State, rank: int, names: tuple[str, ...]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        value = state.read(rank, name)
        yield f"{name} is {Value(value)}"
