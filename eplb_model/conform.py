"""The model against what real GPUs did: every row of every measured table is predicted.

Rules:
- A row names a vector, its parameters and what was observed; the prediction is what *all* final
  states of the model agree on.  Where they don't, or a switch nobody measured decides, it is `may`.
- Nothing is read from the outcome of a row before the prediction stands.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eplb_model import formulas
from eplb_model.check import check_small_first, machines
from eplb_model.explore.search import Bounds, explore
from eplb_model.explore.settle import Settling
from eplb_model.machine import FOOTPRINTS, MACHINES, Machine
from eplb_model.placement import Occupants, free_per_group, seats
from eplb_model.scenario import Scenario
from eplb_model.state import State
from eplb_model.tables import Row, Table
from eplb_model.vector import load

MAY = "may"
FINAL_STATES_BOUND = 500_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row with what the model says about it."""

    table: str
    number: int
    row: Row
    predicted: Any

    @property
    def agrees(self) -> bool:
        return bool(self.predicted == self.row["outcome"])


@dataclass(slots=True)
class Conformance:
    """All rows of some tables, predicted."""

    predictions: list[Prediction] = field(default_factory=list)

    @property
    def agree(self) -> int:
        return sum(each.agrees for each in self.predictions)

    @property
    def may(self) -> int:
        return sum(each.predicted == MAY for each in self.predictions)

    @property
    def disagree(self) -> list[Prediction]:
        return [each for each in self.predictions if not each.agrees and each.predicted != MAY]

    @property
    def exit_code(self) -> int:
        if self.disagree:
            return 1
        return 3 if self.may else 0


def predictions(tables: Iterable[Table], machine: Machine | None = None) -> Iterator[Prediction]:
    """Every row of every table, predicted one by one."""
    for table in tables:
        for number, row in enumerate(table.rows, start=1):
            yield Prediction(table.name, number, row, predict(table, row, machine))


def predict(table: Table, row: Row, machine: Machine | None = None) -> Any:
    """What the model says that a row's observation must be."""
    observe = row.get("observe", "run")
    if observe in _WITHOUT_SCENARIO:
        return _WITHOUT_SCENARIO[observe](row)
    vector = load(row.get("vector", table.vector))
    scenario = vector.scenario(dict(row.get("set", {})))
    if machine is not None:
        scenario = scenario.on(machine)
    what, _, name = observe.partition(" ")
    if what in ("run", "verdict"):
        return _RUNS[what](scenario)
    seen = {_OBSERVERS[what](state, name) for state in final_states(scenario)}
    return seen.pop() if len(seen) == 1 else MAY


def final_states(scenario: Scenario) -> Iterator[State]:
    """Every state in which nobody can move any more, under every setting in force."""
    for each in machines(scenario):
        world = scenario.on(each).world
        found = explore(world, "bfs", Bounds(FINAL_STATES_BOUND), Settling(world))
        if found.cut or found.broken or world.cyclic:
            raise ValueError(f"{scenario.name}: its final states can't be listed")
        yield from (found.states[number] for number in found.final)


def _run(scenario: Scenario) -> str:
    report = check_small_first(scenario)
    if report.verdict == "deadlock":
        return "hang" if report.when == "every" else MAY
    return "completes" if report.verdict == "ok" else report.verdict


def _verdict(scenario: Scenario) -> str:
    return check_small_first(scenario).verdict


def _thread(state: State, name: str) -> str:
    thread = next(a for a in state.world.threads if str(a) == name)
    return "returns" if state.threads[thread.slot].status == "ended" else "blocks"


def _stream(state: State, name: str) -> str:
    stream = next(a for a in state.world.streams if str(a) == name)
    return "done" if state.head(stream) is None else "waits"


def _started(state: State, name: str) -> int:
    stream = next(a for a in state.world.streams if str(a) == name)
    head, run = state.head(stream), state.run_of(stream)
    if head is None:
        return _last_launch(state, name)
    return 0 if run is None else len(run.seats)


def _last_launch(state: State, name: str) -> int:
    """The grid of the last kernel that any program puts on a stream: all of it has run."""
    rank, _, stream = name.partition(".")
    grids: list[int] = [
        state.world.kernels[op.kernel].ctas  # type: ignore[attr-defined]  # a launch has a kernel
        for program in state.world.ranks[int(rank)].threads
        for op in program.code
        if op.kind == "launch" and op.stream == stream  # type: ignore[attr-defined]  # and a stream
    ]
    return grids[-1] if grids else 0


def _value(state: State, name: str) -> Any:
    rank, _, variable = name.partition(".")
    return state.read(int(rank), variable)


def _seats(row: Row) -> Mapping[str, list[int]]:
    machine, footprint = MACHINES[row["machine"]], FOOTPRINTS[row.get("footprint", "exclusive")]
    there: Occupants = ()
    other = FOOTPRINTS["spinner"]
    for held in row.get("holders", [row["holder"]] if "holder" in row else []):
        there += ((other, seats(machine, there, other, held["cluster"], held["ctas"], False)),)
    gang = row["launch"] == "cooperative"
    taken = seats(machine, there, footprint, row["cluster"], row["ctas"], gang)
    free = free_per_group(machine, (*there, (footprint, taken)))
    if "free_per_group" in row["outcome"]:
        return {"free_per_group": list(free)}
    return {"taken_per_group": [a - b for a, b in zip(machine.groups, free, strict=True)]}


def _clusters(row: Row) -> int:
    machine, footprint = MACHINES[row["machine"]], FOOTPRINTS[row["footprint"]]
    everything = machine.sms * machine.limits.ctas_per_sm(footprint)
    cluster: int = row["cluster"]
    return len(seats(machine, (), footprint, cluster, everything, False)) // cluster


def _formula(row: Row) -> Any:
    functions = dict(inspect.getmembers(formulas, inspect.isfunction))
    return functions[row["fn"]](**row["args"])


_WITHOUT_SCENARIO: Mapping[str, Callable[[Row], Any]] = {
    "seats": _seats,
    "clusters": _clusters,
    "formula": _formula,
}
_RUNS: Mapping[str, Callable[[Scenario], str]] = {"run": _run, "verdict": _verdict}
_OBSERVERS: Mapping[str, Callable[[State, str], Any]] = {
    "thread": _thread,
    "stream": _stream,
    "started": _started,
    "value": _value,
}
