"""What a run shows of itself: one JSON line per event, written before anything that may block.

Rules (document "eplb-observation/1", specs/semantics.md tells what the operations are):
- One file per rank; `n` numbers its lines.  No clock is read, so none is compared between ranks.
- A line is in the file when the call returns: a killed process loses nothing that happened.
- Every operation has a `begin`; if it returned, an `end` or a `raise` too.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Observer:
    """Writes the lines of some ranks; safe to call from any thread."""

    def __init__(self, folder: Path, ranks: Sequence[int]) -> None:
        self._lock = threading.Lock()
        self._files = {rank: _open(folder, rank) for rank in ranks}
        self._count = dict.fromkeys(ranks, 0)

    def begin(self, actor: str, pc: int, op: str) -> None:
        """A thread begins an operation."""
        self._write(_rank(actor), {"actor": actor, "pc": pc, "op": op, "event": "begin"})

    def end(self, actor: str, pc: int, op: str, result: Mapping[str, Any]) -> None:
        """An operation has returned; `result` has what it gave (`value` or `taken`)."""
        line = {"actor": actor, "pc": pc, "op": op, "event": "end", **result}
        self._write(_rank(actor), line)

    def raised(self, actor: str, pc: int, op: str, family: str, text: str) -> None:
        """An operation has raised."""
        line = {"actor": actor, "pc": pc, "op": op, "event": "raise", "family": family}
        self._write(_rank(actor), {**line, "text": text})

    def exit(self, actor: str) -> None:
        """A thread has ended, by its text or by an error."""
        self._write(_rank(actor), {"actor": actor, "event": "exit"})

    def item(self, actor: str, work: str) -> None:
        """An item has left a stream."""
        self._write(_rank(actor), {"actor": actor, "event": "item", "work": work})

    def started(self, actor: str, work: str, ctas: int) -> None:
        """So many CTAs of a kernel have started by now."""
        line = {"actor": actor, "event": "started", "work": work, "ctas": ctas}
        self._write(_rank(actor), line)

    def overlap(self, rank: int, actors: Sequence[str], buffer: str) -> None:
        """Two accesses to one buffer, one of them a write, are in progress at once."""
        line = {"rank": rank, "event": "overlap", "actors": list(actors), "buffer": buffer}
        self._write(rank, line)

    def final(self, rank: int, variables: Mapping[str, Any]) -> None:
        """The values at the end of a completed run."""
        self._write(rank, {"rank": rank, "event": "final", "variables": dict(variables)})

    def close(self) -> None:
        """Give the files back."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _write(self, rank: int, line: Line) -> None:
        with self._lock:
            if rank not in self._files:  # closed: the run is over
                return
            self._count[rank] += 1
            text = json.dumps({"n": self._count[rank], **line})
            os.write(self._files[rank], f"{text}\n".encode())


def observation_file(folder: Path, rank: int) -> Path:
    """Where the observations of a rank are."""
    return folder / f"rank-{rank}.jsonl"


def read_observations(folder: Path, ranks: Iterable[int]) -> list[Line]:
    """The lines of ranks, rank by rank; a last line that was cut short is left out."""
    return [line for rank in ranks for line in _lines(observation_file(folder, rank))]


def _lines(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    *complete, _ = path.read_text("utf-8").split("\n")
    for text in complete:
        yield json.loads(text)


def _open(folder: Path, rank: int) -> int:
    path = observation_file(folder, rank)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _rank(actor: str) -> int:
    return int(actor.partition(".")[0])
