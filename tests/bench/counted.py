"""Every state of a vector, by rows, in a process of its own that can be measured."""

from __future__ import annotations

import json
import sys

from eplb_model.explore.fast.packed import count_everything
from eplb_model.vector import load


def main(vector: str, words: list[str]) -> None:
    """Print states, steps, deadlocks."""
    settings = {name: int(value) for name, value in (word.split("=") for word in words)}
    counts = count_everything(load(vector).scenario(settings).world)
    sys.stdout.write(json.dumps([counts.states, counts.transitions, counts.deadlocks]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
