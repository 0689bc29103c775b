"""Time limits of calls that wait for other ranks.

Rule (specs/semantics.md#barrier): there is no clock, so a limit expires only where the wait can no
longer be satisfied because somebody that it needs has nobody left who could bring his part.  It may
expire there at any later time.  A limit that is too short for a slow peer is not modelled.
"""

from __future__ import annotations

from eplb_model.outcome import Actor, Wait
from eplb_model.state import Failure, State


def is_hopeless(wait: Wait) -> bool:
    """Whether nobody is left for some part of a wait; once true it stays true."""
    return () in wait.on


def expired(state: State, me: Actor, what: str) -> State:
    """The call raises instead of waiting for ever; handlers apply."""
    return state.fail(me, Failure("fault", f"the time limit of {what} expires"))
