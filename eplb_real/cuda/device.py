"""The GPU of one rank: its streams and events, the kernels of the scenario, and their words.

Rules:
- Work that is no kernel tells that it began and ended by words that its stream writes; no SM is
  needed for that.  Kernels tell it themselves.
- While the rank is closed, what could end waits for a grant: CTAs at a word of their launch, other
  work behind a wait of its stream for a word.
- One submission at a time per stream, so that the ledger has the order of the stream.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from cuda.bindings import driver

from eplb_model.world import CURRENT, Kernel, World
from eplb_real import nvidia
from eplb_real.cuda import layout
from eplb_real.cuda.builds import kernels_with
from eplb_real.cuda.layout import Words
from eplb_real.cuda.ledger import Ledger, Work
from eplb_real.cuda.plans import LaunchPlan, launch_plan, registers_of, shape_of
from eplb_real.emulated.callers import Callers
from eplb_real.errors import Raised
from eplb_real.nvidia import DriverError, Shape, checked
from eplb_real.sharing import gpu_of
from eplb_real.values import Moves

PATIENCE = 60.0  # seconds before a kernel leaves by itself
TAKEN_WITHIN = 3.0  # seconds for a granted step
POLL = 0.0005
SETTLED_AFTER = 0.05  # seconds without a change

Buffers = tuple[str, ...]


class CudaStream:
    """A stream of the scenario on its GPU."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self.torch = stream
        self.handle: int = stream.cuda_stream
        self.submitting = threading.Lock()


