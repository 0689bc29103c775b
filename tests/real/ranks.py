"""Ranks as real processes that carry out one function after another, all at the same time.

Rules: a process comes fresh from the fork server, meets the others through a file, and ends when
its pipe closes or by its own pid.  Every call has a deadline; a rank that misses it prints its
stacks, and all of them are ended.
"""

import faulthandler
import multiprocessing
import os
import tempfile
import traceback
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

DEADLINE = 30.0
GROUP_TIMEOUT = timedelta(seconds=10)


@dataclass
class Rank:
    """What a function finds on its rank: who it is, and the groups made so far."""

    rank: int
    size: int
    groups: dict = field(default_factory=dict)

    def group(self, members):
        """A gloo group of global ranks in that order; all ranks ask for it at the same time."""
        key = tuple(members)
        if key not in self.groups:
            order = {} if list(members) == sorted(members) else {"sort_ranks": False}  # torch 2.13
            self.groups[key] = dist.new_group(
                list(members), timeout=GROUP_TIMEOUT, backend="gloo", **order
            )
        return self.groups[key]


class Ranks:
    """A set of processes, one per global rank."""

    def __init__(self, size):
        start = multiprocessing.get_context("forkserver")
        start.set_forkserver_preload(["torch", "torch.distributed"])  # imported once, not per rank
        self._folder = tempfile.TemporaryDirectory()
        store = Path(self._folder.name) / "store"
        self.size = size
        self._pipes, self._processes = [], []
        for rank in range(size):
            here, there = start.Pipe()
            process = start.Process(target=_serve, args=(rank, size, str(store), there))
            process.daemon = True
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self.run(_nothing)

    def run(self, function, *args):
        """function(rank, *args) on all ranks; what each returned, in rank order."""
        for pipe in self._pipes:
            pipe.send((function, args))
        answers = [self._answer(rank) for rank in range(self.size)]
        wrong = {rank: text for rank, (fine, text) in enumerate(answers) if not fine}
        assert not wrong, "\n".join(f"rank {rank}: {text}" for rank, text in wrong.items())
        return [value for _, value in answers]

    def kill(self, rank):
        """End one rank without a word."""
        self._processes[rank].kill()
        self._processes[rank].join(DEADLINE)

    def on(self, rank, function, *args):
        """function on one rank only."""
        self._pipes[rank].send((function, args))
        return self._answer(rank)

    def close(self):
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join(DEADLINE)
        self._folder.cleanup()

    def _answer(self, rank):
        if self._pipes[rank].poll(DEADLINE + 5):
            return self._pipes[rank].recv()
        self.close()
        raise AssertionError(f"rank {rank} did not answer within {DEADLINE} s")


def _nothing(rank):
    return rank.rank


def _serve(rank, size, store, pipe):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=GROUP_TIMEOUT
    )
    context = Rank(rank, size)
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)  # gloo would wait for peers that are gone
        faulthandler.dump_traceback_later(DEADLINE)
        try:
            answer = (True, function(context, *args))
        except Exception:  # noqa: BLE001 - the parent raises it
            answer = (False, traceback.format_exc())
        faulthandler.cancel_dump_traceback_later()
        pipe.send(answer)
