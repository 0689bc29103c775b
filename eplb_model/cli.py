"""The command line: find the command, run it, exit.

Exit codes: 0 holds within the stated bounds, 1 a violation was found, 2 bad input, 3 inconclusive,
4 the environment lacks something, 5 our own error, 130 interrupted (with what was reached).
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module

from eplb_model.outcome import BAD_INPUT, INTERRUPTED, OUR_ERROR, UsageError

COMMANDS: Mapping[str, str] = {
    "check": "explore every schedule; say what goes wrong",
    "without": "check without one operation: is it needed?",
    "show": "print a vector in words",
    "replay": "follow a schedule step by step",
    "sweep": "check a range of parameters",
    "list": "the vectors of the catalogue",
    "certificate": "check a certificate of check --all-ranks",
    "conform": "predict every measured row, and compare",
}

EXAMPLES = """\
examples:
  eplb-model check coop_vs_nccl_opposite_order
  eplb-model check coop_vs_nccl_opposite_order --set coop_ctas=128 --set nccl_ctas=4
  eplb-model check deepep_ll_async_eplb --set experts=256 --set nccl_max_ctas=8
  eplb-model sweep coop_vs_nccl_opposite_order --vary coop_ctas=112..132,4 --vary nccl_ctas=4,8,16
  eplb-model conform
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser(words).parse_args(words)
        code: int = options.run(options)
        sys.stdout.flush()
    except UsageError as error:
        print(f"eplb-model: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 (the last frame: whatever escapes is ours, and gets its own code)
        traceback.print_exc()
        print("eplb-model: this is our own error, not yours; please report it", file=sys.stderr)
        return OUR_ERROR
    return code


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for a command line; it knows the arguments of the command in `words` only."""
    whole = argparse.ArgumentParser(
        prog="eplb-model",
        description="Find the hang before the GPUs do: explore every schedule of a scenario.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=text)
        if name == asked:
            module = import_module(f"eplb_model.commands.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return whole
