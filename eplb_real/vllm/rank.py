"""One rank of vLLM's EPLB: `python -m eplb_real.vllm.rank JSON` steps it until it is done.

Rules:
- `EplbState.step()` and the worker that it starts are vLLM's; the model served is a list of rows
  that hold the number of their expert, and the policy gives the maps that were asked for.
- All groups are gloo.  The sum of loads, a device collective elsewhere, blocks the host here.
- The process ends without waiting for a worker that waits for ever.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eplb_model.communicators.names import held, tag
from eplb_real.nursery import die_with_parent
from eplb_real.vllm.recorder import Recorder
from eplb_real.vllm.stubs import provide_groups
from eplb_real.vllm.watched import Watched

PASS = 0.003  # seconds of a forward pass, on the average
ENDS_WITHIN = 60.0  # for a worker that has nothing left to do
NEVER = 1 << 60
ROW = 3  # numbers


def main() -> None:
    """Be a rank."""
    die_with_parent()
    order = json.loads(sys.argv[1])
    torch: Any = importlib.import_module("torch")
    distributed: Any = importlib.import_module("torch.distributed")
    torch.set_num_threads(1)
    rank, ranks = order["rank"], order["asked"]["ranks"]
    distributed.init_process_group(
        "gloo", init_method=f"file://{order['store']}", rank=rank, world_size=ranks
    )
    groups = [distributed.new_group(list(range(ranks)), backend="gloo") for _ in range(5)]
    recorder = Recorder(Path(order["lines"]), rank)
    _Rank(order["asked"], order["maps"], rank, recorder, groups).run()
    os._exit(0)


class _Rank:
    def __init__(
        self,
        asked: Mapping[str, Any],
        maps: list[list[int]],
        rank: int,
        recorder: Recorder,
        groups: list[Any],
    ) -> None:
        self._asked = asked
        named = (asked["dies"], asked["raises"])
        self._fails = asked["record_first"] or any(layer is not None for layer in named)
        self._recorder = recorder
        self._watched = Watched(asked, recorder, rank)
        ep, ep_cpu, eplb, eplb_cpu, self._own = groups
        self._watched.name_group(ep_cpu, "ep_cpu")
        self._watched.name_group(eplb_cpu, "eplb_cpu")
        both = {"ep": (ep, ep_cpu), "eplb": (eplb, eplb_cpu)}
        provide_groups(**{name: _coordinator(*pair) for name, pair in both.items()})
        self._models = [_model(asked, maps[0], rank) for _ in range(asked["models"])]
        self._pace = random.Random(f"{asked['seed']} {rank}")
        self._state = self._made(maps)

    def _made(self, maps: list[list[int]]) -> Any:
        torch: Any = importlib.import_module("torch")
        state = self._watched.modules["eplb_state"].EplbState(
            _config(self._asked), torch.device("cpu")
        )
        for number, model in enumerate(self._models):
            name = f"rows {number}"
            state.add_model(model, SimpleNamespace(model=name, compute_hash=partial(str, name)))
        state.policy = _policy(maps, self._asked["layers"], len(self._models))
        state.cuda_device_index = state.device_index = 0
        state.expert_rearrangement_step = self._asked["interval"] - 1  # the first step is due
        self._watched.name_models(state.model_states.values())
        return state

    def run(self) -> None:
        """Step until the cycles are over, or often enough after a failure."""
        self._state.start_async_loop()
        done = self._drained() if self._asked["drain"] is not None else self._stepped()
        worker = self._state.async_worker
        worker.join(ENDS_WITHIN if done else 0.0)
        if not worker.is_alive():
            self._recorder.exit("worker")
        if done:
            self._recorder.exit("main")
            self._recorder.final(dict(self._rows()))

    def _stepped(self) -> bool:
        left = self._asked["steps"]
        while left:
            self._step()
            if self._watched.records == self._asked["cycles"] and self._is_off():
                return True
            if self._fails and not self._can_change():
                left -= 1
        return False

    def _can_change(self) -> bool:
        """Whether some worker may still go on; asked of all ranks, on a group of our own."""
        torch: Any = importlib.import_module("torch")
        distributed: Any = importlib.import_module("torch.distributed")
        flag = torch.tensor([self._watched.can_change(self._state.async_worker.is_alive())]).int()
        distributed.all_reduce(flag, group=self._own)
        return bool(flag.item())

    def _drained(self) -> bool:
        for _ in range(1 + self._asked["drain"]):
            self._step()
        self._state.drain_async()
        return True

    def _step(self) -> None:
        time.sleep(PASS * 2 * self._pace.random())
        self._state.step()
        if self._watched.records == self._asked["cycles"]:
            self._state.expert_rearrangement_step_interval = NEVER

    def _is_off(self) -> bool:
        return not any(each.rebalanced for each in self._state.model_states.values())

    def _rows(self) -> Any:
        layers = [layer for model in self._models for layer in model.expert_weights]
        for place, (weights,) in enumerate(layers):
            for row, values in enumerate(weights.tolist()):
                one = len(set(values)) == 1
                yield held(place, row), tag(place, int(values[0])) if one else values


def _coordinator(device_group: Any, cpu_group: Any) -> Any:
    return SimpleNamespace(
        device_group=device_group,
        cpu_group=cpu_group,
        world_size=cpu_group.size(),
        device_communicator=None,
    )


def _model(asked: Mapping[str, Any], first: list[int], rank: int) -> Any:
    """Rows that hold the number of their expert, one weight tensor per layer."""
    torch: Any = importlib.import_module("torch")
    rows = len(first) // asked["ranks"]
    mine = first[rank * rows : (rank + 1) * rows]
    layers = [
        [torch.tensor([[expert] * ROW for expert in mine], dtype=torch.int64)]
        for _ in range(asked["layers"])
    ]
    experts = len(first)
    return SimpleNamespace(
        expert_weights=layers,
        moe_layers=[],
        num_moe_layers=asked["layers"],
        num_routed_experts=experts,
        num_logical_experts=experts,
        num_physical_experts=experts,
        num_local_physical_experts=rows,
        num_redundant_experts=0,
        num_expert_groups=1,
        set_eplb_state=lambda *views: None,
    )


def _config(asked: Mapping[str, Any]) -> Any:
    eplb = SimpleNamespace(
        window_size=2,
        step_interval=asked["interval"],
        log_balancedness_interval=1,
        use_async=True,
        policy="default",
        communicator="torch_gloo",
        migration_batching_enabled=False,
    )
    return SimpleNamespace(eplb_config=eplb, enable_elastic_ep=False, num_ubatches=0)


def _policy(maps: list[list[int]], layers: int, models: int) -> Any:
    """Every cycle the next map, the same for each model, whatever the load."""
    torch: Any = importlib.import_module("torch")
    following = iter([each for each in maps[1:] for _ in range(models)])

    class Planned:
        @classmethod
        def rebalance_experts(cls, *seen: Any) -> Any:
            return torch.tensor([next(following)] * layers)

    return Planned


if __name__ == "__main__":
    main()
