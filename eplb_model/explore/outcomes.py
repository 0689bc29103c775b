"""What became of the claims of a scenario.  specs/properties.md#claims

Rule: a claim holds, or its case is not reached, only if every run was seen to its end: where a
bound cut the search or a broken property ended a run, what was not seen to fail is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable

from eplb_model.claims import Claim, Stated
from eplb_model.explore.search import Exploration
from eplb_model.explore.stall import GivenUp
from eplb_model.outcome import Claimed, ClaimOutcome, Finding
from eplb_model.properties import never_again
from eplb_model.state import State
from eplb_model.world import World


class Reached:
    """Which `sometimes` claims have been seen to come true, on each of their ranks."""

    def __init__(self, world: World) -> None:
        self._claims = [c for c in world.claims if isinstance(c, Stated) and c.kind == "sometimes"]
        self._left: set[tuple[Claim, int]] | None = None

    def watch(self, state: State) -> None:
        """Take note of what holds in a state."""
        if self._left is None:
            self._left = {(claim, rank) for claim in self._claims for rank in claim.ranks(state)}
        for claim, rank in tuple(self._left):
            if isinstance(claim, Stated) and claim.holds_on(state, rank):
                self._left.discard((claim, rank))

    def has(self, claim: Claim) -> bool:
        """Whether a claim has come true."""
        return self._left is not None and claim not in {each for each, _ in self._left}


def outcomes(found: Exploration, gave_up: Iterable[GivenUp]) -> tuple[Claimed, ...]:
    """What became of each claim in an exhaustive search."""
    if not found.states or not found.states[0].world.claims:
        return ()
    world = found.states[0].world
    reached = Reached(world)
    for state in found.states:
        reached.watch(state)
    failed = {broken.claim for broken in found.broken.values()}
    failed |= {each.claim for each in gave_up}
    failed |= {claim for number in found.final for claim in never_again(found.states[number])}
    return claimed(world, failed, reached, whole=found.cut is None and not found.broken)


def claimed(
    world: World, failed: Iterable[Claim | None], reached: Reached, *, whole: bool
) -> tuple[Claimed, ...]:
    """Every claim with its outcome; `whole` says that every run was seen to its end."""
    failed = set(failed)

    def outcome(claim: Claim) -> ClaimOutcome:
        if claim.kind == "sometimes":
            if reached.has(claim):
                return "reached"
            return "not reached" if whole else "unknown"
        if claim in failed:
            return "fails"
        return "holds" if whole else "unknown"

    return tuple(Claimed(each.kind, each.sentence, outcome(each)) for each in world.claims)


def never_reached(claims: Iterable[Claimed]) -> Finding | None:
    """The finding that a model shows nothing: an interesting case does not occur in it."""
    for each in claims:
        if each.outcome == "not reached":
            message = f"the interesting case is never reached: {each.sentence}"
            return Finding("violation", message, ())
    return None
