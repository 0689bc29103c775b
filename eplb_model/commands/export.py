"""`eplb-model export`: a scenario as a Promela model, or its finding as an ITF trace."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from eplb_model.check import check, machines
from eplb_model.commands.vectors import add_vector, chosen_scenario
from eplb_model.export import CannotExport
from eplb_model.export.itf import itf
from eplb_model.export.promela import promela
from eplb_model.outcome import Action
from eplb_model.scenario import Scenario
from eplb_model.trace import parse_schedule, replay


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector, a format, and for a trace the schedule."""
    add_vector(parser)
    parser.add_argument(
        "--format",
        choices=("promela", "itf"),
        required=True,
        help="promela: a model for Spin; itf: a run as a trace of the Informal Trace Format",
    )
    parser.add_argument(
        "--schedule", help="itf: the run; by default the one that `check` finds something on"
    )


def run(options: Namespace) -> int:
    """Print the export."""
    scenario = chosen_scenario(options)
    print(_promela(scenario) if options.format == "promela" else _itf(scenario, options), end="")
    return 0


def _promela(scenario: Scenario) -> str:
    return promela(scenario).text


def _itf(scenario: Scenario, options: Namespace) -> str:
    scenario = scenario.on(next(machines(scenario)))
    about = {"description": scenario.about, "vector": scenario.name}
    loop: Sequence[Action] = ()
    if options.schedule is not None:
        schedule = parse_schedule(scenario.world, options.schedule)
    else:
        finding = check(scenario).finding
        if finding is None:
            raise CannotExport(
                f"{scenario.name} holds, so there is no run to show; expected --schedule"
            )
        schedule, loop = finding.schedule, finding.loop
        about["finding"] = f"{finding.verdict}: {finding.message}"
    trace = replay(scenario.world, (*schedule, *loop))
    document = itf(trace, about, len(schedule) if loop else None)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
