"""What an emulated device raises.  The families are those of a thread's failure in the model."""


class DeviceAborted(RuntimeError):
    """The device was aborted while a host call waited, or before the call."""


class Misuse(RuntimeError):
    """A contract's error, raised as documented: a second record, a grid that can't be resident."""


class Fault(RuntimeError):
    """An error that the scenario asked for."""


class Violation(RuntimeError):
    """What must not be by a rule of the program or of the scenario."""


class NotAllowed(RuntimeError):
    """A single step that may not be taken now; the text says what it waits for."""


UNRECORDED = "wait on an unrecorded event"  # what a scenario may forbid, in its words
