"""Shards as tasks of a Ray cluster: one by address, or a local one for this campaign.

Rules:
- Imported only when asked for (`--executor ray`, extra `cluster`).
- Ray retries nothing; that is the campaign's business.
- A cluster that was there is left as it was; a local one ends with the executor.
- Its nodes need this package, and the files that vectors and machines are read from.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import ray

T = TypeVar("T")


class RayExecutor(Executor):
    """Submits to Ray; `jobs` bounds how many shards a local cluster runs at once."""

    def __init__(self, jobs: int, address: str | None) -> None:
        local = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        ray.init(address=address or "local", log_to_driver=False, **local)
        self._refs: dict[
            Future[Any], Any
        ] = {}  # of what is under way: a reference keeps its result

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A task of the cluster."""
        remote = ray.remote(num_cpus=1, max_retries=0)(fn)
        ref = remote.remote(*args, **kwargs)
        future: Future[T] = ref.future()
        self._refs[future] = ref
        future.add_done_callback(lambda done: self._refs.pop(done, None))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take back what was not done, if asked to, and leave the cluster."""
        if cancel_futures:
            for ref in list(self._refs.values()):
                ray.cancel(ref, force=True)
        ray.shutdown()
