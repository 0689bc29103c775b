"""`eplb-real hang`: the hang on this machine's GPUs, its circle, and every cure."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from eplb_model.outcome import Lacking, UsageError
from eplb_real.commands.printing import positive
from eplb_real.lease import gpus, leased
from eplb_real.runner import lacking
from eplb_real.sharing import cannot_share

MOST_RACES = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take how many GPUs, and how long to race."""
    parser.add_argument("--gpus", type=positive(int), help="how many to use; default all")
    parser.add_argument(
        "--ranks",
        type=positive(int),
        help="how many ranks; default one to a GPU and at least two; more share GPUs, taking turns",
    )
    parser.add_argument(
        "--races", type=int, default=MOST_RACES, help="unforced trials until it hangs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the unforced trials")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was seen")


def run(options: argparse.Namespace) -> int:
    """Show the hang and its cures; 0 if all came as the model says, 1 if not."""
    there = len(gpus())
    if not there:
        raise Lacking("no GPU here; `eplb-model check coop_vs_nccl_opposite_order` is the model's")
    missing = lacking(("torch", "cuda.bindings"))
    if missing:
        raise Lacking(f"hang needs {', '.join(missing)}, which is not installed")
    number = min(options.gpus or there, there)
    ranks = options.ranks or max(number, 2)
    if ranks == 1:
        raise UsageError("--ranks 1: a hang takes two ranks")
    if reason := cannot_share(ranks, number):
        raise Lacking(reason)
    with leased(number):
        story = import_module("eplb_real.gpu.hang")
        agrees: bool = story.tell_all(number, ranks, options.races, options.seed, options.json)
    print("the memory of every GPU is back at its baseline")
    return 0 if agrees else 1
