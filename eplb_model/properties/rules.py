"""What every run of every scenario has to keep.  specs/properties.md"""

from __future__ import annotations

from eplb_model.outcome import Verdict
from eplb_model.properties.accesses import race_in
from eplb_model.properties.registry import always, at_end, at_stop, fair
from eplb_model.state import State
from eplb_model.step import all_options


@always("no thread ends by an error", verdict=("violation", "misuse"))
def no_error_ends_a_thread(state: State) -> tuple[Verdict, str] | None:
    """No assertion fails and no contract's error is raised, unless a handler takes it."""
    for actor, thread in zip(state.world.threads, state.threads, strict=True):
        if thread.failure is not None and thread.failure.family != "fault":
            return thread.failure.family, f"{actor}: {thread.failure.text}"
    return None


@always(
    "no two accesses to one buffer, one of them a write, are in progress at once", verdict="race"
)
def no_race(state: State) -> str | None:
    """The buffers are those of one rank; work of one stream never races with itself."""
    return race_in(state) if state.world.names_buffers else None


@at_end("every request has met its counterpart", verdict="violation")
def nothing_is_left_in_the_mail(state: State) -> str | None:
    """No send is unreceived and no receive unsent, but for those of threads that a fault ended.

    A host collective that not everybody has entered keeps its callers, so it is a deadlock.
    """
    for request in state.mail:
        failure = state.threads[request.thread].failure
        if failure is None or failure.family != "fault":
            what = "send" if request.is_send else "receive"
            ends = f"from rank {request.source} to rank {request.target}"
            return f"{state.world.threads[request.thread]}: a {what} {ends} is never met"
    return None


@at_stop("somebody can move as long as somebody has work left", verdict="deadlock")
def somebody_can_move(state: State) -> str | None:
    """A deadlock is explained by the greatest stuck set (`wait_for.py`)."""
    if not state.unfinished() or any(wait is None for _, wait in all_options(state)):
        return None
    return "nobody can move"


NOBODY_IS_LEFT_OUT = fair(
    "whoever has work left does not wait for ever while others go on", verdict="stall"
)
