"""vLLM's EPLB with a recorder at its seams, and with the faults that are asked for.

Rules (specs/refinement.md#vllm has the table of what stands for which operation of the model):
- What is replaced are names of modules, methods of `CpuGpuEvent` and attributes of a model's
  state.  `step()`, the worker, the transfer and the move are vLLM's text; only with `record_first`
  two neighbouring statements of one function change places.
- A read or write of `pending_result` and `rebalanced` is a call: those are the shared variables.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eplb_model.protocols.settings import of_model
from eplb_real.vllm.accelerator import Accelerator
from eplb_real.vllm.recorder import Recorder
from eplb_real.vllm.stubs import load

MODULES = ("eplb_utils", "eplb_communicator", "rebalance_execute", "async_worker", "eplb_state")
WATCHED = "watched"  # the number of a model, in the attributes of its state
VARIABLES = {"pending_result": "pending", "rebalanced": "rebalanced"}
COMMIT = "_pad_out_tensor"  # V5
MOVE = "_move_to_workspace"
VOTE = "_all_ranks_result_ready"
LOOKS_AGAIN_WITHIN = 60.0  # seconds for the worker of `record_first`


class Watched:
    """The modules of a version, watched.

    Parameters
    ----------
    asked
        The run: version, layers, cycles and faults (`Asked` of `protocol.py`, as a mapping).
    recorder
        Where calls go.
    rank
        This process.
    """

    def __init__(self, asked: Mapping[str, Any], recorder: Recorder, rank: int) -> None:
        self._asked = asked
        self._recorder = recorder
        self._accelerator = Accelerator(recorder)
        self._rank = rank
        self._faulty = rank == asked["ranks"] - 1
        self._groups: dict[int, str] = {}
        self._made = 0  # consumed events
        self._woken = 0
        self._transferred = 0
        self._weights: list[int] = []  # ids of the lists of weights, model by model
        self._looked = threading.Event()
        self.records = 0  # of the event that wakes the worker
        self.modules = {name: load(asked["version"], name) for name in MODULES}
        self._replace()

    def name_group(self, group: Any, name: str) -> None:
        """A group whose collectives are recorded under a name."""
        self._groups[id(group)] = name

    def name_models(self, states: Iterable[Any]) -> None:
        """The models of a state, in order; from now on their shared variables are watched."""
        for number, state in enumerate(states):
            self._weights += [id(layer) for layer in state.model.expert_weights]
            state.__dict__[WATCHED] = number

    def can_change(self, worker_is_alive: bool) -> bool:
        """Whether this rank's worker may still go on, once those that fail have failed.

        One that waits for the peer that failed, or for a layer that can't be moved any more, stays.
        """
        if not worker_is_alive:
            return False
        if self._faulty or self._asked["record_first"]:
            return True
        before = self._asked["dies"] is not None or not self._asked["raises_after"]
        call = self._recorder.doing.get(f"{self._rank}.worker", {"op": ""})
        if call["op"] != "cpu_gpu_event_wait":
            return not (before and call["op"] == "wait_requests")
        layer = self._asked["raises"] if self._asked["dies"] is None else self._asked["dies"]
        return bool(call["fields"]["event"] != f"consumed_{layer}")

    # --- what is put where -------------------------------------------------------------------

    def _replace(self) -> None:
        distributed: Any = importlib.import_module("torch.distributed")
        self._distributed = distributed
        torch = self._accelerator.torch(all_reduce=self._all_reduce)
        for module in self.modules.values():
            module.torch = torch
        communicator, worker, state = (
            self.modules[name] for name in ("eplb_communicator", "async_worker", "eplb_state")
        )
        communicator.batch_isend_irecv = self._batch
        self._wrap(communicator.TorchDistGlooStagedEplbCommunicator, "execute", self._execute)
        worker.run_rebalance_experts = self._rebalance(worker.run_rebalance_experts)
        worker.transfer_layer = self._transfer(worker.transfer_layer)
        state.all_reduce = self._all_reduce
        state.move_from_buffer = self._move(state.move_from_buffer)
        setattr(state, COMMIT, self._pad(getattr(state, COMMIT)))
        if self._asked["record_first"]:
            setattr(state, MOVE, _swapped(getattr(state, MOVE)))
        event = self.modules["eplb_utils"].CpuGpuEvent
        for name, around in (
            ("__init__", self._make_event),
            ("record", self._record),
            ("wait", self._wait),
        ):
            self._wrap(event, name, around)
        self._watch_variables(state.EplbModelState)

    def _wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        def method(own: Any, *args: Any, **named: Any) -> Any:
            return around(original, own, *args, **named)

        setattr(owner, name, method)

    # --- events ------------------------------------------------------------------------------

    def _make_event(self, original: Any, own: Any) -> None:
        original(own)
        if self._recorder.is_main():
            own.watched_as = "rearrange"
        else:
            own.watched_as, own.number = self._publication(self._made)
            self._made += 1

    def _publication(self, made: int) -> tuple[str, int]:
        """The event and the number of a publication of its model, from the order of making."""
        layers, models = self._asked["layers"], self._asked["models"]
        cycle, rest = divmod(made, layers * models)
        model, layer = divmod(rest, layers)
        number = cycle * layers + layer
        return of_model(f"consumed_{number}", model), number

    def _record(self, original: Any, own: Any, stream: Any = None) -> None:
        name = (stream or self._accelerator.current_stream()).name
        with self._recorder.call("cpu_gpu_event_record", event=own.watched_as, stream=name):
            original(own, stream)
        if own.watched_as == "rearrange":
            self.records += 1
        elif self._asked["record_first"]:
            self._looked.wait(LOOKS_AGAIN_WITHIN)

    def _wait(self, original: Any, own: Any, stream: Any = None) -> None:
        if own.watched_as == "rearrange":
            if self._woken == self._asked["cycles"]:
                raise SystemExit  # the model's worker ends here, vLLM's would wait for ever
            self._woken += 1
        name = (stream or self._accelerator.current_stream()).name
        with self._recorder.call("cpu_gpu_event_wait", event=own.watched_as, stream=name):
            original(own, stream)

    # --- collectives and requests ------------------------------------------------------------

    def _all_reduce(self, tensor: Any, *args: Any, group: Any = None, **named: Any) -> Any:
        name = self._groups.get(id(group))
        if name is None:
            return self._distributed.all_reduce(tensor, *args, group=group, **named)
        with self._recorder.call("all_reduce", group=name) as result:
            found = self._distributed.all_reduce(tensor, *args, group=group, **named)
            result["value"] = int(tensor.item())
        return found

    def _batch(self, operations: list[Any]) -> list[Any]:
        for each in operations:
            kind = "isend" if each.op is self._distributed.isend else "irecv"
            with self._recorder.call(kind, group="eplb_cpu", peer=each.group_peer):
                pass
        return [_All(self._recorder, self._distributed.batch_isend_irecv(operations))]

    def _execute(self, original: Any, own: Any) -> None:
        with self._accelerator.staging():
            original(own)

    # --- the worker --------------------------------------------------------------------------

    def _rebalance(self, original: Any) -> Callable[..., Any]:
        def run_rebalance_experts(model: Any, state: Any, placement: Any, stream: Any) -> Any:
            copies = {"direction": "d2h", "stream": stream.name, "reads": ["load", "map"]}
            with self._recorder.call("copy", **copies):
                return original(model, state, placement, stream)

        return run_rebalance_experts

    def _transfer(self, original: Any) -> Callable[..., Any]:
        def transfer_layer(**named: Any) -> Any:
            number, self._transferred = self._transferred, self._transferred + 1
            if self._faulty and number == self._asked["dies"]:
                raise SystemExit
            fails = self._faulty and number == self._asked["raises"]
            if fails and not self._asked["raises_after"]:
                self._fail()
            found = original(**named)
            if fails:
                self._fail()
            return found

        return transfer_layer

    def _fail(self) -> None:
        with self._recorder.call("raise"):
            raise RuntimeError("the transfer failed")

    # --- the move ----------------------------------------------------------------------------

    def _move(self, original: Any) -> Callable[..., Any]:
        def move_from_buffer(*, expert_weights: Any, **named: Any) -> Any:
            place = self._weights.index(id(expert_weights))
            with self._recorder.call(
                "copy",
                direction="d2d",
                stream=self._accelerator.current_stream().name,
                reads=[of_model("buffer", place // self._asked["layers"])],
                writes=[f"weights_{place}"],
            ):
                return original(expert_weights=expert_weights, **named)

        return move_from_buffer

    def _pad(self, original: Any) -> Callable[..., Any]:
        def pad_out_tensor(src: Any, dst: Any) -> None:
            original(src, _Target(dst, self._recorder, self._accelerator))

        return pad_out_tensor

    # --- shared variables --------------------------------------------------------------------

    def _watch_variables(self, owner: Any) -> None:
        def write(own: Any, name: str, value: Any) -> None:
            if name not in VARIABLES or WATCHED not in own.__dict__:
                object.__setattr__(own, name, value)
                return
            variable = of_model(VARIABLES[name], own.__dict__[WATCHED])
            with self._recorder.call("put", variable=variable) as result:
                object.__setattr__(own, name, value)
                result["value"] = int(value) if name == "rebalanced" else _number(value)

        def read(own: Any, name: str) -> Any:
            value = object.__getattribute__(own, name)
            if name == "pending_result" and WATCHED in object.__getattribute__(own, "__dict__"):
                frame = inspect.currentframe()
                reader = frame and frame.f_back
                assert reader is not None, "CPython has frames"
                self._read(reader.f_code.co_name, value)
            return value

        owner.__setattr__ = write
        owner.__getattribute__ = read

    def _read(self, reader: str, value: Any) -> None:
        """A read of what is published, which means what the function does with it."""
        if not self._recorder.is_main():  # W12
            try:
                with self._recorder.call("assert"):
                    assert value is None, "pending is not null"
            except AssertionError:
                pass  # vLLM's own one follows
            self._looked.set()
        elif reader == VOTE:
            with self._recorder.call("test", into="published") as result:
                result["value"] = value is not None
        else:
            with self._recorder.call("put", variable="taken") as result:
                result["value"] = _number(value)


def _number(published: Any) -> int | None:
    """What the model has in `pending` for a publication."""
    return None if published is None else int(published.consumed_event.number)


class _All:
    """Requests that are waited for together."""

    def __init__(self, recorder: Recorder, requests: list[Any]) -> None:
        self._recorder = recorder
        self._requests = requests

    def wait(self) -> None:
        with self._recorder.call("wait_requests"):
            for request in self._requests:
                request.wait()


class _Target:
    """A tensor on the device that the host copies a map to."""

    def __init__(self, tensor: Any, recorder: Recorder, accelerator: Accelerator) -> None:
        self.shape = tensor.shape
        self._tensor = tensor
        self._recorder = recorder
        self._accelerator = accelerator

    def copy_(self, source: Any, non_blocking: bool = False) -> None:
        with self._recorder.call(
            "copy",
            direction="h2d",
            stream=self._accelerator.current_stream().name,
            memory="pinned" if source.is_pinned() else "pageable",
            blocking=not non_blocking,
        ):
            self._tensor.copy_(source, non_blocking=non_blocking)


def _swapped(function: Any) -> Any:
    """The function with its last two statements in the other order."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    definition.body[-2:] = reversed(definition.body[-2:])
    names = function.__globals__
    exec(compile(tree, function.__code__.co_filename, "exec"), names)
    return names[function.__name__]
