"""A run as an ITF trace: the Informal Trace Format of Apalache and Quint, one JSON document.

https://apalache-mc.org/docs/adr/015adr-trace.html

Rules:
- A state is a record of plain values: where each thread is, what each stream holds, and the memory
  of each rank by name.  What only explains a state (why somebody waits) is left out.
- Integers that are values of the model are `{"#bigint": "1"}`, tuples are lists, null is the string
  `null`, as ITF has no null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eplb_model.ops.expression import Value
from eplb_model.state import Item, State
from eplb_model.trace import Trace

VARIABLES = ("action", "threads", "streams", "memory")


def itf(trace: Trace, about: Mapping[str, str], loop: int | None = None) -> dict[str, Any]:
    """The document of a run; `loop` is the state that its last one goes back to."""
    document: dict[str, Any] = {
        "#meta": {"format": "ITF", "format-description": FORMAT, **about},
        "vars": list(VARIABLES),
        "states": [
            {"#meta": {"index": number}, "action": action, **_state(state)}
            for number, (action, state) in enumerate(
                zip(("(initial)", *map(str, trace.schedule)), trace.states, strict=True)
            )
        ],
    }
    return document if loop is None else {**document, "loop": loop}


FORMAT = "https://apalache-mc.org/docs/adr/015adr-trace.html"


def _state(state: State) -> dict[str, Any]:
    world = state.world
    return {
        "threads": _map({str(a): _thread(state, a.slot) for a in world.threads}),
        "streams": _map({str(a): [_item(i) for i in state.items(a)] for a in world.streams}),
        "memory": _map(
            {
                f"{rank}.{name}": _value(state.memory[slot])
                for (rank, name), slot in world.slots.items()
            }
        ),
    }


def _thread(state: State, slot: int) -> dict[str, Any]:
    thread = state.threads[slot]
    failure = "" if thread.failure is None else f"{thread.failure.family}: {thread.failure.text}"
    return {"pc": _number(thread.pc), "status": thread.status, "failure": failure}


def _item(item: Item) -> str:
    return item.work.kernel or item.work.kind


def _value(value: Any) -> Any:
    if value is None:
        return "null"
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    return str(Value(value)) if not isinstance(value, frozenset) else sorted(map(str, value))


def _number(value: int) -> dict[str, str]:
    return {"#bigint": str(value)}


def _map(pairs: Mapping[str, Any]) -> dict[str, Any]:
    return {"#map": [[key, value] for key, value in pairs.items()]}
