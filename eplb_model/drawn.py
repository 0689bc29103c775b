"""Kernels and streams as Hypothesis draws them for generated scenarios.

Rule: draws shrink towards few CTAs, no clusters, and kernels that meet nobody.
"""

from __future__ import annotations

from typing import Literal

from hypothesis import strategies as st

from eplb_model.formulas import channels_of_grid
from eplb_model.machine import FOOTPRINTS
from eplb_model.world import Grain, Kernel, Meets, Stream


def drawn_kernels(draw: st.DrawFn, most: int, ctas: int, ranks: int) -> list[Kernel]:
    """Kernels called kernel0, kernel1, ..., of up to so many CTAs."""
    count = draw(st.integers(1, most))
    return [_kernel(draw, f"kernel{n}", n, ctas, ranks) for n in range(count)]


def _kernel(draw: st.DrawFn, name: str, number: int, most: int, ranks: int) -> Kernel:
    cluster = draw(st.sampled_from((1, 1, 2) if most > 1 else (1,)))
    ctas = cluster * draw(st.integers(1, most // cluster))
    meets, rounds = _meets(draw, name, number, ctas, ranks)
    by_channel = meets is not None and meets.grain == "channel"
    ends: Literal["each", "together"] = draw(st.sampled_from(("together", "each")))
    return Kernel(
        name,
        draw(st.sampled_from(("regular", "cooperative"))),
        ctas,
        cluster,
        FOOTPRINTS[draw(st.sampled_from(("exclusive", "tiny", "nccl")))],
        meets,
        "each" if by_channel else ends,
        draw(st.sampled_from((None, None, "flag0"))),
        draw(st.sampled_from((None, None, "module0"))),
        rounds,
    )


def _meets(
    draw: st.DrawFn, name: str, number: int, ctas: int, ranks: int
) -> tuple[Meets | None, tuple[tuple[int, ...], ...]]:
    """Whom a kernel meets: all peers or the next, itself there or the kernel declared before it."""
    grain: Grain | None = draw(st.sampled_from((None, "first", "grid", "channel", "end")))
    if grain is None or (ranks == 1 and grain != "grid"):
        return None, ()
    offsets = draw(st.sampled_from((tuple(range(1, ranks)), (1,)[: ranks - 1])))
    if grain == "channel":
        return Meets(grain, offsets, offsets, name), channels_of_grid(ctas, ranks, offsets)
    other = f"kernel{number - 1}"
    partner = draw(st.sampled_from((name, other))) if number else name
    eager = draw(st.sampled_from((False, False, True)))
    return Meets(grain, offsets, offsets, partner, eager), ()


def drawn_stream(draw: st.DrawFn, name: str) -> Stream:
    """A stream of any kind and one of two priorities."""
    kinds = ("nonblocking", "nonblocking", "blocking", "legacy")
    return Stream(name, draw(st.sampled_from((0, 0, -1))), draw(st.sampled_from(kinds)))
