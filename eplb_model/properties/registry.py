"""How a property joins: one decorated function, its name on the outside a sentence.

Rules:
- A property looks at one state and returns what contradicts it; what it has to remember is in the
  state.  What can't be seen in one state is decided by the search, under a property of kind `fair`.
- Every property has its section in specs/properties.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from eplb_model.outcome import Verdict
from eplb_model.state import State

# In which states it has to hold: in all; where nobody has work left; where nobody can move.
# A `fair` one is about whole runs on which whoever could move without interruption does move.
PropertyKind: TypeAlias = Literal["always", "at_end", "at_stop", "fair"]
Rule: TypeAlias = Callable[[State], tuple[Verdict, str] | str | None]


class Property(NamedTuple):
    """A sentence, where it has to hold, what it means if it does not, and how to tell."""

    kind: PropertyKind
    sentence: str
    verdicts: tuple[Verdict, ...]
    rule: Rule

    def broken_by(self, state: State) -> tuple[Verdict, str] | None:
        """The verdict and what of a state contradicts it, None if nothing does."""
        found = self.rule(state)
        return (self.verdicts[0], found) if isinstance(found, str) else found


PROPERTIES: dict[str, Property] = {}  # by sentence, in the order in which they are asked


def always(sentence: str, *, verdict: Verdict | tuple[Verdict, ...]) -> Callable[[Rule], Property]:
    """Register what has to hold in every state; of several verdicts the rule names one."""
    return _register("always", sentence, verdict)


def at_end(sentence: str, *, verdict: Verdict) -> Callable[[Rule], Property]:
    """Register what has to hold in every state in which nobody has work left."""
    return _register("at_end", sentence, verdict)


def at_stop(sentence: str, *, verdict: Verdict) -> Callable[[Rule], Property]:
    """Register what has to hold in every state in which nobody can move."""
    return _register("at_stop", sentence, verdict)


def fair(sentence: str, *, verdict: Verdict) -> Property:
    """Register what has to hold of every fair run; the search decides it (explore/stall.py)."""
    return _register("fair", sentence, verdict)(lambda state: None)


def _register(
    kind: PropertyKind, sentence: str, verdict: Verdict | tuple[Verdict, ...]
) -> Callable[[Rule], Property]:
    verdicts = verdict if isinstance(verdict, tuple) else (verdict,)

    def register(rule: Rule) -> Property:
        assert sentence not in PROPERTIES, f"[model bug] two properties say: {sentence}"
        PROPERTIES[sentence] = Property(kind, sentence, verdicts, rule)
        return PROPERTIES[sentence]

    return register
