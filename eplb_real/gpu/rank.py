"""One rank on one GPU: a process that does what the coordinator says, one command at a time.

`python -m eplb_real.gpu.rank RANK RANKS DEVICE PAGE STORE` reads commands from standard input and
answers on standard output, in JSON lines.  A command that does not return is evidence too: the
coordinator looks at the shared words meanwhile.  When its input closes, the process ends itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from eplb_real.gpu import words
from eplb_real.gpu.calls import HostCalls
from eplb_real.gpu.launcher import Launcher
from eplb_real.gpu.page import Page
from eplb_real.nursery import die_with_parent
from eplb_real.nvidia import Shape

PATIENCE = 20.0  # seconds before a kernel of ours leaves by itself


class Rank:
    """What a rank has: streams, launchers, buffers of the exchange."""

    def __init__(self, rank: int, ranks: int, device: int, page: Path, store: str) -> None:
        self.rank, self.ranks = rank, ranks
        self._device = device
        self._gloo: Any = None
        self._group: Any = None  # of exchanges; None for the default one
        torch.cuda.set_device(device)
        torch.zeros(1, device="cuda")  # makes the context
        self.page = Page(page)
        self.launcher = Launcher(self.page, rank)
        self.streams = {name: torch.cuda.Stream() for name in ("compute", "side", "third")}
        self.streams["urgent"] = torch.cuda.Stream(priority=-1)
        self.calls = HostCalls(self.streams["third"])
        self._handles: list[int] = []
        self._event = torch.cuda.Event()
        self._exchange: list[Any] = []
        if store:
            dist.init_process_group(
                "nccl",
                store=dist.FileStore(store, ranks),
                rank=rank,
                world_size=ranks,
                timeout=timedelta(minutes=10),
                device_id=torch.device("cuda", device),
            )

    # --- commands ----------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What this rank runs on."""
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        free, total = torch.cuda.mem_get_info()
        return {
            "gpu": properties.name,
            "sms": properties.multi_processor_count,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "nccl": ".".join(map(str, torch.cuda.nccl.version())),
            "used_bytes": total - free,
        }

    def prepare(self, generation: int) -> None:
        """Make ready for the next point; nothing may run."""
        self.launcher.prepare(generation)

    def exchange_of(self, bytes_per_op: int, peers: list[int]) -> None:
        """Allocate the buffers of an exchange and run it once, with every peer."""
        self._exchange = []
        torch.cuda.empty_cache()
        for peer in peers:
            for op in (dist.isend, dist.irecv):
                buffer = torch.zeros(bytes_per_op, dtype=torch.uint8, device="cuda")
                self._exchange.append((op, buffer, peer))
        self.exchange()
        torch.cuda.synchronize()

    def group_of(self, max_ctas: int, min_ctas: int = 1) -> None:
        """Exchange on a new group from now on, whose communicator has such limits."""
        options = dist.ProcessGroupNCCL.Options()
        options.config.max_ctas, options.config.min_ctas = max_ctas, min_ctas
        self._group = dist.new_group(backend="nccl", pg_options=options)

    def exchange(self) -> None:
        """Enqueue the exchange on `side` and, behind it, a copy that tells of its end."""
        with torch.cuda.stream(self.streams["side"]):
            operations = [
                dist.P2POp(op, buffer, peer, self._group) for op, buffer, peer in self._exchange
            ]
            for work in dist.batch_isend_irecv(operations):
                work.wait()
        self.launcher.tell(words.EXCHANGE_DONE, self.streams["side"].cuda_stream)

    def exchange_through_host(self, generation: int) -> None:
        """The same exchange staged through host memory over gloo, in a thread of its own."""
        if self._gloo is None:
            self._gloo = dist.new_group(backend="gloo", timeout=timedelta(minutes=1))

        def run() -> None:
            torch.cuda.set_device(self._device)
            with torch.cuda.stream(self.streams["side"]):
                staged = [(op, buffer, buffer.cpu(), peer) for op, buffer, peer in self._exchange]
                works = [op(host, peer, self._gloo) for op, _, host, peer in staged]
                for work in works:
                    work.wait()
                for op, buffer, host, _ in staged:
                    if op is dist.irecv:
                        buffer.copy_(host)
            self.page.put(self.rank, words.EXCHANGE_DONE, generation)

        threading.Thread(target=run, daemon=True).start()

    def ordered(self, shape: dict[str, Any], generation: int) -> None:
        """The exchange, and the gang behind it by a stream edge: the same on every rank."""
        self.exchange()
        event = torch.cuda.Event()
        event.record(self.streams["side"])
        event.wait(self.streams["compute"])
        self.gang(shape, generation)

    def race(self, shape: dict[str, Any], generation: int, spins: list[int]) -> None:
        """Two threads that launch the exchange and the gang when the release word comes."""

        def wait(count: int) -> None:
            torch.cuda.set_device(self._device)
            while self.page.of(0, words.RELEASE) != generation:
                pass
            for _ in range(count):
                pass

        def first() -> None:
            wait(spins[0])
            self.exchange()

        def second() -> None:
            wait(spins[1])
            self.gang(shape, generation)

        threads = [threading.Thread(target=each) for each in (first, second)]
        for thread in threads:
            thread.start()
        self.page.put(self.rank, words.STAMPS, generation)
        for thread in threads:
            thread.join()

    def channels(self, shape: dict[str, Any], peers: list[int], generation: int) -> None:
        """Enqueue synthetic channels on `side`, and the copy that tells of their end."""
        mask = sum(1 << peer for peer in peers)
        self._launch("channels", shape, "side", [
            (self.rank, ctypes.c_int), (mask, ctypes.c_uint),
            (generation, ctypes.c_uint), (_ns(PATIENCE), ctypes.c_ulonglong),
        ])  # fmt: skip
        self.launcher.tell(words.EXCHANGE_DONE, self.streams["side"].cuda_stream)

    def gang(
        self, shape: dict[str, Any], generation: int, grain: int = 0, stream: str = "compute"
    ) -> None:
        """Enqueue the all-to-all stand-in."""
        self._launch("gang", shape, stream, [
            (self.launcher.local, ctypes.c_void_p), (self.rank, ctypes.c_int),
            (self.ranks, ctypes.c_int), (generation, ctypes.c_uint),
            (_ns(PATIENCE), ctypes.c_ulonglong), (grain, ctypes.c_int),
        ])  # fmt: skip

    def spinner(
        self, shape: dict[str, Any], generation: int, slot: int = 0, stream: str = "side"
    ) -> None:
        """Enqueue a kernel that holds its SMs until it is released."""
        self._launch("spinner", shape, stream, [
            (self.rank, ctypes.c_int), (slot, ctypes.c_int),
            (generation, ctypes.c_uint), (_ns(PATIENCE), ctypes.c_ulonglong),
        ])  # fmt: skip

    def census(
        self, shape: dict[str, Any], generation: int, linger: float = 0.0, stream: str = "third"
    ) -> None:
        """Enqueue CTAs that mark the SMs on which they run."""
        self._launch("census", shape, stream, [
            (self.rank, ctypes.c_int), (generation, ctypes.c_uint),
            (_ns(linger), ctypes.c_ulonglong),
        ])  # fmt: skip

    def stamp(self, slot: int, generation: int, stream: str = "third", **shape: Any) -> None:
        """Enqueue a kernel that writes a word."""
        self._launch("stamp", {"ctas": 1, "threads": 32, **shape}, stream, [
            (self.rank, ctypes.c_int), (slot, ctypes.c_int), (generation, ctypes.c_uint),
        ])  # fmt: skip

    def call(self, name: str) -> None:
        """Make a host call of the list in calls.py; whether it returns is the question."""
        self.calls.make(name)

    def begin_call(self, name: str, slot: int, generation: int) -> None:
        """Make a host call in a thread of its own, which stamps a word once it has returned."""

        def make() -> None:
            torch.cuda.set_device(self._device)
            self.calls.make(name)
            self.page.put(self.rank, words.STAMPS + slot, generation)

        threading.Thread(target=make, daemon=True).start()

    def fill(
        self, count: int, generation: int, stream: str = "third", what: str = "launch"
    ) -> None:
        """Put work of a kind on a stream, piece by piece, and say after each how many there are."""
        shape = {"ctas": 1, "threads": 32}
        put = {
            "launch": lambda: self._launch("stamp", shape, stream, [
                (self.rank, ctypes.c_int), (23, ctypes.c_int), (generation, ctypes.c_uint),
            ]),
            **self.calls.on(self.streams[stream]),
        }[what]  # fmt: skip

        def go_on() -> None:
            torch.cuda.set_device(self._device)
            for number in range(1, count + 1):
                put()
                self.page.put(self.rank, words.FILLED, number)

        threading.Thread(target=go_on, daemon=True).start()

    def launch_on_each(self, streams: list[str], generation: int) -> None:
        """Launch a small kernel into streams one after the other, and say how many calls came back.

        In a thread of its own: whether a call returns is the question.
        """

        def go_on() -> None:
            torch.cuda.set_device(self._device)
            for number, stream in enumerate(streams, 1):
                self.stamp(22, generation, stream)
                self.page.put(self.rank, words.STAMP_LOW, number)

        threading.Thread(target=go_on, daemon=True).start()

    def works(self) -> list[str]:
        """The pieces of work that `fill` and `behind` know here."""
        return list(self.calls.on(self.streams["third"]))

    def behind(self, what: str) -> None:
        """Put a piece of work on `third`, and behind it the copy that tells that it is done."""
        self.calls.on(self.streams["third"])[what]()
        self.copy_told()

    def new_streams(self, count: int, priority: int = 0) -> list[str]:
        """Create streams, one after the other, and use each once; their names."""
        names = [f"new{len(self._handles) + number}" for number in range(count)]
        for name in names:
            handle = self.launcher.new_stream(priority)
            self.streams[name] = torch.cuda.ExternalStream(handle)
            self._handles.append(handle)
        for handle in self._handles:
            self._stamp(handle, words.CENSUS, 0)
        return names

    def block_streams(self, blocked: list[int], generation: int) -> None:
        """Let some of the new streams wait for what `side` holds; every stream then marks itself.

        The mark of stream i is word i of the census.  The blocked ones go first.
        """
        self._event.record(self.streams["side"])
        for index in blocked:
            self.launcher.stream_waits(self._handles[index], self._event.cuda_event)
            self._stamp(self._handles[index], words.CENSUS + index, generation)
        for index, handle in enumerate(self._handles):
            if index not in blocked:
                self._stamp(handle, words.CENSUS + index, generation)

    def _stamp(self, handle: int, word: int, generation: int) -> None:
        self.launcher.launch("stamp", Shape(1, threads=32), handle, [
            (self.rank, ctypes.c_int), (word - words.STAMPS, ctypes.c_int),
            (generation, ctypes.c_uint),
        ])  # fmt: skip

    def copy_told(self, stream: str = "third") -> None:
        """Enqueue nothing but the copy that tells: does it pass?"""
        self.launcher.tell(words.EXCHANGE_DONE, self.streams[stream].cuda_stream)

    def quiet(self) -> None:
        """Wait until the device is idle."""
        torch.cuda.synchronize()

    def _launch(self, kernel: str, shape: dict[str, Any], stream: str, arguments: Any) -> None:
        self.launcher.launch(kernel, Shape(**shape), self.streams[stream].cuda_stream, arguments)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def main() -> None:
    """Serve commands until the input closes."""
    die_with_parent()
    rank, ranks, device = (int(text) for text in sys.argv[1:4])
    here = Rank(rank, ranks, device, Path(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else "")
    _answer({"ready": True, **here.about()})
    for line in sys.stdin:
        command = json.loads(line)
        method: Callable[..., Any] = getattr(here, command.pop("do"))
        try:
            _answer({"ok": True, "value": method(**command)})
        except Exception as error:  # noqa: BLE001 (the coordinator has to hear of it)
            _answer({"ok": False, "error": f"{type(error).__name__}: {error}"})
    os._exit(0)  # a stuck GPU must not keep the process


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