class CudaEvent:
    """An event of CUDA whose records the ledger knows; it has torch's `record` and `wait`."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self.torch = torch.cuda.Event()
        self._latest: Work | None = None

    def record(self, stream: CudaStream) -> None:
        """Capture what a stream holds."""
        with self._device.other_work(stream, "record") as work:
            self.torch.record(stream.torch)
            self._latest = work

    def wait(self, stream: CudaStream) -> None:
        """Let a stream wait for the latest record; without one it is no wait."""
        with stream.submitting:
            self.torch.wait(stream.torch)
            if self._latest is not None:
                self._device.ledger.wait(stream.name, self._latest)


class CudaDevice:
    """What one rank has on its GPU.

    Parameters
    ----------
    world, rank
        Whose streams and kernels.
    words
        The words of the run.
    ledger
        Keeps what is put on streams.
    closed
        Whether what could end waits for grants.
    """

    def __init__(self, world: World, rank: int, words: Words, ledger: Ledger, closed: bool) -> None:
        self.rank = rank
        self.ledger = ledger
        self.words = words
        self._world = world
        self._ids = world.kernel_ids
        self._numbers: Counter[str] = Counter()
        self._works = count()
        flags = sorted({k.until for k in world.kernels.values() if k.until is not None})
        self._flags = {name: words.of(rank, layout.FLAGS + i) for i, name in enumerate(flags)}
        for name, place in self._flags.items():
            words[place] = int(bool(world.ranks[rank].memory[name]))
        self._closed = words.of(rank, layout.CLOSED)
        words[self._closed] = int(closed)
        self.ordinal = gpu_of(rank, torch.cuda.device_count())
        torch.cuda.set_device(self.ordinal)
        torch.zeros(1, device="cuda")  # makes the context
        _, self._page = nvidia.registered(words.words, words.bytes)
        self._binaries: dict[int, bytes] = {}
        self._functions: dict[str | None, dict[int, Any]] = {}  # by module, by registers
        self._streams = {each.name: self._new_stream(each) for each in world.ranks[rank].streams}
        self.callers = Callers(world.ranks[rank].streams)
        self._events: dict[str, CudaEvent] = {}
        self._events_lock = threading.Lock()
        sms = torch.cuda.get_device_properties(self.ordinal).multi_processor_count
        if sms != world.machine.sms and not world.roomy[rank]:
            raise DriverError(f"this GPU has {sms} SMs, {world.machine.name} {world.machine.sms}")
        self._build()
        self.buffers = [torch.zeros(1 << 18, device="cuda") for _ in range(2)]
        self.pinned = torch.zeros(1 << 18, pin_memory=True)
        self.pageable = torch.zeros(1 << 18)
        torch.cuda.synchronize()

    # --- streams, events, flags --------------------------------------------------------------

    def stream(self, name: str, by: str | None = None) -> CudaStream:
        """A stream by its name; the current one of a thread where it is called so."""
        if name == CURRENT:
            name = self.callers.stream(by or threading.current_thread().name)
        return self._streams[name]

    def event(self) -> CudaEvent:
        """A new event."""
        return CudaEvent(self)

    def named_event(self, name: str) -> CudaEvent:
        """The event that the programs of the rank call by this name."""
        with self._events_lock:
            return self._events.setdefault(name, CudaEvent(self))

    def flag(self, name: str) -> int:
        """Where the word of a flag is that kernels spin on."""
        return self._flags[name]

    def _new_stream(self, spec: Any) -> CudaStream:
        if spec.kind == "legacy":
            return CudaStream(spec.name, torch.cuda.default_stream())
        flags = driver.CUstream_flags
        kind = flags.CU_STREAM_DEFAULT if spec.kind == "blocking" else flags.CU_STREAM_NON_BLOCKING
        created = driver.cuStreamCreateWithPriority(int(kind), spec.priority)
        handle = int(checked("cuStreamCreateWithPriority", created))
        return CudaStream(spec.name, torch.cuda.ExternalStream(handle))

    # --- kernels -----------------------------------------------------------------------------

    def launch(
        self, kernel: str, stream: CudaStream, reads: Buffers, writes: Buffers, moves: Moves
    ) -> None:
        """Put a kernel on a stream.

        Raises
        ------
        Raised
            As misuse, for a grid that can't be resident.
        """
        spec = self._world.kernels[kernel]
        with stream.submitting:
            number = self._numbers[kernel]
            block = self._planned(spec, number)
            work = Work(
                stream.name,
                kernel,
                lambda: self.words[block + layout.STARTED],
                lambda: bool(self.words[block + layout.COMPLETE]),
                lambda: self._why(spec, block),
                lambda choice: self._grant(spec, block, choice),
                reads,
                writes,
                moves,
            )
            function = self.function(spec)
            self._numbers[kernel] += 1
            self.ledger.submit(work)
            flag = 0 if spec.until is None else self._flags[spec.until]
            try:
                nvidia.launch(function, Shape(**shape_of(spec)), stream.handle, [  # type: ignore[arg-type]
                    (self._page, ctypes.c_void_p), (block, ctypes.c_uint),
                    (self._closed, ctypes.c_uint), (flag, ctypes.c_uint),
                    (int(PATIENCE * 1e9), ctypes.c_ulonglong),
                ])  # fmt: skip
            except DriverError as error:
                self._numbers[kernel] -= 1
                self.ledger.withdraw(work)
                raise Raised("misuse", f"{kernel}: {error}") from None
            work.there = True

    def must_load(self, module: str | None) -> bool:
        """Whether a module has not been loaded yet."""
        return module is not None and module not in self._functions

    def load(self, module: str | None) -> None:
        """Load the kernels of a module; None is where those without a module are."""
        if module not in self._functions:
            self._functions[module] = {
                registers: nvidia.loaded(binary, ["act"])["act"]
                for registers, binary in self._binaries.items()
            }

    def function(self, kernel: Kernel) -> Any:
        """The kernel to launch for one of the scenario; loads its module if it must."""
        self.load(kernel.module)
        return self._functions[kernel.module][registers_of(kernel.footprint)]

    def block(self, kernel: str, number: int, rank: int | None = None) -> int:
        """Where the words of a launch are."""
        here = self.rank if rank is None else rank
        return self.words.block(here, self._ids[kernel], number)

    def has_started(self, kernel: str, number: int) -> bool:
        """Whether all CTAs of a launch have."""
        place = self.block(kernel, number) + layout.STARTED
        return self.words[place] >= self._world.kernels[kernel].ctas

    def has_ended(self, kernel: str, number: int) -> bool:
        """Whether a launch is over."""
        return bool(self.words[self.block(kernel, number) + layout.COMPLETE])

    def _build(self) -> None:
        wanted = {registers_of(kernel.footprint) for kernel in self._world.kernels.values()}
        self._binaries = {registers: kernels_with(registers) for registers in sorted(wanted)}
        if any(kernel.module is None for kernel in self._world.kernels.values()):
            self.load(None)

    def _planned(self, kernel: Kernel, number: int) -> int:
        """The words of a launch, filled in."""
        ranks = len(self._world.ranks)
        plan: LaunchPlan = launch_plan(kernel, self.rank, ranks)
        block = self.block(kernel.name, number)
        words = self.words
        words[block + layout.GRAIN] = plan.grain
        words[block + layout.PEERS] = len(plan.peers)
        words[block + layout.AS_ONE] = plan.as_one
        for index, peer in enumerate(plan.peers):
            assert kernel.meets is not None, "who has peers meets them"
            met = self._world.kernels[kernel.meets.kernel]
            words[block + layout.PEER_BLOCKS + index] = self.block(met.name, number, peer)
            words[block + layout.PEER_CTAS + index] = met.ctas
        for cta, (mask, place) in enumerate(zip(plan.masks, plan.places, strict=True)):
            words[block + layout.MASKS + cta] = mask
            words[block + layout.PLACES + cta] = place
        return block

    def _grant(self, kernel: Kernel, block: int, choice: int | None) -> Callable[[], bool]:
        words = self.words
        if words[block + layout.AS_ONE]:
            allowed = words[block + layout.STARTED]
            words[block + layout.GRANTED] = allowed
        else:
            several = kernel.ends == "together"
            more = words[block + layout.STARTED] if several else 1
            allowed = (
                words[block + layout.ENDED] + 1
            )  # before the grant, which may be taken at once
            words[block + layout.GRANTS + (choice or 0)] += more
        return lambda: words[block + layout.ENDED] >= allowed

    def _why(self, kernel: Kernel, block: int) -> str:
        started, ended = (self.words[block + word] for word in (layout.STARTED, layout.ENDED))
        seats = len(set(self.words.seats(block, kernel.ctas)))
        return (
            f"{started} of {kernel.ctas} CTAs have started, on {seats} SMs; {ended} have ended"
            if started
            else f"none of {kernel.ctas} CTAs has started"
        )

    # --- other work --------------------------------------------------------------------------

    @contextmanager
    def other_work(
        self,
        stream: CudaStream,
        label: str,
        reads: Buffers = (),
        writes: Buffers = (),
        moves: Moves = (),
    ) -> Iterator[Work]:
        """Put work that is no kernel on a stream, between the words that tell of it."""
        with stream.submitting:
            number = next(self._works)
            if number >= layout.MOST_WORKS:
                raise DriverError(f"there is room for {layout.MOST_WORKS} copies and records")
            gate, begun, done = (
                self.words.of(self.rank, first + number)
                for first in (layout.GATES, layout.BEGUN, layout.DONE)
            )
            closed = bool(self.words[self._closed])

            def grant(choice: int | None) -> Callable[[], bool]:
                self.words[gate] = 1
                return lambda: bool(self.words[done])

            work = Work(
                stream.name,
                label,
                lambda: self.words[begun],
                lambda: bool(self.words[done]),
                lambda: "what is before it has not ended" if not self.words[begun] else "",
                grant,
                reads,
                writes,
                moves,
            )
            self.ledger.submit(work)
            self._write(stream, begun)
            if closed:
                self._await(stream, gate)
            yield work
            self._write(stream, done)
            work.there = True

    def _write(self, stream: CudaStream, place: int) -> None:
        made = driver.cuStreamWriteValue32(
            driver.CUstream(stream.handle), self._address(place), 1, 0
        )
        checked("cuStreamWriteValue32", made)

    def _await(self, stream: CudaStream, place: int) -> None:
        how = int(driver.CUstreamWaitValue_flags.CU_STREAM_WAIT_VALUE_GEQ)
        handle = driver.CUstream(stream.handle)
        made = driver.cuStreamWaitValue32(handle, self._address(place), 1, how)
        checked("cuStreamWaitValue32", made)

    def _address(self, place: int) -> Any:
        return driver.CUdeviceptr(self._page + 4 * place)

    # --- steps that are granted, and the end -------------------------------------------------

    def step(self, stream: str, choice: int | None) -> str | None:
        """Let the head of a stream take one step; why not, if it does not."""
        self.ledger.look()
        head = self.ledger.head(stream)
        if head is None:
            return f"{stream} is empty"
        taken = head.grant(choice)
        if not until(taken, TAKEN_WITHIN):
            return f"{head.label}: {head.why()}"
        self.ledger.look()
        return None

    def settle(self) -> None:
        """Wait until what is on the streams has come as far as it comes without a grant."""
        marks, since = self.ledger.marks(), time.monotonic()
        while time.monotonic() - since < SETTLED_AFTER:
            time.sleep(POLL)
            now = self.ledger.marks()
            if now != marks:
                marks, since = now, time.monotonic()

    def open(self) -> None:
        """Let everything go on by itself."""
        self.words[self._closed] = 0
        for number in range(layout.MOST_WORKS):
            self.words[self.words.of(self.rank, layout.GATES + number)] = 1

    def quiet(self) -> None:
        """Wait until the GPU is idle; called after everything has left or was called off."""
        torch.cuda.set_device(self.ordinal)
        torch.cuda.synchronize()

    def abort(self) -> None:
        """Call every kernel off and let every stream go on."""
        self.words[layout.ABORT] = 1
        self.open()

    def standing(self) -> list[dict[str, Any]]:
        """Where every stream with work left stands."""
        return [
            {
                "actor": f"{self.rank}.{work.stream}",
                "doing": work.label,
                "holds": work.told,
                "why": work.why(),
            }
            for work in self.ledger.pending()
        ]


def until(come: Callable[[], bool], within: float | None = None) -> bool:
    """Wait until something has come; whether it came in time."""
    deadline = None if within is None else time.monotonic() + within
    while not come():
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True
