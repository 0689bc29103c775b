"""Where shards run: here, in processes of this machine, or on a Ray cluster.

Rules:
- Each is a `concurrent.futures.Executor`; the campaign knows no more of it.
- A worker ends with the process that started it, however that ends: nobody is left behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, Literal, TypeVar, assert_never

from eplb_model.outcome import Lacking

Kind = Literal["here", "processes", "ray"]
EXECUTORS: tuple[Kind, ...] = ("here", "processes", "ray")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """Which executor, how many shards at a time, and for Ray the address of the cluster."""

    kind: Kind = "here"
    jobs: int = 1
    address: str | None = None

    def start(self) -> Executor:
        """A new executor; `Lacking` if its package is not installed."""
        match self.kind:
            case "here":
                return Here()
            case "processes":
                spawn = multiprocessing.get_context("spawn")
                return ProcessPoolExecutor(self.jobs, spawn, _begin)
            case "ray":
                executor: Executor = _over_ray().RayExecutor(self.jobs, self.address)
                return executor
            case _:
                assert_never(self.kind)


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run, and return a future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (an executor hands every error to the future)
            future.set_exception(error)
        return future


def _over_ray() -> Any:
    """The one module that imports Ray."""
    try:
        return import_module("eplb_model.campaign.over_ray")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "ray":
            raise
        raise Lacking("no Ray here: pip install 'eplb-checker[cluster]'") from None


def _begin() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
