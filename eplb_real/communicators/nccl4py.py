"""NVIDIA's `nccl4py` as the communicator that `pynccl` wants: NCCL without torch's process groups.

Rule: rows travel as bytes, so every dtype does, float8 included.
"""

from __future__ import annotations

import torch
import torch.distributed as dist

from eplb_real.streams import Stream

try:
    import nccl.core as nccl
except (
    ImportError
):  # pip install nccl4py[cu13]; a machine without NVIDIA's driver has no use for it
    nccl = None


class Nccl4pyCommunicator:
    """One NCCL communicator for the ranks of a gloo group, over which its unique id travels.

    Parameters: cpu_group, whose ranks all make one at the same time; device is a CUDA device.
    It connects at once, with a collective that all ranks join, so that no first contact happens
    beside other kernels.
    Raises RuntimeError if nccl4py is not installed.
    """

    available = True
    disabled = False

    def __init__(self, cpu_group: dist.ProcessGroup, device: torch.device) -> None:
        if nccl is None:
            raise RuntimeError("nccl4py is not installed; expected pip install 'nccl4py[cu13]'")
        self.rank = dist.get_rank(cpu_group)
        self.world_size = dist.get_world_size(cpu_group)
        self.device = device
        shared = [bytes(nccl.get_unique_id().as_bytes) if self.rank == 0 else None]
        dist.broadcast_object_list(shared, group=cpu_group, group_src=0)
        with torch.cuda.device(device):
            self._nccl = nccl.Communicator.init(
                self.world_size, self.rank, nccl.UniqueId.from_bytes(shared[0])
            )
            warm = torch.zeros(1, device=device)
            self._nccl.allreduce(warm, warm, nccl.SUM, stream=_handle(None, device))
            torch.cuda.current_stream(device).synchronize()

    def group_start(self) -> None:
        """Gather what this thread asks for into one launch."""
        nccl.group_start()

    def group_end(self) -> None:
        """Launch it."""
        nccl.group_end()

    def send(self, tensor: torch.Tensor, dst: int, stream: Stream | None = None) -> None:
        """Send a contiguous row to a rank."""
        self._nccl.send(_bytes(tensor), dst, stream=_handle(stream, self.device))

    def recv(self, tensor: torch.Tensor, src: int, stream: Stream | None = None) -> None:
        """Fill a contiguous row from a rank."""
        self._nccl.recv(_bytes(tensor), src, stream=_handle(stream, self.device))

    def destroy(self) -> None:
        """Give back what NCCL holds; all ranks do it."""
        self._nccl.destroy()


def _bytes(row: torch.Tensor) -> torch.Tensor:
    return row.detach().reshape(-1).view(torch.uint8)


def _handle(stream: Stream | None, device: torch.device) -> int:
    """The CUDA handle of a stream, None for the current one."""
    chosen = torch.cuda.current_stream(device) if stream is None else stream
    return int(chosen.cuda_stream)
