"""What one GPU lets pass: kernels behind a waiting one, streams, host calls, two threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from eplb_real.gpu import words
from eplb_real.gpu.asking import CHANNEL, EXCLUSIVE, SHOWS, Asking, Holder

CALLS = (
    "malloc", "host_alloc", "event_create_record", "record", "wait", "event_synchronize",
    "h2d_pinned", "h2d_pageable", "d2h_pinned", "d2h_pageable", "item", "d2d", "graph",
    "peer_free_launch", "stream_create", "stream_synchronize", "free", "host_free", "empty_cache",
    "device_synchronize",
)  # fmt: skip
FILLINGS = ("record", "wait", "write_value", "h2d_pinned", "memset", "host_function")
MOST_WORK = 5000  # pieces that are put on a stream to see how much it takes


class Passing(Asking):
    """The questions, each an iterator of observations."""

    def head_of_line(self) -> Iterator[dict[str, Any]]:
        """What passes a waiting kernel: a gang, a regular kernel, a clustered one."""
        waiting = {
            "gang": {**EXCLUSIVE, "ctas": self._sms, "cooperative": True},
            "gang of pairs": {**EXCLUSIVE, "ctas": self._sms, "cluster": 2, "cooperative": True},
            "regular": {**EXCLUSIVE, "ctas": self._sms},
            "clusters of 4": {**CHANNEL, "ctas": self._sms, "cluster": 4},
        }
        later = {
            "small kernel": ("third", {"ctas": 1, "threads": 32}),
            "small cluster": ("third", {"ctas": 2, "threads": 32, "cluster": 2}),
            "small gang": ("third", {"ctas": 1, "threads": 32, "cooperative": True}),
            "urgent small kernel": ("urgent", {"ctas": 1, "threads": 32}),
            "urgent small gang": ("urgent", {"ctas": 1, "threads": 32, "cooperative": True}),
        }
        for waits, shape in waiting.items():
            for passes, (stream, small) in later.items():
                with self._fresh():
                    self._hold(Holder(8, 1))
                    self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                    time.sleep(0.005)
                    resident = self._page.of(0, words.GANG_STARTED)
                    self._rank.ask("stamp", slot=0, generation=self._generation, stream=stream,
                                   **small)  # fmt: skip
                    passed = self._comes(words.STAMPS, self._generation, SHOWS)
                    yield {"what": "head of line", "waits": waits, "resident": resident,
                           "later": passes, "passes": passed}  # fmt: skip

    def behind(self) -> Iterator[dict[str, Any]]:
        """What is done in another stream while a gang waits: it, and a copy behind it (G13a)."""
        for what in self._rank.ask("works"):
            with self._fresh():
                self._hold(Holder(8, 1))
                shape = {**EXCLUSIVE, "ctas": self._sms, "cooperative": True}
                self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                self._rank.ask("behind", what=what)
                passes = self._comes(words.EXCHANGE_DONE, self._generation, SHOWS)
                yield {"what": "behind", "work": what, "passes": passes}

    def queues(self) -> Iterator[dict[str, Any]]:
        """How deep a stream is, and how many blocked streams stop another."""
        with self._fresh():
            self._hold(Holder(1, 1), stream="third")
            self._rank.ask("fill", count=1200, generation=self._generation, stream="third")
            yield {"what": "queue depth", "accepted": self._settled(words.FILLED)}
        count = 40
        self._rank.ask("new_streams", count=count)
        blocked = [[index] for index in range(count)]
        blocked += [list(range(n)) for n in (2, 4, 7, 8, 9, 16, 24, 31)]
        for indices in blocked:
            with self._fresh():
                self._hold(Holder(1, 1), stream="side")
                self._rank.tell("block_streams", blocked=indices, generation=self._generation)
                returned = self._answers()
                time.sleep(0.01)
                marks = self._page.block(0, words.CENSUS, count)
                yield {"what": "blocked streams", "blocked": indices, "returned": returned,
                       "stopped": [i for i, mark in enumerate(marks)
                                   if mark != self._generation and i not in indices]}  # fmt: skip

    def depths(self) -> Iterator[dict[str, Any]]:
        """Whether one full stream fills others, and how much other work a stream takes (G3a)."""
        others = self._rank.ask("new_streams", count=40)
        with self._fresh():
            self._hold(Holder(1, 1), stream="third")
            self._rank.ask("fill", count=1200, generation=self._generation, stream="third")
            self._settled(words.FILLED)
            self._rank.ask("launch_on_each", streams=others, generation=self._generation)
            yield {"what": "beside a full stream", "streams": len(others),
                   "returned": self._settled(words.STAMP_LOW)}  # fmt: skip
        for what in FILLINGS:
            with self._fresh():
                self._hold(Holder(1, 1), stream="third")
                self._rank.ask("fill", count=MOST_WORK, generation=self._generation,
                               stream="third", what=what)  # fmt: skip
                yield {"what": "stream takes", "work": what, "asked": MOST_WORK,
                       "accepted": self._settled(words.FILLED)}  # fmt: skip

    def priorities(self) -> Iterator[dict[str, Any]]:
        """Whether urgent streams have hardware queues of their own (G5b).

        Of the streams the first half is ordinary, the second urgent.
        """
        half = 20
        names = self._rank.ask("new_streams", count=half)
        self._rank.ask("new_streams", count=half, priority=-1)
        first = int(names[0].removeprefix("new"))
        for ordinary, urgent in ((7, 0), (8, 0), (16, 0), (0, 7), (0, 8), (0, 16), (4, 4), (7, 7)):
            blocked = [*range(first, first + ordinary)]
            blocked += range(first + half, first + half + urgent)
            with self._fresh():
                self._hold(Holder(1, 1), stream="side")
                self._rank.tell("block_streams", blocked=blocked, generation=self._generation)
                self._answers()
                time.sleep(0.01)
                marks = self._page.block(0, words.CENSUS + first, 2 * half)
                stopped = [i for i, mark in enumerate(marks) if mark != self._generation]
                yield {"what": "priorities", "ordinary": ordinary, "urgent": urgent,
                       "ordinary_stopped": sum(i < half for i in stopped) - ordinary,
                       "urgent_stopped": sum(i >= half for i in stopped) - urgent}  # fmt: skip

    def calls(self) -> Iterator[dict[str, Any]]:
        """Which host calls return under a spinner, and under a gang that waits."""
        for under in ("spinner", "gang"):
            for name in CALLS:
                with self._fresh():
                    self._hold(Holder(8, 1))
                    if under == "gang":
                        shape = {**EXCLUSIVE, "ctas": self._sms, "cooperative": True}
                        self._rank.ask("gang", shape=shape, generation=self._generation, grain=2)
                    self._rank.tell("call", name=name)
                    yield {"what": "call", "under": under, "call": name, "returns": self._answers()}

    def threads(self) -> Iterator[dict[str, Any]]:
        """What one thread's blocked call does to another thread's calls."""
        for blocked in ("device_synchronize", "free", "empty_cache", "full launch"):
            for other in ("peer_free_launch", "event_create_record", "record", "malloc"):
                with self._fresh():
                    self._hold(Holder(8, 1), stream="side")
                    if blocked == "full launch":
                        self._rank.ask("fill", count=1200, generation=self._generation,
                                       stream="side")  # fmt: skip
                        self._settled(words.FILLED)
                    else:
                        self._rank.ask("begin_call", name=blocked, slot=2,
                                       generation=self._generation)  # fmt: skip
                        time.sleep(0.02)
                    self._rank.tell("call", name=other)
                    yield {"what": "two threads", "blocked": blocked, "other": other,
                           "returns": self._answers()}  # fmt: skip
