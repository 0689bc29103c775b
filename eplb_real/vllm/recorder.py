"""What vLLM's threads do, as lines of "eplb-observation/1" that name calls by kind and fields.

Rules (specs/refinement.md#vllm):
- The main thread of a process is `main`, any other is `worker`: vLLM starts no third one here.
- A line is in the file before the call goes on, so a process may be ended at any time.
- Calls don't nest; what a call is made of is not recorded.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Recorder:
    """Writes the lines of one rank."""

    def __init__(self, path: Path, rank: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._rank = rank
        self.doing: dict[str, dict[str, Any]] = {}  # by actor, the line of its open call

    @contextmanager
    def call(self, op: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Around a call; what it gave is put into the dictionary as `value`."""
        actor = self._actor()
        line = {"actor": actor, "event": "begin", "op": op, "fields": fields}
        self._write(line)
        self.doing[actor] = line
        result: dict[str, Any] = {}
        try:
            yield result
        except Exception as error:
            del self.doing[actor]
            told = {"family": _family(op, error), "text": f"{type(error).__name__}: {error}"}
            self._write({"actor": actor, "event": "raise", "op": op, **told})
            raise
        del self.doing[actor]
        self._write({"actor": actor, "event": "end", "op": op, **result})

    def exit(self, thread: str) -> None:
        """A thread has ended."""
        self._write({"actor": f"{self._rank}.{thread}", "event": "exit"})

    def final(self, variables: dict[str, Any]) -> None:
        """The values at the end."""
        self._write({"rank": self._rank, "event": "final", "variables": variables})

    def is_main(self) -> bool:
        """Whether the caller is the main thread."""
        return threading.current_thread() is threading.main_thread()

    def _actor(self) -> str:
        return f"{self._rank}.{'main' if self.is_main() else 'worker'}"

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            os.write(self._file, f"{json.dumps(line)}\n".encode())


def _family(op: str, error: Exception) -> str:
    """As the model has it: a failed assertion, a contract that was broken, or anything else."""
    if isinstance(error, AssertionError):
        return "violation"
    return "misuse" if op == "cpu_gpu_event_record" else "fault"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a rank."""
    if not path.exists():
        return []
    *complete, _ = path.read_text("utf-8").split("\n")
    return [json.loads(line) for line in complete]
