"""`eplb-real step-vllm`: run vLLM's step() and worker over gloo, hold them against the model."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from eplb_model.outcome import Lacking, UsageError
from eplb_real.commands.printing import add_json, pair, print_json
from eplb_real.commands.replay import exit_code
from eplb_real.runner import lacking
from eplb_real.vllm.protocol import Asked, refined, scenario_of
from eplb_real.vllm.protocol import run as run_protocol
from eplb_real.vllm.wheel import VERSIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a version and settings of a run."""
    parser.add_argument("--version", choices=VERSIONS)
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="a setting")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print whether the run agrees."""
    named = dict(_field(text) for text in options.set)
    if options.version is not None:
        named["version"] = options.version
    try:
        asked = Asked(**named)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    if lacking(("torch",)):
        raise Lacking("step-vllm needs torch, which is not installed")
    ran = run_protocol(asked)
    found = refined(scenario_of(asked), ran)
    holds = None if ran.ending == "cut" else found.holds  # a rank that failed says nothing
    answer = {True: "agrees", False: "disagrees", None: "inconclusive"}[holds]
    if options.json:
        told = {"answer": answer, "ending": ran.ending, "why": found.message}
        print_json({"schema": "eplb-real-step/1", **told, "lines": list(ran.lines)})
    else:
        text = "; ".join(filter(None, (ran.ending, ran.evidence, found.message)))
        print(f"{answer:<12}  vLLM {asked.version}: {text}")
    return exit_code(Counter([answer]))


def _field(text: str) -> tuple[str, Any]:
    """A field of a run: JSON, or a word."""
    name, _, value = pair(text).partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
