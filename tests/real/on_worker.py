"""Async EPLB on ranks 0 and 1 of the pool, stepped until its cycles are over.

Models are tagged: every row holds the number of its expert, so weights and maps can be compared.
"""

import itertools
import time
from datetime import timedelta

import torch
import torch.distributed as dist

from eplb_real.communicators.base import EplbCommunicator
from eplb_real.communicators.nixl_zero_copy import NixlEplbCommunicator
from eplb_real.communicators.torch_gloo import TorchDistGlooStagedEplbCommunicator
from eplb_real.main_thread import AsyncEplb
from eplb_real.maps import Maps
from eplb_real.state import Groups, Model, WorkerError
from eplb_real.streams import HostEvent
from tests.real.nixl_fake import FakeNixl
from tests.real.on_rank import STALE, tagged, tags_of

PLACEMENT = [[0, 1, 2, 0], [2, 1, 0, 1], [0, 1, 2, 2]]
EXPERTS = 3
PATIENCE = 60.0  # seconds; a machine that is busy may let the worker wait for its turn
NEVER = 10**9  # an interval at which a cycle begins only when a test says so
SOON = timedelta(seconds=3)


def rolled(load, placement, ranks):
    """The policy of these tests: every expert moves on by a row."""
    return [[*row[-1:], *row[:-1]] for row in placement]


def groups_of(context, members=(0, 1)):
    """Fresh groups, as a test may leave one in the middle of something."""
    device, votes, workers, data = (
        dist.new_group(list(members), timeout=SOON, backend="gloo") for _ in range(4)
    )
    if context.rank not in members:
        return None, None
    rank = members.index(context.rank)
    return Groups(device, votes, workers, rank, len(members)), data


def model_of(name, rank, ranks, data_group, policy=rolled, backend="torch_gloo", batched=False):
    """A model whose rows hold the numbers of their experts."""
    rows = len(PLACEMENT[0]) // ranks
    mine = slice(rank * rows, rank * rows + rows)
    weights = [tagged(row[mine], [torch.float32, torch.int64]) for row in PLACEMENT]
    buffer = tagged([STALE] * rows, [torch.float32, torch.int64])
    made: EplbCommunicator
    if backend == "nixl":
        made = NixlEplbCommunicator(data_group, weights, buffer, open_wrapper=FakeNixl)
    else:
        made = TorchDistGlooStagedEplbCommunicator(data_group)
    maps = Maps.of(PLACEMENT, EXPERTS, torch.device("cpu"))
    load = torch.zeros(len(PLACEMENT), EXPERTS, dtype=torch.int64)
    return Model(name, maps, weights, buffer, made, policy, load, batched)


def agrees(model, rank, ranks):
    """Whether all rows hold the experts that the map says."""
    rows = model.maps.physical_to_logical.shape[1] // ranks
    mine = slice(rank * rows, rank * rows + rows)
    placement = model.maps.physical_to_logical.tolist()
    return all(
        tags == row[mine]
        for row, layer in zip(placement, model.weights, strict=True)
        for tags in tags_of(layer)
    )


def run_until(eplb, over, check):
    """Step until over() is true; the number of steps, with a check after each."""
    deadline = time.monotonic() + PATIENCE
    for number in itertools.count():
        if over():
            return number
        eplb.step()
        assert check()
        assert time.monotonic() < deadline, f"{PATIENCE} seconds did not suffice"
    raise AssertionError("a count has no end")


def begin(eplb):
    """Begin a cycle now."""
    eplb.steps = NEVER - 1
    eplb.step()
    assert eplb.in_cycle


def cycles(context, version, backend, batched, count):
    """Some cycles of two models; the maps of the models, and what their policies saw."""
    groups, data = groups_of(context)
    if groups is None:
        return None
    loads = []

    def policy(load, placement, ranks):
        loads.append(load.tolist()[0])
        return rolled(load, placement, ranks)

    models = [model_of(n, groups.rank, 2, data, policy, backend, batched) for n in ("one", "two")]
    eplb = AsyncEplb(
        models, groups, step_interval=4, version=version, event_factory=HostEvent, debug=True
    )
    eplb.start()

    def passed():
        for model in models:
            model.load += groups.rank + 1
        return all(agrees(model, groups.rank, 2) for model in models)

    passed()
    run_until(eplb, lambda: eplb.cycles > count, passed)
    eplb.drain()
    eplb.stop()
    return [model.maps.physical_to_logical.tolist() for model in models], loads


def failing(context, version, where):
    """Rank 1 fails in its policy or in the exchange; the error of each main thread."""
    groups, data = groups_of(context)
    if groups is None:
        return None

    def policy(load, placement, ranks):
        if where == "policy" and groups.rank == 1:
            raise OSError("no such policy")
        return rolled(load, placement, ranks)

    model = model_of("one", groups.rank, 2, data, policy)
    if where == "exchange" and groups.rank == 1:
        model.buffer[0].requires_grad_(True)  # a leaf that can't be written in place
    eplb = AsyncEplb([model], groups, step_interval=1, version=version, event_factory=HostEvent)
    eplb.start()
    try:
        run_until(eplb, lambda: False, lambda: True)
    except WorkerError as error:
        return str(error), type(error.__cause__).__name__


def drained(context, version):
    """Drain in the middle of a cycle, look, and do another cycle."""
    groups, data = groups_of(context)
    if groups is None:
        return None
    model = model_of("one", groups.rank, 2, data)
    eplb = AsyncEplb([model], groups, step_interval=NEVER, version=version, event_factory=HostEvent)
    eplb.start()
    begin(eplb)
    run_until(eplb, lambda: moved_layers(model) == 1, lambda: agrees(model, groups.rank, 2))
    eplb.drain()
    after = (eplb.in_cycle, moved_layers(model), agrees(model, groups.rank, 2), eplb.steps)
    begin(eplb)
    run_until(eplb, lambda: not eplb.in_cycle, lambda: agrees(model, groups.rank, 2))
    eplb.stop()
    return after, model.maps.physical_to_logical.tolist()


def asked_to_stop(context):
    """Rank 1 alone asks for the end of a cycle as it begins; what moved, then another cycle."""
    groups, data = groups_of(context)
    if groups is None:
        return None
    model = model_of("one", groups.rank, 2, data)
    eplb = AsyncEplb([model], groups, step_interval=NEVER, version="0.33", event_factory=HostEvent)
    eplb.start()
    if groups.rank == 1:
        eplb.ask_to_stop()
    begin(eplb)
    steps = run_until(eplb, lambda: not eplb.in_cycle, lambda: agrees(model, groups.rank, 2))
    stopped = model.maps.physical_to_logical.tolist()
    begin(eplb)
    run_until(eplb, lambda: not eplb.in_cycle, lambda: agrees(model, groups.rank, 2))
    eplb.stop()
    return steps, stopped, model.maps.physical_to_logical.tolist()


def moved_layers(model):
    placement = model.maps.physical_to_logical.tolist()
    return sum(now != before for now, before in zip(placement, PLACEMENT, strict=True))
