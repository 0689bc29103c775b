"""What the Promela export can't say, asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from eplb_model.export.cannot import CannotExport
from eplb_model.export.promela.call import EMITTERS
from eplb_model.scenario import Scenario
from eplb_model.world import World

# Settings of switches that have Promela text; a switch that is not named here makes no difference.
SWITCHES = {"distributor": ("arrival",), "slip_in": ("off",), "cta_order": ("index",)}


def refuse(scenario: Scenario) -> None:
    """Raise `CannotExport` for the first thing that has no Promela text."""
    for problem in _problems(scenario):
        raise CannotExport(f"{scenario.name}: no Promela text for {problem}")


def _problems(scenario: Scenario) -> Iterator[str]:
    for name, settings in scenario.machine.settings():
        yield f"switch {name} with several settings; choose one of {', '.join(settings)}"
    for name, settings in SWITCHES.items():
        setting = getattr(scenario.machine.switches, name)
        if setting not in settings:
            yield f"switch {name} set to {setting}"
    world = scenario.world
    for actor in world.threads:
        for op in world.programs[actor.slot].code:
            if op.kind not in EMITTERS:
                yield f"operation {op.kind} (thread {actor})"
    yield from _of_placement(world)


def _of_placement(world: World) -> Iterator[str]:
    if all(world.roomy):
        return
    if any(size % 2 for size in world.machine.groups):
        yield f"groups of an odd number of SMs (machine {world.machine.name})"
    launched = {
        name
        for actor in world.threads
        if not world.roomy[actor.rank]
        for op in world.programs[actor.slot].code
        for what, name in op.offers()
        if what == "launch"
    }
    footprints = {world.kernels[name].footprint for name in launched}
    for one in sorted(footprints, key=lambda each: each.name):
        for other in sorted(footprints, key=lambda each: each.name):
            if world.machine.limits.fits((one,), other):
                yield f"kernels that share an SM ({one.name} and {other.name}) and compete for SMs"
