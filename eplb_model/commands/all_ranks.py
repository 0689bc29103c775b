"""What `check --all-ranks` prints: the answer for every number of ranks, or its certificate."""

from __future__ import annotations

from argparse import Namespace

from eplb_model.all_ranks.certificate import Answer, answer
from eplb_model.all_ranks.family import Family
from eplb_model.commands.printing import print_json, progress
from eplb_model.commands.searching import chosen_search
from eplb_model.commands.vectors import chosen_vector
from eplb_model.outcome import INTERRUPTED
from eplb_model.render.text import report_text


def answer_for_all(options: Namespace) -> int:
    """Ask for every number of ranks; one that is set is ignored."""
    vector, settings, switches = chosen_vector(options)
    settings.pop("ranks", None)
    search, interrupted = chosen_search(options)
    found = answer(Family(options.vector, vector, settings, switches), search)
    progress("")
    if options.json:
        print_json(found.document)
    else:
        print(_text(vector.name, found))
    return INTERRUPTED if interrupted() else found.exit_code


def _text(name: str, found: Answer) -> str:
    match found.answer:
        case "holds":
            first = f"holds for every number of ranks from {found.document['least']} on"
            return f"{name}: {first}, because {found.because}"
        case "hypotheses fail":
            lines = [f"  {each.place}: {each.why} ({each.hypothesis})" for each in found.objections]
            return "\n".join([f"{name}: the hypotheses fail here:", *lines])
        case "fails":
            report = report_text(found.report) if found.report is not None else ""
            return f"{name}: fails: {found.because}\n\n{report}"
        case _:
            return f"{name}: undecided: {found.because}"
