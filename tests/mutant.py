"""What a mutant of the law is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change of one file of `eplb_model`, and the case that it must break."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
