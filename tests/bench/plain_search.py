"""What the plain search costs for every vector: states, transitions, seconds, rate.

`python -m tests.bench.plain_search` prints it.  It is the baseline that a faster search is compared
with: counts are exact, seconds are those of the machine at hand, so compare ratios of one run.
"""

from __future__ import annotations

import sys
import time

from eplb_model.check import Search, check
from eplb_model.vector import VectorFile, catalogue

BOUND = 200_000  # states; what is larger is shown as cut

COLUMNS = ("vector", "verdict", "states", "edges", "settled", "fast", "s", "ratio")
HEAD = "{:<36} {:<10} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}\n".format(*COLUMNS)


def row(vector: VectorFile) -> str:
    """One vector: plain and settled, and how many times fewer states settling visits."""
    scenario = vector.scenario()
    began = time.process_time()
    plain = check(scenario, Search(settle=False, max_states=BOUND))
    seconds = time.process_time() - began
    settled = check(scenario, Search(fast=False, max_states=BOUND))
    fast = check(scenario, Search(max_states=BOUND))
    shown = str(fast.states) if fast.declined is None else "-"
    cut = "+" if plain.bounds["cut"] else " "
    return (
        f"{vector.name:<36} {settled.verdict:<10} {plain.states:>7}{cut} {plain.transitions:>8} "
        f"{settled.states:>8} {shown:>8} {seconds:>7.2f} {plain.states / settled.states:>6.1f}\n"
    )


def main() -> None:
    """Print the table, a line as soon as it is known, then the totals."""
    began = time.process_time()
    sys.stdout.write(HEAD)
    for vector in catalogue():
        sys.stdout.write(row(vector))
        sys.stdout.flush()
    sys.stdout.write(f"all: {time.process_time() - began:.1f} s CPU\n")


if __name__ == "__main__":
    main()
