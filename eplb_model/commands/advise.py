"""`eplb-model advise`: is a configuration safe, and which one would be?"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace

from eplb_model.advise import COMMUNICATORS, Question, advise
from eplb_model.advise.document import advice_document, advice_text
from eplb_model.advise.question import NCCL_RULES, RANKS_CHECKED, accept_version
from eplb_model.commands.printing import add_json, print_json
from eplb_model.commands.searching import positive
from eplb_model.commands.vectors import pair
from eplb_model.outcome import UsageError

MAX_CTAS, CLUSTER_SIZE = "NCCL_MAX_CTAS", "NCCL_CGA_CLUSTER_SIZE"
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MOST_TOKENS = 1 << 14


def add_arguments(parser: ArgumentParser) -> None:
    """Take what a user knows."""
    parser.add_argument("--machine", default="h200", help="a preset or a file")
    parser.add_argument("--ranks", type=positive, default=8, help="of the expert-parallel group")
    parser.add_argument("--experts", type=positive, default=256, help="with the redundant ones")
    parser.add_argument("--tokens", default="128", metavar="N|A..B|N,N", help="of each rank")
    parser.add_argument("--bytes-per-op", default="64MiB", metavar="BYTES", help="64MiB, 1GiB, ...")
    parser.add_argument("--communicator", choices=COMMUNICATORS, default="torch_nccl")
    parser.add_argument("--peers", choices=("all", "next"), default="all")
    parser.add_argument("--phase", choices=("dispatch", "combine"), help="one instead of both")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"of the processes: {MAX_CTAS}, {CLUSTER_SIZE}",
    )
    parser.add_argument("--override", action="store_true", help="vLLM's override fires")
    parser.add_argument(
        "--uneven", action="store_true", help="ranks may have different token counts in one step"
    )
    parser.add_argument("--nccl", default=NCCL_RULES, metavar="VERSION", help="2.28 and 2.28.x")
    parser.add_argument(
        "--check-ranks",
        type=positive,
        metavar="N",
        help=f"search the schedules of N ranks instead of {RANKS_CHECKED}",
    )
    add_json(parser)


def run(options: Namespace) -> int:
    """Print the advice."""
    advice = advise(asked(options))
    if options.json:
        print_json(advice_document(advice))
    else:
        print(advice_text(advice))
    return advice.exit_code


def asked(options: Namespace) -> Question:
    """The question that the options ask."""
    accept_version(options.nccl)
    environment = dict(pair(text, "--env") for text in options.env)
    unknown = sorted(environment.keys() - {MAX_CTAS, CLUSTER_SIZE})
    if unknown:
        raise UsageError(
            f"--env {unknown[0]}: not one of {MAX_CTAS}, {CLUSTER_SIZE}; what others do to the "
            "number of channels is not computed here"
        )
    return Question(
        options.machine,
        options.ranks,
        options.experts,
        counts(options.tokens),
        size(options.bytes_per_op),
        options.communicator,
        (options.phase,) if options.phase else ("dispatch", "combine"),
        options.peers,
        environment.get(MAX_CTAS),
        options.override,
        _cluster_size(environment.get(CLUSTER_SIZE, "4")),
        options.check_ranks or RANKS_CHECKED,
        options.uneven,
    )


def counts(text: str) -> tuple[int, ...]:
    """`n`, `a..b` or a list of such, in ascending order.

    >>> counts("1..3,8")
    (1, 2, 3, 8)
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part, re.ASCII)
        if match is None:
            raise UsageError(f"--tokens {text!r}: expected n, a..b, or a list of these")
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low or high > MOST_TOKENS:
            raise UsageError(f"--tokens {text!r}: expected a..b with a <= b <= {MOST_TOKENS}")
        found |= set(range(low, high + 1))
    return tuple(sorted(found))


def size(text: str) -> int:
    """Bytes, with or without a unit.

    >>> size("64MiB"), size("4096")
    (67108864, 4096)
    """
    match = re.fullmatch(r"([1-9]\d{0,17}) ?(\w*)", text, re.ASCII)
    if match is None or match[2] not in UNITS:
        raise UsageError(f"--bytes-per-op {text!r}: expected a number and KiB, MiB, GiB or nothing")
    return int(match[1]) * UNITS[match[2]]


def _cluster_size(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII):
        raise UsageError(f"--env {CLUSTER_SIZE}={text}: expected 0..8")
    return int(text)
