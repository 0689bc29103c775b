"""Async EPLB: some rearrangements, a main thread and a worker per rank, as programs.

Rules:
- Version, communicator and faults are parameters of one text, split by thread, not by version.
- Where the communicator carries tags, every rank asserts at the end that it holds the new map.
- What a version refuses, or does not know, is an error unless it is asked for `unchecked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from eplb_model.communicators.local_moves import committed
from eplb_model.protocols.ancestor_worker import ancestor_worker
from eplb_model.protocols.forward import kernels
from eplb_model.protocols.main_thread import initial, main_thread
from eplb_model.protocols.rearrangement import (
    CARRIES_TAGS,
    COMMUNICATORS,
    arrived,
    maps,
    planned,
    renamed,
    tags,
)
from eplb_model.protocols.settings import Publication, Settings, chosen, of_model, place
from eplb_model.protocols.worker_thread import worker_thread
from eplb_model.scenario import RankPlan, Statement, ThreadPlan
from eplb_model.world import Stream

NCCL = ("torch_nccl", "pynccl")
REFUSED = {"0.33": NCCL}  # vllm#44978
ONLY = {"0.18": ("torch_nccl",), "0.19": ("torch_nccl",)}  # there was nothing to choose


def async_eplb(values: Mapping[str, Any]) -> tuple[RankPlan, ...]:
    """The plan of every rank, from the parameters of the vector.

    Raises
    ------
    ValueError
        For a communicator that the version refuses or has not, and for settings that contradict
        each other.
    """
    check(values)
    settings = _settings(values)
    return tuple(_rank_plan(values, settings, rank) for rank in range(settings.ranks))


def _rank_plan(values: Mapping[str, Any], settings: Settings, rank: int) -> RankPlan:
    tagged = values["communicator"] in CARRIES_TAGS
    every = maps(values["moved"], settings.ranks, settings.cycles)
    layers = settings.models * settings.layers
    after = arrived(rank, layers, every[-1]) if tagged and settings.ends_as_planned else ()
    work = ancestor_worker if settings.locks else worker_thread
    threads = (
        ThreadPlan("main", main_thread(settings, rank, after)),
        ThreadPlan("worker", work(settings, rank)),
    )
    state = {**initial(settings), **(tags(rank, layers, every[0]) if tagged else {})}
    return RankPlan(threads, tuple(map(Stream, _streams(settings))), state)


def _streams(settings: Settings) -> Iterator[str]:
    yield from ("compute", "side", "internal")
    if settings.sums_load or settings.statistics:
        yield "ep"
    yield "thread" if settings.locks else "unordered"


def check(values: Mapping[str, Any]) -> None:
    """Raise for what a version refuses or has not, unless it is asked for `unchecked`."""
    version, communicator = values["version"], values["communicator"]
    if values.get("unchecked", False):
        return
    if communicator in REFUSED.get(version, ()):
        raise ValueError(
            f"version {version} refuses async EPLB with communicator {communicator} "
            "(vllm#44978); set unchecked=true to see why"
        )
    if communicator not in ONLY.get(version, (communicator,)):
        raise ValueError(
            f"version {version} has no communicator {communicator}, only "
            f"{', '.join(ONLY[version])}; set unchecked=true to ask all the same"
        )


def _settings(values: Mapping[str, Any]) -> Settings:
    ranks, layers = values["ranks"], values["layers"]
    optional = chosen(values)
    every = maps(values["moved"], ranks, optional.get("cycles", 1))
    plans = [
        planned(old, new, ranks, values.get("diverges", False)) for old, new in pairwise(every)
    ]
    lowered = COMMUNICATORS[values["communicator"]]
    tagged = values["communicator"] in CARRIES_TAGS

    def transfer(rank: int, publication: Publication) -> Iterator[Statement]:
        share = plans[publication.cycle].shares[rank]
        statements = lowered(share, place(settings, publication.model, publication.layer))
        return renamed(statements, {"buffer": of_model("buffer", publication.model)})

    def commit(rank: int, publication: Publication) -> Iterator[Statement]:
        share = plans[publication.cycle].shares[rank]
        number = place(settings, publication.model, publication.layer)
        return committed(share, number) if tagged else iter(())

    settings = Settings(
        version=values["version"],
        ranks=ranks,
        layers=layers,
        transfer=transfer,
        commit=commit,
        **optional,
    )
    kernels(settings.all2all, settings.hook)
    _consistent(settings)
    return settings


def _consistent(settings: Settings) -> None:
    """Raise for settings that contradict each other."""
    faults = {
        "interval": settings.interval < max(1, settings.steps),
        "reports_death": settings.locks and settings.reports_death,
        "drain": settings.drain is not None and (settings.locks or settings.steps > 0),
    }
    reasons = {
        "interval": f"got {settings.interval}; expected at least 1 and steps={settings.steps}",
        "reports_death": f"version {settings.version} has none",
        "drain": "expected a version with two-thread events, and steps=0",
    }
    for name, wrong in faults.items():
        if wrong:
            raise ValueError(f"{name}: {reasons[name]}")
