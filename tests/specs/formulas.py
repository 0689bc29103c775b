"""What z3 is asked: specs/cpu_gpu_event/invariant.py, question by question, for the manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

MODEL = "specs/cpu_gpu_event/invariant.py"
COMMAND = f"python {MODEL}"


@dataclass(frozen=True)
class Answered:
    """A question with what z3 said."""

    name: str
    about: str
    expected: str
    found: str
    seconds: float
    memory_mib: float
    version: str

    @property
    def differs(self) -> str:
        """In what the answer is not the expected one."""
        wrong = self.expected != self.found
        return f"expected: {self.expected} is listed, {self.found} found" if wrong else ""


def is_there() -> bool:
    """Whether z3 is installed."""
    return find_spec("z3") is not None


def names() -> list[str]:
    """The questions, in order."""
    return [each.name for each in _page().questions()]


def answers() -> Sequence[Answered]:
    """Ask all of them."""
    import z3  # noqa: PLC0415  # only where it is there

    found = []
    for each in _page().questions():
        began = time.monotonic()
        answer = "holds" if each.answer() else "violated"
        seconds = time.monotonic() - began
        memory = z3.Z3_get_estimated_alloc_size() / 2**20
        version = f"z3 {z3.get_version_string()}"
        found.append(
            Answered(each.name, each.about, each.expected, answer, seconds, memory, version)
        )
    return found


def _page() -> Any:
    from specs.cpu_gpu_event import invariant  # noqa: PLC0415  # it imports z3

    return invariant
