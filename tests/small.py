"""Scenarios written by hand, for tests of one rule at a time."""

from __future__ import annotations

from eplb_model.check import Search, check
from eplb_model.machine import FOOTPRINTS, MACHINES, Machine
from eplb_model.outcome import Report
from eplb_model.scenario import RankPlan, Scenario, Statement, ThreadPlan
from eplb_model.world import Grain, Kernel, Meets, Stream

TINY = MACHINES["tiny"]


def kernel(name: str, ctas: int = 1, cluster: int = 1, **more) -> Kernel:
    """A regular kernel of CTAs that take a whole SM each."""
    more.setdefault("launch", "regular")
    more.setdefault("footprint", FOOTPRINTS["exclusive"])
    return Kernel(name=name, ctas=ctas, cluster=cluster, **more)


def gang(name: str, ctas: int, **more) -> Kernel:
    """A cooperative kernel; it ends as one."""
    return kernel(name, ctas, launch="cooperative", ends="together", **more)


def meeting(grain: Grain, name: str, ranks: int = 2) -> Meets:
    """A meeting of all ranks."""
    offsets = tuple(range(1, ranks))
    return Meets(grain, offsets, offsets, name)


def rank(*threads: tuple[Statement, ...] | list[Statement], streams=("s",), **initial) -> RankPlan:
    """A rank whose threads are called a, b, c, ..."""
    plans = tuple(
        ThreadPlan(name, tuple(body)) for name, body in zip("abcdefgh", threads, strict=False)
    )
    specs = tuple(each if isinstance(each, Stream) else Stream(each) for each in streams)
    return RankPlan(plans, specs, initial)


def scenario(*ranks: RankPlan, kernels=(), machine: Machine = TINY, **more) -> Scenario:
    """A scenario of these ranks."""
    return Scenario("small", machine, {each.name: each for each in kernels}, ranks, **more)


def plain(described: Scenario, **more) -> Report:
    """What the reference search says."""
    return check(described, Search(settle=False, **more))
