"""`eplb-model replay`: follow a schedule step by step."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from eplb_model.check import machines
from eplb_model.commands.printing import add_json, print_json
from eplb_model.commands.vectors import add_vector, chosen_scenario
from eplb_model.findings import finding_at
from eplb_model.render.text import circle_text, waiting_text
from eplb_model.trace import parse_schedule, replay


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector and a schedule."""
    add_vector(parser)
    add_json(parser)
    parser.add_argument("--schedule", required=True, help='"0.main 1.side:3 ..."')


def run(options: Namespace) -> int:
    """Print the steps and what they lead to."""
    scenario = chosen_scenario(options)
    world = scenario.on(next(machines(scenario))).world
    trace = replay(world, parse_schedule(world, options.schedule))
    finding = finding_at(trace.last, trace.schedule)
    if options.json:
        last = {"verdict": finding.verdict if finding else None}
        circle = [str(actor) for actor in finding.circle] if finding else []
        steps = [{"action": str(step.action), "does": step.does} for step in trace.steps()]
        print_json({"schema": "eplb-steps/1", **last, "steps": steps, "circle": circle})
        return 0
    for number, step in enumerate(trace.steps(), start=1):
        print(f"  {number:>3}  {step.action!s:<12}  {step.does}")
    if finding is None:
        print("\nThe run may go on from here, or has ended.")
        return 0
    print(f"\n{finding.verdict}: {finding.message}")
    if finding.waiting:
        print(waiting_text(finding.waiting))
    if finding.circle:
        print(f"The circle: {circle_text(finding.circle)}")
    return 0
