"""What two ranks do in tests on a GPU; they share it if there is only one."""

from types import SimpleNamespace

import torch
import torch.distributed as dist

from eplb_real.communicators.factory import create_eplb_communicator
from eplb_real.communicators.torch_gloo import TorchDistGlooStagedEplbCommunicator
from eplb_real.exchange import rearrange
from eplb_real.main_thread import AsyncEplb
from eplb_real.maps import Maps
from eplb_real.state import Groups, Model
from tests.real.on_rank import STALE, tagged, tags_of
from tests.real.on_worker import EXPERTS, PLACEMENT, agrees, rolled, run_until

DTYPES = [torch.bfloat16, torch.int64, torch.float8_e4m3fn]


def on_gpu(layer):
    return [tensor.cuda() for tensor in layer]


def placed(context, placement):
    """The weights of this rank by layer, and its buffer, on its GPU."""
    torch.cuda.set_device(context.rank % torch.cuda.device_count())
    rows = len(placement[0]) // 2
    mine = slice(context.rank * rows, context.rank * rows + rows)
    weights = [on_gpu(tagged(row[mine], DTYPES)) for row in placement]
    return weights, on_gpu(tagged([STALE] * rows, DTYPES))


def exchange_layers(context, backend, old, new):
    """All layers, each row tagged with its expert; the tags afterwards."""
    weights, buffer = placed(context, old)
    group = context.group([0, 1])
    device = dist.new_group([0, 1], backend="nccl") if backend == "torch_nccl" else group
    both = SimpleNamespace(cpu_group=group, device_group=device, device_communicator=None)
    made = create_eplb_communicator(both, backend, weights[0])
    rearrange(old, new, weights, buffer, made, rank=context.rank, ranks=2)
    tags = [tags_of(layer) for layer in weights]
    assert all(other == layer[0] for layer in tags for other in layer)
    return [layer[0] for layer in tags]


def cycles(context, version, count):
    """Whether maps and weights agree after each step of some cycles."""
    weights, buffer = placed(context, PLACEMENT)
    group = context.group([0, 1])
    data = dist.new_group([0, 1], backend="gloo")
    workers = dist.new_group([0, 1], backend="gloo")
    load = torch.zeros(len(PLACEMENT), EXPERTS, dtype=torch.int64, device="cuda")
    maps = Maps.of(PLACEMENT, EXPERTS, load.device)
    made = TorchDistGlooStagedEplbCommunicator(data)
    model = Model("one", maps, weights, buffer, made, rolled, load)
    groups = Groups(group, group, workers, context.rank, 2)
    eplb = AsyncEplb([model], groups, step_interval=4, version=version, debug=True)
    eplb.start()
    run_until(eplb, lambda: eplb.cycles > count, lambda: agrees(model, context.rank, 2))
    eplb.drain()
    eplb.stop()
    return agrees(model, context.rank, 2)
