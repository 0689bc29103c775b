"""The battery: every case, as one fast script for the mutants of the law.

As a script it prints the names of the cases that fail, one per line.
"""

import sys
from collections.abc import Iterable

from tests import (
    cases_allocator,
    cases_claims,
    cases_device,
    cases_groups,
    cases_host,
    cases_one_sided,
    cases_requests,
    cases_streams,
    cases_waiting,
)
from tests.cases import CASES, got

__all__ = [
    "CASES",
    "cases_allocator",
    "cases_claims",
    "cases_device",
    "cases_groups",
    "cases_host",
    "cases_one_sided",
    "cases_requests",
    "cases_streams",
    "cases_waiting",
    "failures",
    "got",
]


def failures(names: Iterable[str] = CASES) -> list[str]:
    """The cases that are answered otherwise, or not at all."""
    return [n for n in names if got(n) != CASES[n].answer]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in failures())
