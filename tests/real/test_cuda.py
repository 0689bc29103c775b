"""The same on a GPU: events between real streams, rows staged through the host, NCCL.

Two ranks share one GPU over gloo; NCCL needs a GPU for each.
"""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.events import CpuGpuEvent
from eplb_real.streams import side_stream
from tests.real import on_cuda

GPUS = torch.cuda.device_count()
pytestmark = pytest.mark.skipif(GPUS == 0, reason="no GPU")
CYCLES = 200_000_000  # of the device's clock: about 0.1 s


def test_work_behind_the_wait_follows_a_slow_kernel_before_the_record():
    event = CpuGpuEvent(debug=True)
    produced, consumed = (side_stream(torch.device("cuda")) for _ in range(2))
    data, seen = torch.zeros(1, device="cuda"), torch.zeros(1, device="cuda")
    torch.cuda.synchronize()

    with torch.cuda.stream(produced):
        torch.cuda._sleep(CYCLES)
        data.fill_(1)
        event.record()
    event.wait(consumed)
    with torch.cuda.stream(consumed):
        seen.copy_(data)
    consumed.synchronize()

    assert seen.item() == 1


def test_without_the_event_the_same_work_overtakes_the_slow_kernel():
    produced, consumed = (side_stream(torch.device("cuda")) for _ in range(2))
    data, seen = torch.zeros(1, device="cuda"), torch.zeros(1, device="cuda")
    torch.cuda.synchronize()

    with torch.cuda.stream(produced):
        torch.cuda._sleep(CYCLES)
        data.fill_(1)
    with torch.cuda.stream(consumed):
        seen.copy_(data)
    consumed.synchronize()

    assert seen.item() == 0


@pytest.mark.parametrize(
    "backend",
    [
        "torch_gloo",
        pytest.param(
            "torch_nccl",
            marks=pytest.mark.skipif(GPUS < 2, reason="NCCL needs a GPU per rank, here is one"),
        ),
    ],
)
def test_layers_on_gpus_are_exchanged(own_ranks, backend):
    old = [[0, 1, 2, 0], [2, 1, 0, 2]]
    new = [[0, 2, 2, 1], [1, 1, 0, 0]]

    seen = own_ranks.run(on_cuda.exchange_layers, backend, old, new)

    assert seen == [[row[:2] for row in new], [row[2:] for row in new]]


@pytest.mark.parametrize("version", ["0.20", "0.33"])
def test_cycles_on_a_gpu_keep_maps_and_weights_together(own_ranks, version):
    seen = own_ranks.run(on_cuda.cycles, version, 2)

    assert seen == [True, True]
