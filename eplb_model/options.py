"""What the command line takes: commands, options, their help.

Rule: nothing here does anything; `cli.py` says what each command is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from eplb_model.check import STRATEGIES

Command = Callable[[argparse.Namespace], int]

EXAMPLES = """\
examples:
  eplb-model check coop_vs_nccl_opposite_order
  eplb-model check coop_vs_nccl_opposite_order --set coop_ctas=128 --set nccl_ctas=4
  eplb-model check deepep_ll_async_eplb --set experts=256 --set nccl_max_ctas=8
  eplb-model sweep coop_vs_nccl_opposite_order --vary coop_ctas=112..132,4 --vary nccl_ctas=4,8,16
  eplb-model conform
"""


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser; `commands` has the function of every command by its name."""
    whole = argparse.ArgumentParser(
        prog="eplb-model",
        description="Find the hang before the GPUs do: explore every schedule of a scenario.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")
    named = _named_vector()
    searching = _searching()
    for name, parents, text in (
        ("check", [named, searching], "explore every schedule; say what goes wrong"),
        ("without", [named, searching], "check without one operation: is it needed?"),
        ("show", [named], "print a vector in words"),
        ("replay", [named], "follow a schedule step by step"),
        ("sweep", [named, searching], "check a range of parameters"),
        ("list", [], "the vectors of the catalogue"),
        ("conform", [], "predict every measured row, and compare"),
    ):
        sub = subparsers.add_parser(name, parents=parents, help=text, description=text)
        sub.set_defaults(command=commands[name])
        if name != "show":
            sub.add_argument("--json", action="store_true", help="one JSON document on stdout")
        if name == "without":
            sub.add_argument(
                "--op",
                required=True,
                metavar="THREAD: OPERATION",
                help="as `show` prints it: 'worker: stream_synchronize side'",
            )
        if name == "replay":
            sub.add_argument("--schedule", required=True, help='"0.main 1.side:3 ..."')
        if name == "list":
            sub.add_argument("--bugs", action="store_true", help="bugs with their fixed twins")
        if name == "sweep":
            sub.add_argument(
                "--vary",
                action="append",
                required=True,
                metavar="K=A..B[,STEP]",
                help="a range, or a list k=x,y,z; several are combined",
            )
        if name == "conform":
            sub.add_argument(
                "tables", nargs="*", metavar="TABLE|FILE", help="measured tables (default: all)"
            )
            sub.add_argument("--machine", help="predict for this machine: a preset or a file")
    return whole


def _named_vector() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("vector", metavar="NAME|FILE", help="a vector of the catalogue, or a file")
    parent.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set a parameter"
    )
    parent.add_argument("--machine", help="a preset (h200, h20, b200, tiny) or a file")
    parent.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=SETTING",
        help="set a switch of the machine; `all` runs every setting",
    )
    return parent


def _searching() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--strategy", choices=STRATEGIES, default="bfs")
    parent.add_argument("--plain", action="store_true", help="no reduction: the reference search")
    parent.add_argument("--seed", type=int, default=0, help="for uniform and pct")
    parent.add_argument("--runs", type=_positive, default=1000, help="for uniform and pct")
    parent.add_argument("--max-states", type=_positive, default=2_000_000)
    parent.add_argument("--max-depth", type=_positive)
    parent.add_argument("--time-limit", type=_seconds, metavar="SECONDS")
    return parent


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number
