"""The rank processes of a run on GPUs: started, commanded, listened to with a deadline, ended.

Rules:
- Every process leads a session of its own and ends with its parent; none is left behind.
- An answer that does not come in time is a fact about the call, not an error: `Late`.
- Before the processes are ended the abort word is set, so that no kernel of ours stays resident.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eplb_model.outcome import Lacking
from eplb_real.gpu.page import Page, new_page
from eplb_real.sharing import cannot_share, gpu_of, is_shared
from eplb_real.sharing import environment as sharing

READY_WITHIN = 120.0  # seconds: imports, contexts, the first communicator
QUIET_NCCL = {  # a hung exchange is ours to end, not the watchdog's
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "0",
    "TORCH_NCCL_ENABLE_MONITORING": "0",
    "CUDA_MODULE_LOADING": "EAGER",
}


class Late(Exception):
    """A call had not returned when its deadline came."""


class RankError(RuntimeError):
    """A rank could not do what it was told, or has ended."""


class Process:
    """One rank process, and the answers that it still owes."""

    def __init__(self, rank: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.rank = rank
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eplb_real.gpu.rank", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, **QUIET_NCCL, **environment},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._text = b""
        self.owed = 0

    @property
    def pid(self) -> int:
        """The process, and the session and group that it leads."""
        return self._process.pid

    def tell(self, do: str, **arguments: Any) -> None:
        """Give a command without waiting for its answer; `RankError` if the rank has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps({"do": do, **arguments}) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        self.owed += 1

    def answer(self, within: float) -> dict[str, Any]:
        """The next answer; `Late` if it does not come in time, `RankError` if it says so."""
        document = self._line(within)
        if "ready" not in document:
            self.owed -= 1
        if not document.get("ok", True):
            raise RankError(f"rank {self.rank}: {document['error']}")
        return document

    def ask(self, do: str, within: float = 30.0, **arguments: Any) -> Any:
        """Give a command and wait for its answer."""
        self.tell(do, **arguments)
        return self.answer(within).get("value")

    def _line(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + within
        while b"\n" not in self._text:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise Late(f"rank {self.rank}: no answer within {within} s")
            more = os.read(self._process.stdout.fileno(), 65536)
            if not more:
                raise self._ended()
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self) -> RankError:
        """Nobody is there to answer any more; what the process said last."""
        self.owed = 0
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace")[-2000:]
        return RankError(f"rank {self.rank} has ended ({self._process.wait()}): {said}")

    def end(self, within: float = 5.0) -> None:
        """Close its input, then end its group."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(within)
        self._selector.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.errors.close()


class Pool:
    """The ranks of a run; `shared` if some are on one GPU."""

    def __init__(self, processes: Sequence[Process], page: Page, shared: bool = False) -> None:
        self.processes = list(processes)
        self.page = page
        self.shared = shared
        self.generation = 0
        self.about: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.processes)

    def __getitem__(self, rank: int) -> Process:
        return self.processes[rank]

    def all(self, do: str, within: float = 60.0, **arguments: Any) -> list[Any]:
        """The same command to every rank; they run it side by side."""
        for process in self.processes:
            process.tell(do, **arguments)
        return [process.answer(within).get("value") for process in self.processes]

    def next_generation(self) -> int:
        """Clear the page and make every rank ready for another meeting; nothing may run."""
        self.generation += 1
        self.page.clear()
        self.all("prepare", generation=self.generation)
        return self.generation

    def drain(self, within: float = 10.0) -> float:
        """Call every kernel of ours off and wait until all devices are idle; how long it took."""
        begun = time.monotonic()
        self.page.abort = 1
        for process in self.processes:
            while process.owed:
                with suppress(RankError):  # that a call failed was for its caller to see
                    process.answer(within)
        self.all("quiet", within)  # RankError, if one has ended
        self.page.abort = 0
        return time.monotonic() - begun


def set_up_exchange(ranks: Pool, bytes_per_op: int, peers: Sequence[Sequence[int]]) -> float:
    """Let every rank make the buffers of its exchange; the seconds that one exchange takes."""
    for process, asked in zip(ranks.processes, peers, strict=True):
        process.tell("exchange_of", bytes_per_op=bytes_per_op, peers=list(asked))
    for process in ranks.processes:
        process.answer(60.0)
    begun = time.monotonic()
    ranks.all("exchange")
    ranks.all("quiet")
    return time.monotonic() - begun


@contextmanager
def pool(
    ranks: int,
    first: int = 0,
    environment: Mapping[str, str] | None = None,
    nccl: bool = True,
    gpus: int | None = None,
) -> Iterator[Pool]:
    """Rank processes with one shared page; ended, whatever happens, at the end.

    Parameters
    ----------
    ranks
        How many.
    first
        The first GPU; the others follow it.
    environment
        What every rank gets besides the caller's.
    nccl
        Whether they make a communicator of NCCL.
    gpus
        How many GPUs they have; None for one each.  Ranks share them where they are fewer.

    Raises
    ------
    Lacking
        If so many ranks can't share them.
    """
    there = gpus or ranks
    if reason := cannot_share(ranks, there):
        raise Lacking(reason)
    with new_page() as page, tempfile.TemporaryDirectory(prefix="eplb-gpu-") as folder:
        store = [str(Path(folder) / "store")] if nccl else []
        processes: list[Process] = []
        try:
            for rank in range(ranks):
                device = str(first + gpu_of(rank, there))
                arguments = [str(rank), str(ranks), device, str(page.path), *store]
                variables = {**sharing(rank, ranks, there), **(environment or {})}
                processes.append(Process(rank, arguments, variables))
            running = Pool(processes, page, is_shared(ranks, there))
            running.about = [process.answer(READY_WITHIN) for process in processes]
            yield running
        finally:
            page.abort = 1
            for process in processes:
                process.end()
