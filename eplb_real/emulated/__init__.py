"""GPUs emulated on threads: streams, events, SMs, meetings, and the locks of the driver.

The semantics is that of specs/semantics.md, in a second form: where the model steps a frozen state,
threads here really wait.  Beside the standard library it needs the model's data only.
"""

from eplb_real.emulated.call import Call
from eplb_real.emulated.calls import perform
from eplb_real.emulated.device import EmulatedDevice, Standing, Ticket
from eplb_real.emulated.errors import DeviceAborted, Fault, Misuse, NotAllowed, Violation
from eplb_real.emulated.events import EmulatedEvent
from eplb_real.emulated.meetings import Fact, Meetings
from eplb_real.emulated.monitor import Observer
from eplb_real.emulated.pace import Free, Gated, Turn
from eplb_real.emulated.streams import EmulatedStream

__all__ = [
    "Call",
    "DeviceAborted",
    "EmulatedDevice",
    "EmulatedEvent",
    "EmulatedStream",
    "Fact",
    "Fault",
    "Free",
    "Gated",
    "Meetings",
    "Misuse",
    "NotAllowed",
    "Observer",
    "Standing",
    "Ticket",
    "Turn",
    "Violation",
    "perform",
]
