"""A method per operation of the vocabulary, made from the registry when this is imported.

What type checkers and editors see is operations.pyi, which `python -m eplb_model.build.stub`
writes from the same registry; tests/test_build.py compares.
"""

from __future__ import annotations

from eplb_model.build.calls import method
from eplb_model.format.statements import KINDS


class Operations:
    """The operations that a thread can be given."""


for _kind in KINDS:
    _made = method(_kind)
    setattr(Operations, _made.__name__, _made)
