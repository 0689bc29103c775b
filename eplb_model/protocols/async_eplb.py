"""Async EPLB: some rearrangements, a main thread and a worker per rank, as programs.

Rules:
- Version, communicator and faults are parameters of one text, split by thread, not by version.
- Every rank asserts at the end that its rows are what the new map says.
- What a version refuses, or does not know, is an error unless it is asked for `unchecked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from eplb_model.claims import Claim, Stated
from eplb_model.communicators.local_moves import committed
from eplb_model.communicators.names import BUFFER, staged
from eplb_model.communicators.registry import lowered
from eplb_model.ops.moves import Move
from eplb_model.protocols.ancestor_worker import ancestor_worker
from eplb_model.protocols.forward import kernels
from eplb_model.protocols.main_thread import initial, main_thread
from eplb_model.protocols.rearrangement import (
    NCCL,
    ROWS,
    arrived,
    check_available,
    maps,
    planned,
    renamed,
    tags,
)
from eplb_model.protocols.settings import Publication, Settings, chosen, holds, of_model, place
from eplb_model.protocols.worker_thread import worker_thread
from eplb_model.scenario import Planned, RankPlan, Statement, ThreadPlan
from eplb_model.world import Stream

REFUSED = {"0.33": NCCL}  # vllm#44978


def async_eplb(values: Mapping[str, Any]) -> Planned:
    """The plan of every rank and what is claimed of them, from the parameters of the vector.

    Raises
    ------
    ValueError
        For a communicator that the version refuses or has not, and for settings that contradict
        each other.
    """
    check(values)
    settings = _settings(values)
    ranks = tuple(_rank_plan(values, settings, rank) for rank in range(settings.ranks))
    return Planned(ranks, tuple(_claims(settings)) if values.get("claims", False) else ())


def _claims(settings: Settings) -> Iterator[Claim]:
    """That every publication is consumed and every cycle ends, and that there is one of each.

    Nothing is said of publications where the last rank's worker ends before its first one.
    """
    publishes = 0 not in (settings.dies, settings.raises)
    for model in range(settings.models):
        of = "" if model == 0 else f" of model {model}"
        taken = of_model("ready" if settings.locks else "pending", model)
        free = holds(taken, 0 if settings.locks else None)
        full = replace(free, comparison="!=")
        if publishes:
            yield Stated("eventually", free, f"every published result{of} is consumed")
            yield Stated("sometimes", full, f"a result{of} is published")
        cycle = of_model("rebalanced", model)
        yield Stated("eventually", holds(cycle, 0), f"every cycle{of} ends")
        yield Stated("sometimes", holds(cycle, 1), f"a cycle{of} is on")


def _rank_plan(values: Mapping[str, Any], settings: Settings, rank: int) -> RankPlan:
    every = maps(values["moved"], settings.ranks, settings.cycles)
    layers = settings.models * settings.layers
    after = arrived(rank, layers, every[-1]) if settings.ends_as_planned else ()
    work = ancestor_worker if settings.locks else worker_thread
    threads = (
        ThreadPlan("main", main_thread(settings, rank, after)),
        ThreadPlan("worker", work(settings, rank)),
    )
    state = {**initial(settings), **tags(rank, layers, every[0])}
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
    check_available(version, communicator)


def _settings(values: Mapping[str, Any]) -> Settings:
    ranks, layers = values["ranks"], values["layers"]
    optional = chosen(values)
    every = maps(values["moved"], ranks, optional.get("cycles", 1))
    plans = [
        planned(old, new, ranks, values.get("diverges", False)) for old, new in pairwise(every)
    ]
    transfers = [
        lowered(values["communicator"], each, old) for each, old in zip(plans, every, strict=False)
    ]

    def transfer(rank: int, publication: Publication) -> Iterator[Statement]:
        number = place(settings, publication.model, publication.layer)
        statements = transfers[publication.cycle](rank, number)
        return renamed(statements, _names(publication.model))

    def commit(rank: int, publication: Publication) -> tuple[Move, ...]:
        share = plans[publication.cycle].shares[rank]
        number = place(settings, publication.model, publication.layer)
        return tuple(renamed(committed(share, number), _names(publication.model)))

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


def _names(model: int) -> dict[str, str]:
    """How the buffer of a model, and the tags of its rows, are called."""
    return {name: of_model(name, model) for name in (BUFFER, *map(staged, range(ROWS)))}


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
