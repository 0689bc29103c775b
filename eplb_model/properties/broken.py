"""What a state breaks: first what every scenario has to keep, then what this one claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eplb_model.outcome import Verdict
from eplb_model.properties.registry import PROPERTIES
from eplb_model.state import State

if TYPE_CHECKING:
    from eplb_model.claims import Claim

ALWAYS = ("always", "agree")
AT_END = ("at_end", "eventually")  # a run that has ended comes to nothing else


class Violation(NamedTuple):
    """A property or claim that a state breaks."""

    verdict: Verdict
    message: str
    sentence: str = ""
    claim: Claim | None = None


def violation(state: State) -> Violation | None:
    """The first property or claim that a state breaks, if any.

    Deadlocks and stalls are not looked for: nobody being able to move is for the search to see.
    """
    found = _broken(state, "always") or _claim_broken(state, ALWAYS)
    if found is not None or not _may_have_ended(state):
        return found
    return _broken(state, "at_end") or _claim_broken(state, AT_END)


def never_again(state: State) -> tuple[Claim, ...]:
    """The claims that come to nothing because nobody can move any more."""
    return tuple(
        claim
        for claim in state.world.claims
        if claim.kind == "eventually" and claim.broken_by(state) is not None
    )


def _may_have_ended(state: State) -> bool:
    """Whether nobody has work left, for states in which that matters."""
    asks = state.mail or any(claim.kind in AT_END for claim in state.world.claims)
    return bool(asks) and not state.unfinished()


def _broken(state: State, kind: str) -> Violation | None:
    for each in PROPERTIES.values():
        if each.kind == kind:
            found = each.broken_by(state)
            if found is not None:
                return Violation(*found, each.sentence)
    return None


def _claim_broken(state: State, kinds: tuple[str, ...]) -> Violation | None:
    for claim in state.world.claims:
        if claim.kind in kinds:
            why = claim.broken_by(state)
            if why is not None:
                ended = "the run has ended, and " if claim.kind in AT_END else ""
                message = f"{claim.sentence}: {ended}{why}"
                return Violation("violation", message, claim.sentence, claim)
    return None
