"""The command line `eplb-real`: its commands, each a module of `commands/`.

Exit codes: 0 agrees, 1 disagrees, 2 bad input, 3 inconclusive or declined, 4 the environment lacks
something, 5 our own error, 130 interrupted (with what was reached).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eplb_model.command_line import CommandLine

COMMANDS: Mapping[str, str] = {
    "replay": "run a vector for real and hold it against the model",
    "hang": "the hang on this machine's GPUs, its circle, and every cure",
    "gpu": "everything that the GPUs here can show, part by part",
    "probe": "measure a GPU: what it does with SMs, queues and calls",
    "list": "which vectors each driver supports, and why not",
    "doctor": "what can run here",
    "fetch-vllm": "download vLLM's wheels and keep the files that --driver vllm runs",
    "step-vllm": "run vLLM's step() and worker over gloo and hold them against the model",
}

EXAMPLES: Mapping[str, Sequence[str]] = {
    "replay": (
        "eplb-real replay coop_vs_nccl_opposite_order --driver threads",
        "eplb-real replay --all --driver gloo",
    ),
    "hang": ("eplb-real hang --gpus 2",),
    "list": ("eplb-real list",),
    "doctor": ("eplb-real doctor",),
}

ABOUT = "Replay vectors on real threads, processes and devices."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    line = CommandLine("eplb-real", ABOUT, EXAMPLES, "eplb_real.commands", COMMANDS)
    return line.main(arguments)
