"""A scenario in words: what `eplb-model show` prints.

Rule: it says what will be checked after all parameters are applied, not how the file writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from eplb_model.outcome import Actor
from eplb_model.scenario import Scenario
from eplb_model.trace import phrase
from eplb_model.world import ENGINE, Kernel, Program, World


def scenario_text(scenario: Scenario) -> str:
    """Machine, kernels, the program of every thread, and what is expected."""
    return "\n".join(_lines(scenario))


def kernel_text(kernel: Kernel) -> str:
    """A kernel in one line."""
    what = "gang" if kernel.gang else "regular"
    clusters = f" in clusters of {kernel.cluster}" if kernel.cluster > 1 else ""
    ctas = f"{kernel.ctas} CTA{'' if kernel.ctas == 1 else 's'}"
    line = f"{what}, {ctas}{clusters}, footprint {kernel.footprint.name}"
    if kernel.meets is not None:
        line += f", meets {kernel.meets.kernel} of its peers ({kernel.meets.grain})"
    if kernel.until is not None:
        line += f", spins until {kernel.until} is set"
    if kernel.module is not None:
        line += f", loaded at first use from module {kernel.module}"
    return line


def actor_kind(world: World, actor: Actor) -> Literal["thread", "stream", "engine"]:
    """What an actor is; an engine does one-sided reads and is no stream of a GPU."""
    if not actor.is_stream:
        return "thread"
    return "engine" if world.stream_specs[actor.slot].kind == ENGINE else "stream"


def _lines(scenario: Scenario) -> Iterator[str]:
    yield scenario.name
    yield f"  {scenario.about}"
    if scenario.source:
        yield f"  source: {', '.join(scenario.source)}"
    if scenario.fixes:
        yield f"  the fixed twin of {scenario.fixes}"
    yield from ("", f"Machine: {scenario.machine.name}. {scenario.machine.about}")
    yield from ("", "Parameters:")
    yield from (f"  {name} = {value}" for name, value in scenario.parameters.items())
    yield from ("", "Kernels:")
    yield from (f"  {k.name}: {kernel_text(k)}" for k in scenario.kernels.values())
    yield from ("", "Programs:")
    yield from _program_lines(scenario)
    if scenario.claims or scenario.forbids:
        yield from ("", "Claims:")
        yield from (f"  {each.sentence} ({each})" for each in scenario.claims)
        yield from (f"  no {each}" for each in sorted(scenario.forbids))
    if scenario.expect is not None:
        expect = scenario.expect
        runs = {"every": ", on every run", "some": ", on some runs", None: ""}[expect.when]
        yield from ("", f"Expected: {expect.verdict}{runs}")


def _program_lines(scenario: Scenario) -> Iterator[str]:
    """Every program once, with the ranks that run it."""
    ranks: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for rank, described in enumerate(scenario.world.ranks):
        for program in described.threads:
            key = (program.name, tuple(_code_lines(program)))
            ranks.setdefault(key, []).append(rank)
    for (name, code), members in ranks.items():
        yield f"  thread {name} of {_ranks(members)}:"
        yield from (f"    {line}" for line in code or ("(nothing)",))


def _code_lines(program: Program) -> Iterator[str]:
    started = "" if program.started else " (when started)"
    for number, op in enumerate(program.code):
        if op.kind == "branch":
            yield f"{number:>3}  {_branch_text(op)}{started}"
        else:
            yield f"{number:>3}  {phrase(op)}{started}"


def _branch_text(op: Any) -> str:
    if op.condition is None:
        return f"go to {op.otherwise}"
    return f"unless {op.condition} go to {op.otherwise}"


def _ranks(members: list[int]) -> str:
    if len(members) == 1:
        return f"rank {members[0]}"
    if len(members) > 3 and members == list(range(members[0], members[-1] + 1)):
        return f"ranks {members[0]} to {members[-1]}"
    return f"ranks {', '.join(map(str, members))}"
