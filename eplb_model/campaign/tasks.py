"""What there is to do in a campaign: the catalogue case by case, or sampled schedules.

Rule: the tasks follow from the arguments alone.  A shard of random exploration has a seed of its
own, made from (seed, shard), so that shards are independent and can be repeated one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import cast

from eplb_model.campaign.task import Task
from eplb_model.format.parameters import Scalar
from eplb_model.vector import VECTORS, catalogue, load

SAMPLING = ("uniform", "pct")


def catalogue_tasks(names: Iterable[str] = (), like: Task | None = None) -> tuple[Task, ...]:
    """Every vector under every setting of which it says what to expect; all vectors by default."""
    base = like or Task("")
    vectors = [load(name) for name in names] or catalogue()
    return tuple(
        replace(
            base,
            vector=vector.name if vector.path.parent == VECTORS else str(vector.path),
            settings=_pairs(settings),
            expected=True,
        )
        for vector in vectors
        for settings, _ in vector.cases()
    )


def random_tasks(like: Task, shards: int) -> tuple[Task, ...]:
    """The runs of a sampling task, spread over shards; each ends at its first finding."""
    if like.strategy not in SAMPLING:
        raise ValueError(f"strategy {like.strategy!r} samples nothing; expected {SAMPLING}")
    shares = [like.runs // shards + (shard < like.runs % shards) for shard in range(shards)]
    return tuple(
        replace(like, runs=runs, seed=shard_seed(like.seed, shard), whole=True)
        for shard, runs in enumerate(shares)
        if runs
    )


def shard_seed(seed: int, shard: int) -> int:
    """The seed of one shard; the same on every machine.

    >>> shard_seed(0, 0) == shard_seed(0, 0), shard_seed(0, 0) == shard_seed(0, 1)
    (True, False)
    """
    return Random(f"{seed}/{shard}").getrandbits(48)


def _pairs(settings: Mapping[str, object]) -> tuple[tuple[str, Scalar], ...]:
    return tuple((name, cast(Scalar, value)) for name, value in settings.items())
