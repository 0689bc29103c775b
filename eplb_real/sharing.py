"""GPUs for ranks: what NCCL reads, and what one GPU needs to stand for several.

Rules:
- Without MPS a GPU gives each process its turn, with all its SMs: kernels of two ranks never
  compete for SMs, and both go on (G65).  So the model's "one GPU to a rank" holds.
- NCCL refuses two ranks on one GPU of one host.  It is told that they are on different hosts; they
  then talk through sockets of the loopback device, and an exchange has the channels of a network
  (N23b, N8a).
- What a process launches into two streams while it is not its turn may arrive in either order
  (G66).  An order has to be forced by seeing the first one resident, as everywhere here (R4).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

MOST_ON_ONE = 4  # ranks to a GPU; more were not tried
MPS = "CUDA_MPS_PIPE_DIRECTORY"
DEFAULT_PIPES = "/tmp/nvidia-mps"  # where MPS itself looks, on any machine
NO_MULTICAST = {  # multicast over NVLink stays off, whoever makes communicators here (R12)
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
}
MOST_CHANNELS = 32  # that NCCL takes as a number of CTAs


def is_shared(ranks: int, gpus: int) -> bool:
    """Whether some GPU has to serve two ranks."""
    return ranks > gpus


def gpu_of(rank: int, gpus: int) -> int:
    """On which GPU a rank is.

    >>> [gpu_of(rank, 2) for rank in range(4)]
    [0, 1, 0, 1]
    """
    return rank % gpus


def cannot_share(ranks: int, gpus: int) -> str | None:
    """Why so many ranks can't be on so many GPUs; None if they can."""
    if is_shared(ranks, gpus) and (where := _mps()):
        return f"ranks would share a GPU, and with MPS ({where}) they would compete for SMs"
    if ranks > MOST_ON_ONE * gpus:
        return f"{ranks} ranks would share {gpus} GPU{'s' * (gpus > 1)}; at most {MOST_ON_ONE} do"
    return None


def _mps() -> str:
    """Where a server of MPS is that processes would use; empty without one."""
    pipes = Path(os.environ.get(MPS, DEFAULT_PIPES))
    return str(pipes) if MPS in os.environ or (pipes / "control").exists() else ""


def environment(rank: int, ranks: int, gpus: int) -> Mapping[str, str]:
    """What NCCL reads on a rank: no multicast, and what lets ranks share GPUs where they have to.

    Parameters
    ----------
    rank, ranks
        Which rank, of how many.
    gpus
        How many GPUs they have together.
    """
    if not is_shared(ranks, gpus):
        return NO_MULTICAST
    return {
        **NO_MULTICAST,
        "NCCL_HOSTID": f"rank-{rank}",
        "NCCL_NET": "Socket",
        "NCCL_SOCKET_IFNAME": "lo",
        "NCCL_NCHANNELS_PER_NET_PEER": str(MOST_CHANNELS),
    }


def channels(number: int) -> Mapping[str, str]:
    """What NCCL reads so that communicators over a network have so many channels.

    >>> channels(8)
    {'NCCL_MIN_CTAS': '8', 'NCCL_MAX_CTAS': '8'}
    """
    return {"NCCL_MIN_CTAS": str(number), "NCCL_MAX_CTAS": str(number)}
