"""What a user knows: the machine, the model's experts, the tokens, the exchange, the environment.

Rules:
- Nothing is decided here.  `Question` refuses what the formulas don't cover, with a next step.
- The cap is what NCCL makes of `NCCL_MAX_CTAS` after the override (O4 to O6), not the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, TypeAlias, get_args

from eplb_model.format.machines import load_machine
from eplb_model.formulas import deepep_grid, nccl_p2p_ctas
from eplb_model.machine import Machine
from eplb_model.outcome import UsageError
from eplb_model.protocols.environment import MOST_CTAS, cap_in_force

Communicator: TypeAlias = Literal["torch_nccl", "pynccl", "torch_gloo", "nixl"]
Phase: TypeAlias = Literal["dispatch", "combine"]
COMMUNICATORS: tuple[Communicator, ...] = get_args(Communicator)
PHASES: tuple[Phase, ...] = get_args(Phase)
OVER_NCCL: tuple[Communicator, ...] = ("torch_nccl", "pynccl")

MOST_POINTS = 1 << 16
MOST_RANKS = 1024
MOST_CLUSTER = 8  # NCCL_CGA_CLUSTER_SIZE goes up to this (N4)
NCCL_RULES = "2.28"  # whose channel rules the formulas are (N8); others differ (N27)
# Up to this many ranks every schedule of the whole group is searched; above, two ranks stand for
# all unless more are asked for.
RANKS_CHECKED = 2


class Point(NamedTuple):
    """One kernel of a step: the tokens of a rank, and which of the two kernels."""

    tokens: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Question:
    """One configuration, over a range of token counts.

    Parameters: tokens of each rank, all counts that occur; experts with the redundant ones;
    bytes_per_op of each send and receive; nccl_env is NCCL_MAX_CTAS as the process is started,
    None if unset; override says whether vLLM's override fires; cluster_size is
    NCCL_CGA_CLUSTER_SIZE; check_ranks is the number of ranks whose schedules are searched;
    uneven says that ranks may have different token counts in one step.
    Raises `UsageError` for what the formulas don't cover.
    """

    machine: str = "h200"
    ranks: int = 8
    experts: int = 256
    tokens: tuple[int, ...] = (128,)
    bytes_per_op: int = 64 << 20
    communicator: Communicator = "torch_nccl"
    phases: tuple[Phase, ...] = PHASES
    peers: Literal["all", "next"] = "all"
    nccl_env: str | None = None
    override: bool = False
    cluster_size: int = 4
    check_ranks: int = RANKS_CHECKED
    uneven: bool = False

    def __post_init__(self) -> None:
        if self.communicator not in COMMUNICATORS:
            known = ", ".join(COMMUNICATORS)
            raise UsageError(f"communicator {self.communicator!r}; known: {known}")
        if not 0 <= self.cluster_size <= MOST_CLUSTER:
            raise UsageError(
                f"NCCL_CGA_CLUSTER_SIZE={self.cluster_size}; expected 0..{MOST_CLUSTER}"
            )
        if not 2 <= self.ranks <= MOST_RANKS:
            raise UsageError(f"{self.ranks} ranks; expected 2..{MOST_RANKS}")
        if not 2 <= self.check_ranks <= self.ranks:
            raise UsageError(f"{self.check_ranks} ranks to check; expected 2..{self.ranks}")
        if not self.tokens or len(self.tokens) * len(self.phases) > MOST_POINTS:
            raise UsageError(f"{len(self.tokens)} token counts; expected 1..{MOST_POINTS // 2}")
        self._try_formulas()

    def _try_formulas(self) -> None:
        """Refuse what a formula refuses, before anything is searched."""
        try:
            assert self.grids
            nccl_p2p_ctas(self.ranks, self.peers, self.bytes_per_op, self.cap)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def device(self) -> Machine:
        """The machine by its name or file."""
        return load_machine(self.machine)

    @property
    def cap(self) -> int:
        """The cap under which NCCL runs, 1..64; 64 is NCCL's own limit, so no cap (O6)."""
        found = cap_in_force(self.nccl_env, self.override, None)
        return MOST_CTAS if found is None else found

    @property
    def over_nccl(self) -> bool:
        """Whether the exchange takes SMs at all."""
        return self.communicator in OVER_NCCL

    def points(self) -> Iterator[Point]:
        """Every token count with every kernel, in the order in which a user counts."""
        return _points(self.tokens, self.phases)

    @property
    def grids(self) -> tuple[tuple[int, tuple[Point, ...]], ...]:
        """Every grid of the cooperative kernel with its points, in the order of the first ones."""
        return _grids(self.tokens, self.phases, self.experts, self.device.sms)

    def settings(self, point: Point, cap: int, cluster_size: int) -> Mapping[str, object]:
        """The parameters of the vectors at a point."""
        return {
            "machine": self.machine,
            "experts": self.experts,
            "tokens": point.tokens,
            "phase": point.phase,
            "peers": self.peers,
            "bytes_per_op": self.bytes_per_op,
            "nccl_max_ctas": cap,
            "nccl_cga_cluster_size": cluster_size,
        }


def _points(tokens: tuple[int, ...], phases: tuple[Phase, ...]) -> Iterator[Point]:
    for each in tokens:
        for phase in phases:
            yield Point(each, phase)


@cache
def _grids(
    tokens: tuple[int, ...], phases: tuple[Phase, ...], experts: int, sms: int
) -> tuple[tuple[int, tuple[Point, ...]], ...]:
    found: dict[int, list[Point]] = {}
    for point in _points(tokens, phases):
        grid = deepep_grid(point.phase, experts, point.tokens, sms)
        found.setdefault(grid, []).append(point)
    return tuple((grid, tuple(points)) for grid, points in found.items())


def accept_version(version: str) -> None:
    """Refuse a version of NCCL whose channel rules are not the ones of the formulas (N27)."""
    if version == NCCL_RULES or version.startswith(f"{NCCL_RULES}."):
        return
    raise UsageError(
        f"NCCL {version}: only the channel rules of {NCCL_RULES} are known (N8), other versions "
        "count differently (N27); read n off a profile (the grid of ncclDevKernel_SendRecv) and "
        "ask `eplb-model check coop_vs_nccl_frontier --set nccl_ctas=...`"
    )
