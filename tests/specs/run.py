"""`make specs`: Spin and z3 check every model there is; what they find is compared.

    python -m tests.specs.run             compare with specs/manifest.json
    python -m tests.specs.run --rewrite   write it, and the tables made from it
    python -m tests.specs.run async_eplb  only what has this in its name; --rewrite keeps the rest
    python -m tests.specs.run "case "     only the cases of the battery

Exit codes: 0 all agree, 1 something differs, 4 Spin, a C compiler or z3 is missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

from eplb_model.check import machines
from eplb_model.scenario import Scenario
from eplb_model.vector import catalogue, load
from tests.battery import CASES
from tests.specs import formulas, manifest, tables
from tests.specs.agreement import Compared, agree, compare
from tests.specs.handwritten import Checked, Model, batches, check_batch, models
from tests.specs.spin import missing, version

DIFFERS, NO_TOOL = 1, 4
CASE = "case "  # before the name of a case of the battery
JOBS = 2

Where = Mapping[str, Any]


def scenarios() -> Iterator[tuple[Where, Scenario]]:
    """Every vector, and where a switch stands for several settings, each of them."""
    for vector in catalogue():
        scenario = vector.scenario()
        varied = [name for name, _ in scenario.machine.settings()]
        for machine in machines(scenario):
            switches = {name: getattr(machine.switches, name) for name in varied}
            where: dict[str, Any] = {"vector": vector.name}
            yield ({**where, "switches": switches} if switches else where), scenario.on(machine)


def cases() -> Iterator[tuple[str, Scenario]]:
    """Every case of the battery, each of which pins one rule of the law."""
    for name, case in CASES.items():
        for machine in machines(case.scenario):
            yield name, case.scenario.on(machine)


def everything() -> Iterator[str]:
    """The keys of all that there is to check, in the order of the manifest."""
    for model in models():
        yield manifest.key_of(model.name, model.claim, model.command)
    for name in formulas.names():
        yield manifest.key_of(formulas.MODEL, name, [formulas.COMMAND])
    for where, _ in scenarios():
        yield manifest.key_of(where, manifest.PROPERTY, manifest.commands(where, fair_for=0))


def _part(known: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """What is written down of the models that were chosen."""
    entries = [e for e in known["models"] if _is_chosen(_called(e["model"]), chosen)]
    refused = [e for e in known["refused"] if _is_chosen(e["vector"], chosen)]
    return manifest.document(entries, refused, {} if chosen else known["cases"])


def _called(model: Any) -> str:
    return model if isinstance(model, str) else str(model["vector"])


def _scenario_at(where: Where) -> Scenario:
    return load(where["vector"]).scenario(where.get("set"), where.get("switches"))


def _compare_case(number: int) -> Compared:
    name, scenario = list(cases())[number]
    return agree(name, scenario)


def _compare(where: Where, known_states: int | None) -> Compared:
    return compare(where["vector"], _scenario_at(where), known_states)


def run(known: Mapping[str, Any], chosen: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Check everything, and say what was found and what differs."""
    states = {_name(e["model"]): e["states"] for e in known["models"]}
    wheres = [where for where, _ in scenarios() if _is_chosen(where["vector"], chosen)]
    groups = [b for b in batches(models()) if _is_chosen(b[0].name, chosen)]
    with ProcessPoolExecutor(JOBS) as pool:
        by_hand = [pool.submit(check_batch, group) for group in groups]
        asked = {pool.submit(_compare, w, states.get(_name(w))): _name(w) for w in wheres}
        numbers = [n for n, (name, _) in enumerate(cases()) if _is_chosen(f"{CASE}{name}", chosen)]
        pinned = [pool.submit(_compare_case, number) for number in numbers]
        everything: list[Future[Any]] = [*by_hand, *asked, *pinned]
        for number, _ in enumerate(as_completed(everything), 1):
            _progress(number, len(everything))
        compared = {name: future.result() for future, name in asked.items()}
        checked = [each for future in by_hand for each in future.result()]
    answered = formulas.answers() if _is_chosen(formulas.MODEL, chosen) else ()
    found, problems = _collect(wheres, compared, checked, answered)
    return _with_cases(found, problems, [future.result() for future in pinned])


