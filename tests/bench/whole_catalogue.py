"""Checks every vector of the catalogue with its own parameters, in one process on one core."""

from __future__ import annotations

import json
import sys

from eplb_model.check import check
from eplb_model.vector import catalogue


def main() -> None:
    """Print how many there are, their states and steps, and which say otherwise than expected."""
    states, steps, vectors = 0, 0, 0
    differ = []
    for vector in catalogue():
        scenario = vector.scenario()
        report = check(scenario)
        vectors += 1
        states += report.states
        steps += report.transitions
        if scenario.expect is not None and report.verdict != scenario.expect.verdict:
            differ.append(vector.name)
    sys.stdout.write(json.dumps([vectors, states, steps, differ]))


if __name__ == "__main__":
    main()
