"""The errors that an operation of a program may raise, by family.  specs/semantics.md#raise"""

from __future__ import annotations

from typing import Literal

Family = Literal["misuse", "violation", "fault"]


class Raised(Exception):
    """An operation raises: a contract's error, a broken assertion, or a fault that was asked for.

    Whatever else escapes an operation of a real library counts as misuse.
    """

    def __init__(self, family: Family, text: str) -> None:
        super().__init__(text)
        self.family: Family = family
        self.text = text


class Died(BaseException):
    """The thread ends here, without an error and without handlers."""
