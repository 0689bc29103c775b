"""What the runtime keeps for each host thread: current device, current streams, open NCCL group.

Rules (specs/semantics.md#set-device, #group-start; N41-N43):
- A thread starts on device 0, on the default stream of every device, with no group open.
- What is launched in a group and meets channel by channel is kept until the outermost end.
- Only streams of the current device take kernels; NCCL selects the device of its own.

Whoever calls holds the device's monitor, or is the thread itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eplb_model.world import CURRENT, Kernel, Stream
from eplb_real.emulated.queues import Moves


@dataclass(frozen=True, slots=True)
class Kept:
    """A launch that was called in a group."""

    kernel: str
    stream: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    moves: Moves = ()


@dataclass(slots=True)
class Caller:
    """One host thread, as the runtime knows it."""

    device: int = 0
    streams: dict[int, str] = field(default_factory=dict)  # by device, where one was set
    depth: int = 0
    kept: list[Kept] = field(default_factory=list)

    def keeps(self, kernel: Kernel) -> bool:
        """Whether a launch stays in the group."""
        return self.depth > 0 and is_of_nccl(kernel)

    def close(self) -> None:
        """Close all levels of the group; what it kept is gone."""
        self.depth = 0
        self.kept.clear()


class Callers:
    """The host threads of one rank, by name."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.device_of = {stream.name: stream.device for stream in streams}
        self._defaults: dict[int, str] = {}
        for stream in streams:
            if stream.kind == "legacy":
                self._defaults.setdefault(stream.device, stream.name)
        for stream in streams:
            self._defaults.setdefault(stream.device, stream.name)
        self._callers: dict[str, Caller] = {}

    def of(self, name: str) -> Caller:
        """What is kept for a thread."""
        return self._callers.setdefault(name, Caller())

    def stream(self, by: str, name: str = CURRENT) -> str:
        """The stream that a thread means by a name, now."""
        caller = self.of(by)
        if name != CURRENT:
            return name
        return caller.streams.get(caller.device, self._defaults[caller.device])

    def has_device(self, device: int) -> bool:
        """Whether the rank has a device; the first is always there."""
        return device == 0 or device in self.device_of.values()

    def set_stream(self, by: str, stream: str) -> None:
        """Make a stream the current one of a thread, and its device the current device."""
        caller = self.of(by)
        caller.device = self.device_of[stream]
        caller.streams[caller.device] = stream


def is_of_nccl(kernel: Kernel) -> bool:
    """Whether a kernel is one of NCCL: what meets channel by channel."""
    return kernel.meets is not None and kernel.meets.grain == "channel"
