"""What ranks do in tests on GPUs, which they share if these are fewer."""

import os
import random
import threading
from types import SimpleNamespace

import torch
import torch.distributed as dist

from eplb_real.communicators.factory import create_eplb_communicator
from eplb_real.communicators.nccl4py import Nccl4pyCommunicator
from eplb_real.exchange import rearrange
from eplb_real.main_thread import AsyncEplb
from eplb_real.maps import Maps
from eplb_real.sharing import environment, gpu_of
from eplb_real.state import Groups, Model
from tests.real.on_rank import STALE, tagged, tags_of
from tests.real.on_worker import agrees, rolled, run_until

DTYPES = [torch.bfloat16, torch.int64, torch.float8_e4m3fn]
BYTES = [torch.bfloat16, torch.int64]  # what NCCL itself has a type for


def placements(seed, ranks, rows, layers):
    """Maps before and after: every expert somewhere, redundant ones where the seed puts them."""
    chosen = random.Random(seed)
    experts = ranks * rows - ranks  # one redundant expert per rank

    def one():
        placed = [*range(experts), *(chosen.randrange(experts) for _ in range(ranks))]
        chosen.shuffle(placed)
        return placed

    return [one() for _ in range(layers)], [one() for _ in range(layers)]


def placed(context, placement, dtypes=DTYPES):
    """The weights of this rank by layer, and its buffer, on its GPU."""
    gpus = torch.cuda.device_count()
    os.environ.update(environment(context.rank, context.size, gpus))  # before NCCL reads it
    torch.cuda.set_device(gpu_of(context.rank, gpus))
    rows = len(placement[0]) // context.size
    mine = slice(context.rank * rows, context.rank * rows + rows)
    weights = [on_gpu(tagged(row[mine], dtypes)) for row in placement]
    return weights, on_gpu(tagged([STALE % 64] * rows, dtypes))


def on_gpu(layer):
    return [tensor.cuda() for tensor in layer]


def communicator(context, backend, weights, buffer):
    """A communicator of the factory on the group of all ranks, with what its backend needs."""
    everybody = list(range(context.size))
    group = dist.new_group(everybody, backend="gloo")
    device = torch.device("cuda", torch.cuda.current_device())
    nccl = dist.new_group(everybody, backend="nccl") if backend == "torch_nccl" else group
    own = Nccl4pyCommunicator(group, device) if backend == "pynccl" else None
    both = SimpleNamespace(
        cpu_group=group,
        device_group=nccl,
        device_communicator=own and SimpleNamespace(pynccl_comm=own),
    )
    name, _, in_place = backend.partition(" ")
    if in_place:
        return create_eplb_communicator(both, name, weights, buffer, version="0.33")
    return create_eplb_communicator(both, name, weights[0])


def exchange_layers(context, backend, old, new):
    """All layers, each row tagged with its expert; the tags afterwards."""
    dtypes = DTYPES if backend != "pynccl" else BYTES
    weights, buffer = placed(context, old, dtypes)
    made = communicator(context, backend, weights, buffer)
    rearrange(old, new, weights, buffer, made, rank=context.rank, ranks=context.size)
    torch.cuda.synchronize()
    tags = [tags_of(layer) for layer in weights]
    assert all(other == layer[0] for layer in tags for other in layer)
    return [layer[0] for layer in tags]


def cycles(context, version, count, backend="torch_gloo"):
    """Whether maps and weights agree after each step of some cycles."""
    everybody = list(range(context.size))
    placement, _ = placements(7, context.size, 3, 3)
    experts = max(map(max, placement)) + 1
    dtypes = DTYPES if backend != "pynccl" else BYTES
    weights, buffer = placed(context, placement, dtypes)
    group = context.group(everybody)
    workers = dist.new_group(everybody, backend="gloo")
    load = torch.zeros(len(placement), experts, dtype=torch.int64, device="cuda")
    maps = Maps.of(placement, experts, load.device)
    made = communicator(context, backend, weights, buffer)
    model = Model("one", maps, weights, buffer, made, rolled, load)
    groups = Groups(group, group, workers, context.rank, context.size)
    eplb = AsyncEplb([model], groups, step_interval=4, version=version, debug=True)
    eplb.start()
    run_until(eplb, lambda: eplb.cycles > count, lambda: agrees(model, context.rank, context.size))
    eplb.drain()
    eplb.stop()
    return agrees(model, context.rank, context.size)


def first_batch_of_a_lazy_group(context):
    """Whether the batch of ranks 0 and 1 was over before rank 2 had used the group, and after.

    The ranks are three; rank 2 has no rows to move.  None on rank 2.
    """
    gpus = torch.cuda.device_count()
    os.environ.update(environment(context.rank, context.size, gpus))
    torch.cuda.set_device(gpu_of(context.rank, gpus))
    row = torch.zeros(1 << 16, device="cuda")
    group = dist.new_group([0, 1, 2], backend="nccl")
    if context.rank == 2:
        dist.barrier()
        dist.all_reduce(row, group=group)
        torch.cuda.synchronize()
        return None
    over = threading.Event()

    def exchange():
        torch.cuda.set_device(gpu_of(context.rank, gpus))
        peer = 1 - context.rank
        batch = [
            dist.P2POp(op, torch.zeros_like(row), peer, group) for op in (dist.isend, dist.irecv)
        ]
        for work in dist.batch_isend_irecv(batch):
            work.wait()
        torch.cuda.synchronize()
        over.set()

    threading.Thread(target=exchange, daemon=True).start()
    before = over.wait(2.0)  # whether it comes back is the question
    dist.barrier()
    after = over.wait(20.0)
    dist.all_reduce(row, group=group)
    torch.cuda.synchronize()
    return before, after
