"""A process that imports once and forks often: a place is there in milliseconds.

Rules:
- The nursery has one thread, so that forking is safe; it opens nothing but its control socket.
- Every place is the leader of its own session, and is ended together with all that it started.
- When the runner is gone, however it went, the nursery ends its places and itself; a place that
  loses the runner's socket ends itself too (`place.py`), and the kernel ends it with the nursery.
- Only processes that the nursery has not reaped yet are ever signalled.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

PR_SET_PDEATHSIG = 1


class NurseryError(RuntimeError):
    """The nursery did not start, or ended."""


class Spawner(Protocol):
    """Where places come from; process ids are those of this host."""

    def spawn(self, rank: int) -> tuple[int, socket.socket]:
        """A new place for a rank (or for several, of which this is the first)."""

    def signal(self, pid: int, number: int) -> None:
        """Signal a place."""

    def end(self, pid: int) -> int:
        """End a place, and say how it ended."""

    def close(self) -> None:
        """End everything."""


class Nursery:
    """The runner's end: asks for places, signals them, learns how they ended.

    Parameters
    ----------
    control
        The socket to the nursery.
    process
        The nursery, if it is a child of ours.
    """

    def __init__(self, control: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
        self._socket = control
        self._lines = control.makefile("rb")
        self._process = process

    @classmethod
    def started(cls, modules: Sequence[str] = ()) -> Nursery:
        """A nursery of our own that imports these modules before it forks."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "eplb_real.nursery", str(theirs.fileno()), *modules]
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=_environment()
            )
        return cls(ours, process)

    @property
    def pid(self) -> int:
        """The process id of a nursery of our own."""
        assert self._process is not None, "this nursery is somebody else's child"
        return self._process.pid

    def spawn(self, rank: int = 0) -> tuple[int, socket.socket]:
        """A new place: its process id, and our end of the socket to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._socket, [b'{"t": "spawn"}\n'], [theirs.fileno()])
        return int(self._answer("pid")), ours

    def signal(self, pid: int, number: int) -> None:
        """Signal a place and all of its session; nothing happens if it has ended."""
        self._ask({"t": "signal", "pid": pid, "signal": number}, "signalled")

    def end(self, pid: int) -> int:
        """End a place for good, and say how it ended: -9 for a signal 9, or its exit status."""
        return int(self._ask({"t": "end", "pid": pid}, "status"))

    def close(self) -> None:
        """End the nursery and every place that is left."""
        self._socket.close()
        self._lines.close()
        if self._process is not None:
            self._process.wait()

    def _ask(self, request: dict[str, Any], answer: str) -> Any:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise NurseryError("the nursery has ended") from None
        return self._answer(answer)

    def _answer(self, name: str) -> Any:
        line = self._lines.readline()
        if not line:
            raise NurseryError("the nursery has ended")
        return json.loads(line)[name]


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent ends; elsewhere than on Linux do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def main() -> None:
    """Be the nursery: `python -m eplb_real.nursery FD MODULE...`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the runner's to handle
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])


def serve(control: socket.socket, modules: Sequence[str]) -> None:
    """Import, then fork places until the runner is gone."""
    for module in ("eplb_real.place", *modules):
        with contextlib.suppress(
            ModuleNotFoundError
        ):  # the place that needs it says what is missing
            importlib.import_module(module)
    _Forks(control).serve()


class _Forks:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._alive: set[int] = set()
        self._ended: dict[int, int] = {}
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        """Answer until the runner is gone, then end whatever is left."""
        waiting = b""
        fds: list[int] = []
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
            self._reap()
            try:
                data, more, _, _ = socket.recv_fds(self._control, 4096, 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            if not data:
                break
            fds += more
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                answer = self._do(json.loads(line), fds)
                self._control.sendall(json.dumps(answer).encode() + b"\n")
        for pid in sorted(self._alive):
            self._kill(pid, signal.SIGKILL)

    def _do(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        match request["t"]:
            case "spawn":
                return {"pid": self._spawn(fds.pop(0))}
            case "signal":
                return {"signalled": self._kill(request["pid"], request["signal"])}
            case _:
                return {"status": self._end(request["pid"])}

    def _spawn(self, fd: int) -> int:
        pid = os.fork()
        if pid:
            os.close(fd)
            self._alive.add(pid)
            return pid
        self._become_a_place(fd)
        raise AssertionError("a place does not return")

    def _become_a_place(self, fd: int) -> None:
        place = importlib.import_module("eplb_real.place")
        try:
            os.setsid()
            die_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            place.serve(socket.socket(fileno=fd))
        finally:
            os._exit(1)

    def _end(self, pid: int) -> int:
        if pid in self._alive:
            self._kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self._note(pid, status)
        return self._ended.pop(pid, 0)

    def _kill(self, pid: int, number: int) -> bool:
        self._reap()
        if pid not in self._alive:
            return False
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # it has not come to lead a session yet
            os.kill(pid, number)
        return True

    def _reap(self) -> None:
        while self._alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._note(pid, status)

    def _note(self, pid: int, status: int) -> None:
        self._alive.discard(pid)
        self._ended[pid] = os.waitstatus_to_exitcode(status)


def _environment() -> dict[str, str]:
    """Ours, so that this package is found, and with one thread for number crunching per place."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
    }


if __name__ == "__main__":
    main()
