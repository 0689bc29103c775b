"""A method per operation of the vocabulary, made from the registry when this is imported.

What type checkers and editors see is operations.pyi, which `python -m eplb_model.build.stub`
writes from the same registry; tests/test_build.py compares.
"""

from __future__ import annotations

import difflib
from typing import NoReturn

from eplb_model.build.calls import method
from eplb_model.format.statements import KINDS


class Operations:
    """The operations that a thread can be given."""

    def __getattr__(self, name: str) -> NoReturn:
        """Name the operation that was meant; type checkers see the stub and refuse it earlier."""
        close = difflib.get_close_matches(name, [each for each in dir(self) if each[0] != "_"], 1)
        meant = f"; perhaps {close[0]!r}" if close else ""
        raise AttributeError(
            f"a thread has no operation {name!r}{meant}; all are in specs/semantics.md",
            name=name,
            obj=self,
        )


for _kind in KINDS:
    _made = method(_kind)
    setattr(Operations, _made.__name__, _made)
