"""`eplb-real gpu`: everything that this machine's GPUs can show, with one answer for each part."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from importlib import import_module
from pathlib import Path

from eplb_model.outcome import Lacking
from eplb_real.commands.printing import positive
from eplb_real.lease import gpus
from eplb_real.runner import lacking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take how many GPUs, and where to write."""
    parser.add_argument("--gpus", type=positive(int), default=2, help="how many to use")
    parser.add_argument("--races", type=int, default=200, help="unforced trials until it hangs")
    parser.add_argument("--only", nargs="*", metavar="PART", help="these parts only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what was shown here")


def run(options: argparse.Namespace) -> int:
    """Show part by part; 0 if all agree, 1 if one disagrees, 3 if one is inconclusive."""
    missing = lacking(("torch", "cuda.bindings"))
    if not gpus() or missing:
        raise Lacking(f"gpu needs {', '.join(['a GPU', *missing])}; see eplb-real doctor")
    everything = import_module("eplb_real.gpu.everything")
    chosen = [
        part
        for part in everything.parts(min(options.gpus, len(gpus())), options.races)
        if options.only is None or part.name in options.only
    ]
    shown = []
    for part in everything.show(chosen, lambda text: print(text, flush=True)):
        shown.append(part)
        if options.out:  # after every part: a run that is cut has lost nothing
            found = everything.document(shown, f"eplb-real {shlex.join(sys.argv[1:])}")
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    print()
    for each in shown:
        print(f"{each.answer:<12}  {each.name}{each.why and ': '}{each.why}")
    code: int = everything.exit_code(shown)
    return code
