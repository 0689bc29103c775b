"""One process per rank, on GPUs: hosts meet through gloo, the device is the real one.

Rules:
- Streams, events, launches, copies and calls that wait are CUDA's; kernels are stand-ins with the
  scenario's grids, clusters, footprints and meetings (`eplb_real/cuda`).
- A scenario for the machine `tiny`, which nobody has, is put on an H200: the model is then asked
  about that one.  Every other machine has to be the one that is there.
- Ranks share GPUs where these are fewer, each with all SMs in its turn (`eplb_real/sharing.py`).
  What a rank launches while it is not its turn may arrive in another order (G66), so a run that the
  model has only with `distributor=any` is one whose order was not reached.
- What the hardware decides by itself is not ours to choose: a scenario that asks for a setting of a
  switch other than the measured one is declined.
- Nobody is at rest or at work by the processor here; rest is that nothing is told for a while.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eplb_model.machine import MACHINES
from eplb_model.outcome import Report
from eplb_model.scenario import Scenario
from eplb_real.drivers.gloo import GLOO
from eplb_real.emulated.errors import UNRECORDED
from eplb_real.lease import gpus
from eplb_real.sharing import cannot_share, is_shared

MOST_LAUNCHES = 256  # of one kernel on one rank
MOST_STREAMS = 8  # with a hardware queue each
IN_MEMORY = Path("/dev/shm")


@functools.cache
def _count() -> int:
    return len(gpus())


def _lacks() -> Sequence[str]:
    return () if _count() else ("an NVIDIA GPU",)


def _declines(scenario: Scenario, report: Callable[[], Report]) -> list[str]:
    return [*GLOO.declines(scenario, report), *_not_this_machine(scenario), *_not_here(scenario)]


def _not_this_machine(scenario: Scenario) -> Iterator[str]:
    world, machine = scenario.world, scenario.machine
    if _count() and (reason := cannot_share(len(world.ranks), _count())):
        yield reason
    switches = type(machine.switches)()
    for name in type(switches).__dataclass_fields__:
        if getattr(machine.switches, name) != getattr(switches, name):
            yield f"switch {name} is the hardware's here"


def _not_here(scenario: Scenario) -> Iterator[str]:
    world = scenario.world
    operations = [op for program in world.programs for op in program.code]
    if any(getattr(op, "gil", False) for op in operations):
        yield "a call that keeps the interpreter lock would stop the harness too"
    if any(op.kind.startswith("group_") for op in operations):
        yield "stand-ins know no NCCL groups"
    if any(stream.device for stream in world.stream_specs):
        yield "a rank has one GPU here"
    if max((len(rank.streams) for rank in world.ranks), default=0) > MOST_STREAMS:
        yield f"more than {MOST_STREAMS} streams share hardware queues in an order nobody knows"
    launches = Counter(getattr(op, "kernel", None) for op in operations if op.kind == "launch")
    if max(launches.values(), default=0) > MOST_LAUNCHES:
        yield f"there is room for {MOST_LAUNCHES} launches of a kernel"
    if UNRECORDED in scenario.forbids:
        yield "CUDA does not forbid a wait on an event that was never recorded"


def _on_a_real_machine(scenario: Scenario) -> Scenario:
    if scenario.machine.name != "tiny":
        return scenario
    return scenario.on(replace(MACHINES["h200"], switches=scenario.machine.switches))


def _in_any_order(scenario: Scenario) -> Scenario | None:
    if not is_shared(len(scenario.world.ranks), max(_count(), 1)):
        return None
    machine = scenario.machine
    return scenario.on(replace(machine, switches=replace(machine.switches, distributor="any")))


CUDA = replace(
    GLOO,
    name="cuda",
    modules=("torch", "torch.distributed", "cuda.bindings.driver"),
    declines=_declines,
    lacks=_lacks,
    devices="eplb_real.cuda.devices",
    scratch=IN_MEMORY,
    on_gpus=True,
    loosened=_in_any_order,
    adapt=_on_a_real_machine,
)
