"""The same on a GPU: events between real streams, rows staged through the host, NCCL.

Ranks share GPUs where these are fewer (`eplb_real/sharing.py`).
"""

import pytest

pytest.importorskip("torch", reason="tests/real needs torch: pip install -e '.[real]'")

import torch

from eplb_real.events import CpuGpuEvent
from eplb_real.sharing import cannot_share
from eplb_real.streams import side_stream
from tests.real import on_cuda
from tests.real.ranks import Ranks

GPUS = torch.cuda.device_count()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(GPUS == 0, reason="no GPU")]
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


@pytest.fixture(params=[2, 4])
def gpu_ranks(request):
    """Ranks of their own."""
    if reason := cannot_share(request.param, GPUS):
        pytest.skip(reason)
    pool = Ranks(request.param)
    yield pool
    pool.close()


def _can(backend):
    """Skip where a backend lacks its library."""
    library = {"pynccl": "nccl.core", "nixl": "nixl"}.get(backend.partition(" ")[0])
    if library is not None:
        pytest.importorskip(library, reason=f"{backend} needs {library}, which is not installed")


BACKENDS = ["torch_gloo", "torch_nccl", "pynccl", "nixl", "nixl in place"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(3))
def test_layers_on_gpus_are_exchanged_expert_by_expert(gpu_ranks, backend, seed):
    _can(backend)
    rows, layers = 4, 4
    old, new = on_cuda.placements(seed, gpu_ranks.size, rows, layers)

    seen = gpu_ranks.run(on_cuda.exchange_layers, backend, old, new)

    assert seen == [
        [row[rank * rows : rank * rows + rows] for row in new] for rank in range(gpu_ranks.size)
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("version", ["0.20", "0.33"])
def test_cycles_on_gpus_keep_maps_and_weights_together(gpu_ranks, version, backend):
    _can(backend)
    if (version, backend) == ("0.20", "nixl in place"):
        with pytest.raises(AssertionError, match="without staging"):
            gpu_ranks.run(on_cuda.cycles, version, 2, backend)
        return

    seen = gpu_ranks.run(on_cuda.cycles, version, 2, backend)

    assert seen == [True] * gpu_ranks.size


def test_the_first_batch_of_a_lazy_group_waits_for_the_rank_without_rows():
    if reason := cannot_share(3, GPUS):
        pytest.skip(reason)
    ranks = Ranks(3)
    try:
        seen = ranks.run(on_cuda.first_batch_of_a_lazy_group)
    finally:
        ranks.close()

    assert seen == [(False, True), (False, True), None]
