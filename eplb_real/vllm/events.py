"""vLLM's `CpuGpuEvent` over events and flags of our own, so that it can stop between its steps.

Rule: the code that runs is vLLM's, unchanged; only what its global names `torch` and `threading`
stand for is ours, object by object, so that several ranks of a process don't share them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

from eplb_real.vllm.stubs import load

METHODS = ("__init__", "record", "wait")


def event_class(version: str) -> type:
    """The class of a version, to be made as our own is: with `event_factory`, `flag_factory`."""
    library: Any = load(version, "eplb_utils").CpuGpuEvent

    class Injected(library):  # type: ignore[misc]  # its base is loaded only where it is needed
        def __init__(
            self,
            *,
            event_factory: Callable[[], Any],
            flag_factory: Callable[[], Any] = threading.Event,
        ) -> None:
            names = {
                **library.record.__globals__,
                "torch": SimpleNamespace(
                    cuda=SimpleNamespace(Event=event_factory), Event=event_factory
                ),
                "threading": SimpleNamespace(Event=flag_factory),
            }
            made, self.record, self.wait = (
                MethodType(_with_names(getattr(library, name), names), self) for name in METHODS
            )
            made()

    return Injected


def _with_names(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """The same code, for which global names mean something else."""
    return FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
