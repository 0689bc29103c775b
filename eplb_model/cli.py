"""The command line `eplb-model`: its commands, each a module of `commands/`.

Exit codes: 0 holds within the stated bounds, 1 a violation was found, 2 bad input, 3 inconclusive,
4 the environment lacks something, 5 our own error, 130 interrupted (with what was reached).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eplb_model.command_line import CommandLine
from eplb_model.commands.examples import EXAMPLES

COMMANDS: Mapping[str, str] = {
    "check": "explore every schedule; say what goes wrong",
    "render": "a report as text, Mermaid, DOT, a Perfetto trace or a page",
    "explore": "walk the states by hand, in a browser",
    "without": "check without one operation: is it needed?",
    "show": "print a vector in words",
    "replay": "follow a schedule step by step",
    "sweep": "check a range of parameters",
    "campaign": "the whole catalogue, or sampled schedules, over many workers",
    "advise": "is a configuration safe, and which one would be?",
    "list": "the vectors of the catalogue",
    "certificate": "check a certificate of check --all-ranks",
    "conform": "predict every measured row, and compare",
    "schema": "print the JSON Schema of a document",
    "doctor": "say what is here and what is missing",
    "export": "a Promela model for Spin, or a run as an ITF trace",
}

ABOUT = "Find the hang before the GPUs do: explore every schedule of a scenario."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    line = CommandLine("eplb-model", ABOUT, EXAMPLES, "eplb_model.commands", COMMANDS)
    return line.main(arguments)