def _with_cases(
    found: dict[str, Any], problems: list[str], answers: Sequence[Compared]
) -> tuple[dict[str, Any], list[str]]:
    """The same with the cases of the battery, which are counted: each pins its own answer."""
    refused = sum(1 for each in answers if each.refused is not None)
    counts = {"checked": len(answers) - refused, "refused": refused}
    differ = [f"{CASE}{each.name}: {each.differs}" for each in answers if each.differs]
    return {**found, "cases": counts}, problems + differ


def _is_chosen(name: str, chosen: Sequence[str]) -> bool:
    return not chosen or any(word in name for word in chosen)


def _progress(number: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{number} of {total}")
        sys.stderr.flush()


def _name(model: object) -> str:
    return str(model) if isinstance(model, str) else repr(sorted(dict(model).items()))  # type: ignore[call-overload]  # a mapping otherwise


def _collect(
    wheres: Sequence[Where],
    compared: Mapping[str, Compared],
    checked: Sequence[Checked],
    answered: Sequence[formulas.Answered],
) -> tuple[dict[str, Any], list[str]]:
    entries: list[manifest.Entry] = []
    refused: list[manifest.Entry] = []
    problems: list[str] = []
    said = version()
    by_model: dict[Model, Checked] = {each.model: each for each in checked}
    for model in (model for model in models() if model in by_model):
        found = by_model[model]
        if found.searched is not None:
            entries.append(manifest.of_model(model, found.searched, said))
        if found.differs:
            words = " ".join((model.name, *model.definitions, model.claim))
            problems.append(f"{words}: {found.differs}")
    for each in answered:
        entries.append(manifest.of_formulas(each))
        if each.differs:
            problems.append(f"{formulas.MODEL} {each.name}: {each.differs}")
    for where in wheres:
        answer = compared[_name(where)]
        if answer.refused is not None:
            refused.append({"vector": where["vector"], "why": answer.refused.partition(": ")[2]})
        elif answer.spun is not None:
            entries.append(manifest.of_scenario(where, answer, answer.spun, said))
        if answer.differs:
            problems.append(f"{where['vector']}: {answer.differs}")
    return manifest.document(entries, refused), problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything, or what is named; print the agreement table."""
    parser = argparse.ArgumentParser(prog="python -m tests.specs.run", description=__doc__)
    parser.add_argument("chosen", nargs="*", metavar="PART", help="only models whose name has it")
    parser.add_argument("--rewrite", action="store_true", help="write manifest and tables")
    options = parser.parse_args(arguments)
    tool = missing()
    if tool is not None:
        install = "apt-get install spin gcc libc6-dev tcc"
        sys.stderr.write(f"make specs: no {tool} here; on Debian: {install}\n")
        return NO_TOOL
    if not formulas.is_there():
        sys.stderr.write("make specs: no z3 here; pip install z3-solver\n")
        return NO_TOOL
    began = time.monotonic()
    known = manifest.read()
    found, problems = run(known, options.chosen)
    sys.stdout.write(tables.results(found))
    if options.rewrite:
        part = sum(found["cases"].values()) < len(list(cases()))
        kept = {**found, "cases": {}} if part else found
        whole = manifest.put_together(known, kept, everything())
        manifest.write(whole)
        tables.rewrite(whole)
    else:
        problems += manifest.differences(_part(known, options.chosen), found)
    sys.stdout.write("".join(f"DIFFERS  {problem}\n" for problem in problems))
    counts = f"{len(found['models'])} checked, {len(found['refused'])} refused by the export"
    pinned = (
        f"{found['cases']['checked']} cases of the battery, {found['cases']['refused']} refused"
    )
    seconds = time.monotonic() - began
    sys.stdout.write(f"{counts}; {pinned}; {len(problems)} differ; {seconds:.0f} s\n")
    return DIFFERS if problems else 0


if __name__ == "__main__":
    sys.exit(main())
