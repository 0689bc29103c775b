"""The runner's side of the sockets to all places of a run.

Rules:
- One thread, one selector: lines are taken as they come, place by place in order.
- A fact that one place tells is passed on to all others before anything else is said to them, so a
  step that is granted later finds it there.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eplb_real.nursery import Spawner

Message = dict[str, Any]


@dataclass(eq=False)
class Link:
    """The socket to one place; `lost` once the place has closed it."""

    ranks: Sequence[int]
    pid: int
    socket: socket.socket
    waiting: bytes = b""
    lost: bool = False
    status: int | None = None  # how the process ended
    told: set[str] = field(default_factory=set)  # kinds of lines that have come

    @property
    def name(self) -> str:
        """Its ranks, for people."""
        several = len(self.ranks) > 1
        return f"ranks {', '.join(map(str, self.ranks))}" if several else f"rank {self.ranks[0]}"


class Hub:
    """All places of one run.  As a context manager it ends them."""

    def __init__(self, nursery: Spawner) -> None:
        self._nursery = nursery
        self._selector = selectors.DefaultSelector()
        self.links: list[Link] = []

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def spawn(self, ranks: Sequence[int]) -> Link:
        """A new place for these ranks."""
        pid, control = self._nursery.spawn(ranks[0])
        link = Link(ranks, pid, control)
        self.links.append(link)
        self._selector.register(control, selectors.EVENT_READ, link)
        return link

    def link_of(self, rank: int) -> Link:
        """The place where a rank lives."""
        return next(link for link in self.links if rank in link.ranks)

    @property
    def lost(self) -> list[Link]:
        """The places that have gone."""
        return [link for link in self.links if link.lost]

    def all_told(self, kind: str) -> bool:
        """Whether every place has said this."""
        return all(kind in link.told for link in self.links)

    def send(self, link: Link, message: Message) -> None:
        """Say something to one place; one that has gone hears nothing."""
        try:
            link.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            link.lost = True

    def broadcast(self, message: Message) -> None:
        """Say something to all places."""
        for link in self.links:
            self.send(link, message)

    def poll(self, seconds: float) -> list[tuple[Link, Message]]:
        """What places have said, waiting at most so long for the first of it; facts go round."""
        found: list[tuple[Link, Message]] = []
        for key, _ in self._selector.select(seconds):
            found += [(key.data, message) for message in self._receive(key.data)]
        for link, message in found:
            link.told.add(message["t"])
            if message["t"] == "fact":
                for other in self.links:
                    if other is not link:
                        self.send(other, message)
        return [(link, message) for link, message in found if message["t"] != "fact"]

    def signal(self, number: int) -> None:
        """Signal every place."""
        for link in self.links:
            self._nursery.signal(link.pid, number)

    def end(self) -> None:
        """End every place, and keep how it ended."""
        for link in self.links:
            if link.status is None:
                link.status = self._nursery.end(link.pid)
                link.socket.close()
        self._selector.close()

    def _receive(self, link: Link) -> list[Message]:
        try:
            data = link.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            link.lost = True
            self._selector.unregister(link.socket)
            return []
        *lines, link.waiting = (link.waiting + data).split(b"\n")
        return [json.loads(line) for line in lines]
