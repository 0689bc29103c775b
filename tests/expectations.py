"""What vectors expect, and what the model answers now.

`python -m tests.expectations [NAME ...]` names every difference; with `--rewrite` it writes counts
of states, steps, waiting actors and circles.  A verdict that changes is never written: that is for
a person to decide.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from eplb_model.check import Search, check
from eplb_model.format.document import dump
from eplb_model.vector import VectorFile, catalogue

PLAIN_BOUND = 60_000  # states of a vector as it stands
PLAIN_BOUND_OF_CASES = 20_000
SETTLED_BOUND = 300_000
JUDGED = ("verdict", "when", "serialised")


def answer(vector: VectorFile, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the searches say about a vector with some settings, as a vector expects it."""
    scenario = vector.scenario(dict(settings))
    bound = PLAIN_BOUND_OF_CASES if settings else PLAIN_BOUND
    settled = check(scenario, Search(fast=False, max_states=SETTLED_BOUND))
    plain = check(scenario, Search(settle=False, max_states=bound))
    report = settled if plain.bounds["cut"] else plain
    states = {} if plain.bounds["cut"] else {"plain": plain.states}
    finding = report.finding
    found = {
        "verdict": report.verdict,
        "when": report.when,
        "serialised": report.serialised,
        "states": {**states, "settled": settled.states},
        "steps": len(finding.schedule) if finding else None,
        "waiting": [str(each.actor) for each in finding.waiting] if finding else None,
        "circle": [str(actor) for actor in finding.circle] if finding else None,
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """One line for every key on which two expectations differ."""
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key)} -> {new.get(key)}"


def main() -> int:
    """Compare, and write what is not a verdict if asked to."""
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    differ = 0
    for vector in catalogue():
        if (names and vector.name not in names) or "expect" not in vector.written:
            continue
        document: Any = dict(vector.written)
        places = [({}, document), *((each["set"], each) for each in document.get("cases", ()))]
        for settings, place in places:
            old, new = place["expect"], answer(vector, settings)
            for line in differences(old, new):
                differ += 1
                sys.stdout.write(f"{vector.name} {settings or ''} {line}\n")
            kept = {key: old[key] for key in JUDGED if key in old}
            place["expect"] = new if kept == {k: new[k] for k in JUDGED if k in new} else old
        if "--rewrite" in sys.argv:
            vector.path.write_text(dump(document))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
