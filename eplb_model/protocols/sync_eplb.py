"""Sync EPLB: the main thread does all layers in one step, on its own stream.

Rules (specs/protocols.md#sync):
- R1, R2, then load and map to the host; the policy; layer by layer transfer and copies, which are
  enqueued only; the maps once, after the last layer.
- 0.20 synchronises with the device once, before the first layer (`synchronize`); 0.33 never does.
- The communicator works on the stream of its caller, or on that of a worker (`sticky_stream`).
- At the end the rows are compared with the new map (`compares`), unless the ranks had two of them.
- All layers go through one buffer: the shared one in 0.33, one of this call in 0.20.
- What that memory is to the allocator, and how long it is kept, is `allocation.py` (`allocator`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from eplb_model.communicators.local_moves import committed
from eplb_model.communicators.names import BUFFER, weights
from eplb_model.communicators.plan import Share
from eplb_model.communicators.registry import lowered
from eplb_model.ops.copies import Copy
from eplb_model.ops.launch import Launch
from eplb_model.ops.moves import Move
from eplb_model.ops.synchronize import DeviceSynchronize, StreamSynchronize
from eplb_model.protocols.allocation import dropped, in_fresh_tensors
from eplb_model.protocols.forward import summed
from eplb_model.protocols.rearrangement import (
    arrived,
    check_available,
    maps,
    planned,
    renamed,
    tags,
)
from eplb_model.scenario import RankPlan, Statement, ThreadPlan
from eplb_model.world import Stream

SYNCHRONIZES = {"0.20": "once", "0.33": "never"}


class _Layer(NamedTuple):
    """What a rank does for a layer: its transfers, and what the copies out of the buffer move."""

    number: int
    share: Share
    transfer: tuple[Statement, ...]
    rows: tuple[Move, ...]


def sync_eplb(values: Mapping[str, Any]) -> tuple[RankPlan, ...]:
    """The plan of every rank, from the parameters of the vector.

    Raises ValueError for a kind of rearrangement that is not known, and for a communicator that
    the version has not, unless it is asked for `unchecked`.
    """
    if not values["unchecked"]:
        check_available(values["version"], values["communicator"])
    ranks, layers = values["ranks"], values["layers"]
    old, new = maps(values["moved"], ranks)
    plans = planned(old, new, ranks, values["diverges"])
    transfer = lowered(values["communicator"], plans, old)
    streams = tuple(map(Stream, ("compute", "side", "internal", "ep")))
    found = []
    for rank in range(ranks):
        compares = values["compares"] and not values["diverges"]
        after = arrived(rank, layers, new) if compares else ()
        parts = [
            _Layer(layer, share, tuple(transfer(rank, layer)), committed(share, layer))
            for layer, share in enumerate([plans.shares[rank]] * layers)
        ]
        body = (*_main(values, parts), *after)
        found.append(RankPlan((ThreadPlan("main", body),), streams, tags(rank, layers, old)))
    return tuple(found)


def _main(values: Mapping[str, Any], layers: Sequence[_Layer]) -> Iterator[Statement]:
    """Forward passes with the rearrangement between two of them."""
    yield from _pass(values["layers"])
    yield from _rearrangement(values, layers)
    yield from _pass(values["layers"])
    yield StreamSynchronize("compute")


def _pass(layers: int) -> Iterator[Statement]:
    """A forward pass; the host runs ahead of it."""
    yield Launch("moe", "compute", reads=(*map(weights, range(layers)), "map"))


def _rearrangement(values: Mapping[str, Any], layers: Sequence[_Layer]) -> Iterator[Statement]:
    yield Copy("d2d", "compute", writes=("load",))
    yield from summed("load")
    yield Copy("d2h", "compute", "pageable", reads=("load", "map"))
    asked = values["synchronize"]
    synchronises = SYNCHRONIZES[values["version"]] if asked == "as_version" else asked
    if synchronises == "once":
        yield DeviceSynchronize()
    for layer in layers:
        yield from _moved(values, layer, synchronises)
    yield Copy("h2d", "compute", "pageable", True, (), ("map",))


def _moved(values: Mapping[str, Any], layer: _Layer, synchronises: str) -> Iterator[Statement]:
    stream = "side" if values["sticky_stream"] else "compute"
    fresh = values["allocator"] != "shared"
    if synchronises == "before_each_layer":
        yield DeviceSynchronize()
    plain = layer.transfer
    transfer = tuple(in_fresh_tensors(plain, layer.share)) if fresh else plain
    yield from renamed(transfer, {"side": stream})
    if synchronises == "each_layer":
        yield DeviceSynchronize()
    live = weights(layer.number)
    yield Copy("d2d", "compute", reads=(BUFFER,), writes=(live,), moves=layer.rows)
    if fresh:
        yield from dropped(plain, layer.share, values["allocator"])
