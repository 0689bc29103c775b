"""What a check looks for.  specs/properties.md"""

from eplb_model.properties.accesses import InProgress, in_progress
from eplb_model.properties.broken import Violation, never_again, violation
from eplb_model.properties.registry import PROPERTIES, Property, always, at_end, at_stop, fair
from eplb_model.properties.rules import (
    NOBODY_IS_LEFT_OUT,
    no_error_ends_a_thread,
    no_race,
    nothing_is_left_in_the_mail,
    somebody_can_move,
)

__all__ = [
    "NOBODY_IS_LEFT_OUT",
    "PROPERTIES",
    "InProgress",
    "Property",
    "Violation",
    "always",
    "at_end",
    "at_stop",
    "fair",
    "in_progress",
    "never_again",
    "no_error_ends_a_thread",
    "no_race",
    "nothing_is_left_in_the_mail",
    "somebody_can_move",
    "violation",
]
