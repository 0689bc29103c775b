"""What a campaign has done so far, in a file that outlives it.

Rules:
- The first line says what the campaign is; going on with another one is an error.
- Every further line is one shard that is done, with its lines.  The order is that of completion.
- A line is written in one go and flushed.  A last line that is torn counts as not written.
- One process at a time: the file is locked.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from eplb_model.campaign.task import Line
from eplb_model.outcome import UsageError

SCHEMA = "eplb-campaign-journal/1"


class Journal:
    """The shards that are done, kept in a file; open it with `opened`."""

    def __init__(self, path: Path, file: IO[bytes], done: dict[int, list[Line]]) -> None:
        self.path = path
        self._file = file
        self.done = done

    @classmethod
    @contextmanager
    def opened(cls, path: Path, what: Mapping[str, Any], resume: bool) -> Iterator[Journal]:
        """The journal of a campaign, new or to go on with.

        Raises `UsageError` if there is one and `resume` is false, if it is of another campaign, or
        if another process writes it.
        """
        if path.exists() and not resume:
            raise UsageError(f"{path}: a campaign was interrupted; --resume goes on, or remove it")
        header = _line({"schema": SCHEMA, **what})
        with path.open("a+b") as file:
            _lock(file, path)
            done, good = _read(file, path, header)
            file.truncate(good)
            if good == 0:
                file.write(header)
                file.flush()
            yield cls(path, file, done)

    def add(self, shard: int, lines: Sequence[Line]) -> None:
        """A shard is done."""
        self.done[shard] = list(lines)
        self._file.write(_line({"shard": shard, "lines": list(lines)}))
        self._file.flush()


def _read(file: IO[bytes], path: Path, header: bytes) -> tuple[dict[int, list[Line]], int]:
    """The shards in a journal, and up to which byte it is whole."""
    file.seek(0)
    first = file.readline()
    if not first.endswith(b"\n"):
        return {}, 0
    if first != header:
        raise UsageError(f"{path}: the journal of another campaign; remove it, or ask the same")
    done: dict[int, list[Line]] = {}
    good = len(first)
    for line in file:
        if not line.endswith(b"\n"):
            break
        entry = json.loads(line)
        done[entry["shard"]] = entry["lines"]
        good += len(line)
    return done, good


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UsageError(f"{path}: another process is at it") from None


def _line(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()
