"""What `check --all-ranks` prints: the answer for every number of ranks, or its certificate."""

from __future__ import annotations

from argparse import Namespace
from textwrap import fill

from eplb_model.all_ranks.certificate import Answer, answer
from eplb_model.all_ranks.family import Family
from eplb_model.commands.printing import print_json, progress
from eplb_model.commands.searching import chosen_search
from eplb_model.commands.vectors import chosen, words_again
from eplb_model.outcome import INTERRUPTED

WIDTH = 100


def answer_for_all(options: Namespace) -> int:
    """Ask for every number of ranks; one that is set is ignored."""
    vector, named, switches = chosen(options)
    settings = dict(named)
    settings.pop("ranks", None)
    search, interrupted = chosen_search(options)
    found = answer(Family(options.vector, vector, settings, switches), search)
    progress("")
    if options.json:
        print_json(found.document)
    else:
        print(_text(vector.name, found, words_again("check", options)))
    return INTERRUPTED if interrupted() else found.exit_code


def _text(name: str, found: Answer, again: str) -> str:
    match found.answer:
        case "holds":
            first = f"holds for every number of ranks from {found.document['least']} on"
            return _wrapped(f"{name}: {first}, because {found.because}")
        case "hypotheses fail":
            lines = [f"{each.place}: {each.why} ({each.hypothesis})" for each in found.objections]
            return "\n".join([f"{name}: the hypotheses fail here:", *(f"  {x}" for x in lines)])
        case "fails":
            shortest = (
                f"The shortest way there, and who waits:\n  {again} --set ranks={found.ranks}"
            )
            return f"{name}: fails: {found.because}\n\n{shortest}"
        case _:
            return _wrapped(f"{name}: undecided: {found.because}")


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, subsequent_indent="  ")
