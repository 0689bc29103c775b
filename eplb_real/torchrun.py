"""Ranks that torchrun has started: the first one runs the replay, the others fork the places.

Rules:
- All ranks are on one host: they meet at a socket in a folder of the user, named after the
  rendezvous that torchrun made, and share the folder of each run.
- Every rank but the first is the nursery of its own places, for as long as the first one lives.
- Nothing of the process group that torchrun prepares is used; the places make their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from eplb_model.outcome import Lacking
from eplb_real.nursery import Nursery, Spawner, serve

MEET_WITHIN = 30.0  # seconds
TRY_EVERY = 0.05


class Meeting(NamedTuple):
    """Which rank this process is, of how many, and where they meet."""

    rank: int
    size: int
    place: Path


class TeamError(Lacking):
    """The ranks that torchrun started did not find each other."""


def meeting(environment: Mapping[str, str]) -> Meeting | None:
    """What torchrun's variables say; None without them."""
    wanted = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in environment for name in wanted):
        return None
    folder = Path(tempfile.gettempdir()) / f"eplb-real-{os.getuid()}"
    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    place = folder / f"{environment['MASTER_PORT']}-{attempt}"
    return Meeting(int(environment["RANK"]), int(environment["WORLD_SIZE"]), place)


class Team:
    """The places of all ranks, as the first rank has them.

    Parameters
    ----------
    nurseries
        One of each rank.
    """

    def __init__(self, nurseries: Sequence[Nursery]) -> None:
        self._nurseries = nurseries
        self._homes: dict[int, Nursery] = {}  # by process id of a place

    def spawn(self, rank: int) -> tuple[int, socket.socket]:
        """A place in the process of its rank."""
        pid, control = self._nurseries[rank].spawn()
        self._homes[pid] = self._nurseries[rank]
        return pid, control

    def signal(self, pid: int, number: int) -> None:
        """Signal a place."""
        self._homes[pid].signal(pid, number)

    def end(self, pid: int) -> int:
        """End a place, and say how it ended."""
        return self._homes.pop(pid).end(pid)

    def close(self) -> None:
        """Let every rank go."""
        for nursery in self._nurseries:
            nursery.close()


def gather(where: Meeting, modules: Sequence[str]) -> Spawner:
    """Be the first rank: wait for the others.

    Raises
    ------
    TeamError
        If one of them does not come in time.
    """
    where.place.parent.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError):
        where.place.unlink()
    found: dict[int, Nursery] = {0: Nursery.started(modules)}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(where.place))
        door.listen()
        door.settimeout(MEET_WITHIN)
        try:
            while len(found) < where.size:
                control, _ = door.accept()
                hello = json.loads(control.recv(64))
                found[hello["rank"]] = Nursery(control, None)
        except TimeoutError:
            Team(list(found.values())).close()
            absent = sorted(set(range(where.size)) - set(found))
            raise TeamError(f"ranks {absent} did not come in {MEET_WITHIN:g} s") from None
        finally:
            where.place.unlink()
    return Team([found[rank] for rank in range(where.size)])


def follow(where: Meeting, modules: Sequence[str]) -> None:
    """Be another rank: fork places for as long as the first rank lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = _come(where)
    control.sendall(json.dumps({"rank": where.rank}).encode())
    serve(control, modules)


def _come(where: Meeting) -> socket.socket:
    until = time.monotonic() + MEET_WITHIN
    while True:
        control = socket.socket(socket.AF_UNIX)
        try:
            control.connect(str(where.place))
        except OSError:
            control.close()
            if time.monotonic() > until:
                raise TeamError(f"the first rank did not come in {MEET_WITHIN:g} s") from None
            time.sleep(TRY_EVERY)
        else:
            return control
