"""Properties as formulas, one search each, and the never claim that looks for any silent stall.

Rules:
- A formula has the name that `pan -N` takes, and a comment with the sentence of specs/properties.md
  or of the claim.
- `make specs` uses the process `watch` and the never claim: one search in place of many.  Tests
  compare both with the formulas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eplb_model.export.promela.layout import Layout, all_of, any_of
from eplb_model.export.promela.watch import (
    always,
    bad_ends,
    eventually,
    has_work,
    interesting,
    races,
    somebody_has_work,
)
from eplb_model.outcome import Actor

WIDTH = 100
LONGEST = 800  # Spin reads a formula into 2,048 characters, when macros are expanded


@dataclass(frozen=True)
class Process:
    """The process of an actor, in the order in which Spin numbers them."""

    actor: Actor
    name: str
    text: str

    @property
    def waits(self) -> str:
        """The macro that it has work left and can't move."""
        return f"waits_{self.name}"


def nfair(processes: int) -> int:
    """Spin's NFAIR: it refuses 4 NFAIR - 1 processes and more, those that only look included."""
    return (processes + 9) // 4


def formulas(layout: Layout, processes: Sequence[Process], cyclic: bool) -> Iterator[str]:
    """What is looked for, as LTL; where programs loop, also as one never claim."""
    yield "#if defined(LTL) || defined(LIVENESS)    /* enabled(n): process n can move */"
    for number, each in enumerate(processes):
        waits = f"({has_work(layout, each.actor)}) && !enabled({number})"
        yield f"#define {each.waits} ({waits})"
    yield "#endif\n"
    yield "/* ---- Properties, one search each: spin -DLTL, then pan -N NAME. ---- */\n"
    yield "#ifdef LTL"
    yield from _ltl(layout, processes)
    if cyclic:
        yield from _fair(layout, processes)
    yield from _wanted(layout)
    yield "#endif\n"
    if cyclic:
        yield from _never(layout, processes)


def _ltl(layout: Layout, processes: Sequence[Process]) -> Iterator[str]:
    yield _formula("no_error", "[] (over == 0)", "no thread ends by an error")
    said = "no two accesses to one buffer, one of them a write, are in progress at once"
    yield from _invariants("no_race", said, "", [f"!({each})" for each in races(layout)])
    for number, (sentence, holds) in enumerate(always(layout)):
        yield _formula(f"always_{number}", f"[] {holds}", sentence)
    said = "every request has met its counterpart, and what has to be true at the end is"
    work = somebody_has_work(layout)
    yield from _invariants("ends_well", said, work, [f"!({each})" for each in bad_ends(layout)])
    moves = any_of(f"enabled({number})" for number, _ in enumerate(processes))
    ended = [f"!({has_work(layout, each.actor)})" for each in processes]
    said = "somebody can move as long as somebody has work left"
    yield from _invariants("no_deadlock", said, f"over != 0 || {moves}", ended)


def _fair(layout: Layout, processes: Sequence[Process]) -> Iterator[str]:
    yield "\n/* Under weak fairness: ./pan -a -f. */"
    for each in processes:
        sentence = f"{each.actor} does not wait for ever"
        yield _formula(f"goes_on_{each.name}", f"[] <> (over != 0 || !{each.waits})", sentence)
    for number, (sentence, holds) in enumerate(eventually(layout)):
        yield _formula(f"eventually_{number}", f"[] <> {holds}", sentence)


def _wanted(layout: Layout) -> Iterator[str]:
    cases = list(interesting(layout))
    if cases:
        yield "\n/* Wanted to fail: some run has to come there, so that the rest says something. */"
    for number, sentence, condition in cases:
        yield _formula(f"sometimes_{number}", f"[] !{condition}", sentence)


def _invariants(name: str, sentence: str, unless: str, terms: Sequence[str]) -> Iterator[str]:
    """`[] (unless || all terms)`, as several formulas if one would be too long."""
    if len(unless) + max(map(len, terms), default=0) > LONGEST:
        yield f"/* {name} is too long for a formula of Spin; the process `watch` asks it. */"
        return
    parts: list[list[str]] = []
    for term in terms:
        if not parts or len(unless) + sum(map(len, parts[-1])) + len(term) > LONGEST:
            parts.append([])
        parts[-1].append(term)
    for number, part in enumerate(parts):
        shown = name if len(parts) == 1 else f"{name}_{number}"
        yield _formula(shown, f"[] ({any_of((unless, f'({all_of(part)})'))})", sentence)


def _formula(name: str, text: str, sentence: str) -> str:
    shown = sentence.replace("*/", "* /")
    return "\n".join([f"/* {shown} */", *folded(f"ltl {name} {{ {text} }}", "", " " * 8)])


def _never(layout: Layout, processes: Iterable[Process]) -> Iterator[str]:
    """Somebody waits for ever while others go on, or what has to come true again never does."""
    cases = [(f"{each.actor} waits for ever", each.waits) for each in processes]
    cases += [(f"never again: {sentence}", f"!{holds}") for sentence, holds in eventually(layout)]
    yield "#ifdef LIVENESS"
    yield "/* Any of the formulas under fairness is broken: their negations side by side. */"
    yield "never"
    yield "{       do"
    yield "        :: true"
    for number, (words, condition) in enumerate(cases):
        yield f"        :: {condition} -> goto accept_{number}  /* {words} */"
    yield "        od;"
    for number, (_, condition) in enumerate(cases):
        end = "" if number == len(cases) - 1 else ";"
        yield f"accept_{number}:\n        do\n        :: {condition}\n        od{end}"
    yield "}"
    yield "#endif"


def define(name: str, text: str) -> str:
    """A macro over several lines."""
    lines = folded(f"({text})", " " * 8, " " * 8)
    return f"#define {name} \\\n" + " \\\n".join(lines) + "\n"


def folded(text: str, first: str, later: str) -> Iterator[str]:
    """Lines that break behind an operator only: elsewhere Spin takes the end of a line for `;`."""
    line = first
    for word in re.split(r"(?<=&&) |(?<=\|\|) ", text):
        if len(line) + len(word) > WIDTH and line.strip():
            yield line.rstrip()
            line = later
        line += word + " "
    yield line.rstrip()
