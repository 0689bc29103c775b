"""`eplb-model show`: print a vector in words."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eplb_model.commands.vectors import add_vector, chosen_scenario
from eplb_model.words import scenario_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector."""
    add_vector(parser)


def run(options: Namespace) -> int:
    """Print the machine, the kernels and the programs."""
    print(scenario_text(chosen_scenario(options)))
    return 0
