"""specs/manifest.json: every model that Spin or z3 has checked, with the command and what came out.

Rules:
- What a run must find again is compared: expected result, states, transitions, depth.  Seconds and
  memory are those of the machine that wrote the file, for orientation.
- `refused` lists the scenarios that the export has no words for, each with the reason.
- `cases` counts the cases of the battery that Spin was asked about and those without words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.specs.agreement import Compared, Spun
from tests.specs.formulas import COMMAND, MODEL, Answered
from tests.specs.handwritten import SPECS, Model
from tests.specs.spin import PAN_LIVENESS, PAN_SAFETY, SAFETY, SPIN_FLAGS, Searched, fair

MANIFEST = SPECS / "manifest.json"
SCHEMA = "eplb-specs-manifest/1"
PROPERTY = "nothing goes wrong"  # of an exported scenario: the verdict says what does
COMPARED = ("expected", "states", "transitions", "depth", "our_states", "stalls", "broken")
MEASURED = ("seconds", "memory_mib")

Entry = Mapping[str, Any]


def document(
    entries: Iterable[Entry], refused: Iterable[Entry], cases: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The whole manifest."""
    listed = {"schema": SCHEMA, "models": list(entries), "refused": list(refused)}
    return {**listed, "cases": dict(cases or {})}


def of_scenario(where: Mapping[str, Any], found: Compared, spun: Spun, version: str) -> Entry:
    """The entry of an exported scenario."""
    return {
        "model": dict(where),
        "tool": "spin",
        "command": list(commands(where, fair_for=spun.processes * (spun.stalls == "asked"))),
        "property": PROPERTY,
        "expected": spun.verdict,
        "states": spun.states,
        "transitions": spun.transitions,
        "depth": spun.depth,
        "our_states": found.our_states,
        "broken": None if found.broken is None else list(found.broken),
        "stalls": spun.stalls,
        "seconds": round(spun.seconds, 1),
        "memory_mib": round(spun.memory_mib),
        "version": version,
    }


def commands(where: Mapping[str, Any], fair_for: int) -> tuple[str, ...]:
    """What to type, line by line; for so many processes also for silent stalls."""
    words = ["eplb-model export", where["vector"], "--format promela"]
    words += [f"--set {name}={value}" for name, value in where.get("set", {}).items()]
    words += [f"--switch {name}={value}" for name, value in where.get("switches", {}).items()]
    lines = [f"{' '.join(words)} > model.pml", *_search(("-DSHOW",), SAFETY, PAN_SAFETY)]
    if fair_for:
        lines += _search(("-DLIVENESS",), fair(fair_for), PAN_LIVENESS)
    return tuple(lines)


def _search(
    defines: tuple[str, ...], compiled: tuple[str, ...], run: tuple[str, ...]
) -> Iterable[str]:
    yield " ".join(("spin", *defines, *SPIN_FLAGS, "model.pml"))
    yield " ".join(("gcc -w", *compiled, "-o pan pan.c"))
    yield " ".join(("./pan", *run))


def of_model(model: Model, searched: Searched, version: str) -> Entry:
    """The entry of a model that is written by hand."""
    return {
        "model": model.name,
        "tool": "spin",
        "command": list(model.command),
        "property": model.claim,
        "about": model.about,
        "expected": model.expected,
        "states": searched.states,
        "transitions": searched.transitions,
        "depth": searched.depth,
        "seconds": round(searched.seconds, 1),
        "memory_mib": round(searched.memory_mib),
        "version": version,
    }


def of_formulas(answered: Answered) -> Entry:
    """The entry of a question to z3: no states are visited, and nothing is bounded."""
    return {
        "model": MODEL,
        "tool": "z3",
        "command": [COMMAND],
        "property": answered.name,
        "about": answered.about,
        "expected": answered.found,
        "states": None,
        "transitions": None,
        "depth": None,
        "seconds": round(answered.seconds, 1),
        "memory_mib": round(answered.memory_mib),
        "version": answered.version,
    }


def key(entry: Entry) -> str:
    """What an entry is about: the model, its settings and the property."""
    return key_of(entry["model"], entry["property"], entry["command"])


def key_of(model: object, claim: str, command: Sequence[str]) -> str:
    """The same for an entry that is not there yet."""
    return json.dumps([model, claim, command[0]], sort_keys=True)


def differences(known: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """In what a run differs from what is written down."""
    lines = []
    was, now = ({key(e): e for e in each["models"]} for each in (known, found))
    for name in sorted({*was, *now}):
        label = _label((was.get(name) or now[name])["model"])
        if name not in now:
            lines.append(f"{label}: listed, but not checked any more")
        elif name not in was:
            lines.append(f"{label}: checked, but not listed")
        else:
            old, new = was[name], now[name]
            lines += [
                f"{label}: {field} was {old.get(field)}, is {new.get(field)}"
                for field in COMPARED
                if old.get(field) != new.get(field)
            ]
    if known["refused"] != found["refused"]:
        lines.append("the list of scenarios that the export refuses has changed")
    if known["cases"] and known["cases"] != found["cases"]:
        lines.append(f"cases of the battery: {known['cases']} are listed, {found['cases']} found")
    return lines


def _label(model: Any) -> str:
    return model if isinstance(model, str) else json.dumps(model)


def put_together(
    known: Mapping[str, Any], found: Mapping[str, Any], order: Iterable[str]
) -> dict[str, Any]:
    """What is known, with what was found now in its place; nothing that is not there any more.

    What came out as before keeps its entry, seconds and memory included: a diff shows what changed.
    """
    was = {key(entry): entry for entry in known["models"]}
    now = {key(entry): entry for entry in found["models"]}
    entries = {**was, **{name: _kept(was.get(name), entry) for name, entry in now.items()}}
    exported = {e["model"]["vector"] for e in found["models"] if not isinstance(e["model"], str)}
    refused = {e["vector"]: e for e in known["refused"] if e["vector"] not in exported}
    refused |= {e["vector"]: e for e in found["refused"]}
    return document(
        [entries[name] for name in order if name in entries],
        [refused[name] for name in sorted(refused)],
        found["cases"] or known["cases"],
    )


def _kept(was: Entry | None, now: Entry) -> Entry:
    if was is None or list(was) != list(now):
        return now
    return was if all(was[field] == now[field] for field in now if field not in MEASURED) else now


def read(path: Path = MANIFEST) -> dict[str, Any]:
    """What is written down; an empty manifest if nothing is."""
    if not path.exists():
        return document((), ())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def write(found: Mapping[str, Any], path: Path = MANIFEST) -> None:
    """Write a manifest, an entry a line, so that a change shows what changed."""
    lines = ["{", f' "schema": {json.dumps(found["schema"])},']
    for name in ("models", "refused"):
        rows = [f"  {json.dumps(each, ensure_ascii=False)}" for each in found[name]]
        lines += [f' "{name}": [', ",\n".join(rows), " ],"]
    lines.append(f' "cases": {json.dumps(found["cases"])}')
    path.write_text("\n".join([*lines, "}", ""]))
