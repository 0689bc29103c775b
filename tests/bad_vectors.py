"""One good vector, and what is said when one thing in it is changed: path, value, complaint."""

from copy import deepcopy
from typing import Any

GOOD: dict[str, Any] = {
    "schema": "eplb-vector/1",
    "name": "x",
    "about": "two kernels and an event",
    "parameters": {
        "ranks": 2,
        "ctas": 4,
        "mode": {"default": "slow", "choices": ["slow", "fast"]},
        "cap": {"default": None, "max": 8},
    },
    "derived": {"cluster": {"fn": "nccl_cluster", "ctas": "$ctas", "size": 4}},
    "kernels": {
        "moe": {"launch": "cooperative", "ctas": 4, "footprint": "tiny"},
        "exchange": {
            "launch": "regular",
            "ctas": "$ctas",
            "cluster": "$cluster",
            "footprint": "nccl",
            "meets": {"grain": "channel", "peers": "all"},
        },
    },
    "streams": ["compute", "side"],
    "roles": {"first": [0], "rest": "others"},
    "groups": {"ep": "all"},
    "initial": {"*": {"n": 0}},
    "threads": {"worker": {"started": False}},
    "programs": {
        "*.main": [
            ["launch", "moe", "compute"],
            {"repeat": "$ctas", "do": [["record_event", "e", "compute"]]},
            ["stream_wait_event", "side", "e"],
            ["assert", [{"var": "n"}, "==", 0]],
        ],
        "*.worker": [["launch", "exchange", "side"]],
    },
    "expect": {"verdict": "ok"},
    "cases": [{"set": {"ctas": 8}, "expect": {"verdict": "ok"}}],
}

DELETE = object()


def mutated(path: str, value: object) -> dict[str, Any]:
    """The good document with one thing changed, added or (with DELETE) taken away."""
    document = deepcopy(GOOD)
    steps: list[Any] = [int(step) if step.isdigit() else step for step in path.split("/")]
    *way, last = steps
    place: Any = document  # whatever is on the way
    for step in way:
        place = place[step]
    if value is DELETE:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return document


SECTIONS = [
    ("steps", 1, "/steps: unknown key 'steps'; known: schema, name, about"),
    ("schema", "eplb-vector/2", "/schema: got 'eplb-vector/2'; expected one of eplb-vector/1"),
    ("name", DELETE, "/: has no 'name'; required: schema, name, about"),
    ("name", "a b", "/name: got 'a b'; expected a name"),
    ("programs", DELETE, "/: expected 'programs' or 'protocol', here or in a base"),
    (
        "protocol",
        "async_eplb",
        "/: expected 'programs' or 'protocol', here or in a base, and not both",
    ),
    ("source", "x", "/source: got 'x'; expected a list"),
    ("parameters/ranks", 0, "/parameters/ranks: got 0; expected an integer from 1 to 1024"),
    ("parameters/ranks", 1025, "/parameters/ranks: got 1025; expected an integer from 1 to 1024"),
    ("parameters/ranks", "2", "/parameters/ranks: got '2'; expected a number of ranks"),
    ("parameters/ranks", [2], "/parameters/ranks: got a list of 1; expected null, true"),
    ("parameters/mode/default", "x", "/parameters/mode/default: unknown value of mode 'x'; known:"),
    ("parameters/mode/least", 1, "/parameters/mode/least: unknown key 'least'; known: default"),
    ("parameters/machine", "h300", "/parameters/machine: unknown machine 'h300'; known: h200, h20"),
    ("parameters/machine", 200, "/parameters/machine: got 200; expected the name of a machine"),
    ("parameters/a b", 1, "/parameters/a b: got 'a b'; expected a name"),
    ("base", "nowhere", "/base: 'nowhere': unknown vector"),
    ("base", "x.json", "/base: 'x.json' is built on this; expected no circle"),
    ("switches", {"slip": "on"}, "/switches/slip: unknown switch 'slip'; known: packing"),
    (
        "switches",
        {"slip_in": "x"},
        "/switches/slip_in: switch slip_in: unknown setting 'x'; known:",
    ),
    ("switches", {"slip_in": True}, "/switches/slip_in: got true; expected a string"),
    ("groups/world", [0], "/groups/world: group world is always there"),
    ("groups/ep", [0, 2], "/groups/ep/1: got 2; expected a rank of 0..1"),
    ("groups/ep", [0, 0], "/groups/ep: a rank appears twice"),
    ("groups/ep", [], "/groups/ep: got a list of 0; expected at least one rank"),
    ("roles/first", [5], "/roles/first/0: got 5; expected a rank of 0..1"),
    ("roles/first", [True], "/roles/first/0: got true; expected an integer"),
    ("roles/first", "some", "/roles/first: got 'some'; expected a list of ranks, 'all'"),
    ("initial/last", {}, "/initial/last: unknown role 'last'; known: *, first, rest"),
    ("initial/first", {"n": 1}, "/initial/first/n: rank 0 has two entries for n: *.n and first.n"),
    ("initial/*/e", 1, "/initial/*/e: 'e' is an event; expected a variable or a flag"),
    ("initial/*/n", {}, "/initial/*/n: got an object; expected null, true, false"),
    ("threads/helper", {"started": True}, "/threads/helper: unknown thread 'helper'; known: main"),
    ("threads/worker", {}, "/threads/worker: has no 'started'"),
    ("streams/0", "main", "a thread and a stream 'main'; expected different names"),
    ("streams/2", "side", "/streams/2: stream 'side' twice"),
    ("streams/2", "current", "/streams/2: current stands for what a thread has set; expected"),
    ("streams/0", {"name": "a", "device": -1}, "/streams/0/device: got -1; expected"),
    (
        "streams/0",
        {"name": "compute", "kind": "odd"},
        "/streams/0/kind: got 'odd'; expected one of",
    ),
    ("streams", {"second": []}, "/streams/second: unknown role 'second'; known: *, first, rest"),
    ("streams", {"*": [], "first": []}, "/streams/first: rank 0 has two lists of streams"),
    ("expect/verdict", "fine", "/expect/verdict: got 'fine'; expected one of ok, deadlock"),
    ("expect/state", 1, "/expect/state: unknown key 'state'; known: verdict"),
    (
        "expect/states",
        {"plain": -1},
        "/expect/states/plain: got -1; expected an integer of at least",
    ),
    ("cases/0/set/cta", 1, "/cases/0/set/cta: unknown parameter 'cta'; known: machine, ranks"),
    ("cases/0/set/ctas", "8", "/cases/0/set/ctas: got '8'; expected an integer"),
    ("cases/0/expect", DELETE, "/cases/0: has no 'expect'; required: set, expect"),
]

KERNELS = [
    ("kernels/moe/lunch", 1, "/kernels/moe/lunch: unknown key 'lunch'; known: launch, ctas"),
    ("kernels/moe/ctas", DELETE, "/kernels/moe: has no 'ctas'; required: launch, ctas, footprint"),
    ("kernels/moe/ctas", 0, "/kernels/moe/ctas: got 0; expected an integer of 1..65536"),
    ("kernels/moe/ctas", True, "/kernels/moe/ctas: got true; expected an integer"),
    ("kernels/moe/ctas", 4.0, "/kernels/moe/ctas: got 4.0; expected an integer"),
    (
        "kernels/moe/cluster",
        3,
        "/kernels/moe/cluster: got 3; expected a size that divides the grid",
    ),
    ("kernels/exchange/cluster", "$mode", "/kernels/exchange/cluster: $mode is 'slow'; expected"),
    (
        "kernels/moe/footprint",
        "huge",
        "/kernels/moe/footprint: unknown footprint 'huge'; known: nccl",
    ),
    (
        "kernels/moe/footprint",
        {"threads": 0},
        "/kernels/moe/footprint: has no 'registers_per_thread'",
    ),
    (
        "kernels/moe/rounds",
        [],
        "/kernels/moe/rounds: rounds of a kernel that does not meet channel",
    ),
    (
        "kernels/exchange/rounds",
        [[1]],
        "/kernels/exchange/rounds: got a list of 1; expected one list",
    ),
    ("kernels/exchange/meets/peers", [2], "/meets/peers/0: got 2; expected an integer of 0..1"),
    ("kernels/exchange/meets/peers", [1, 1], "/meets/peers: an offset appears twice"),
    (
        "kernels/exchange/meets/peers",
        DELETE,
        "/kernels/exchange/meets: names nobody; expected peers",
    ),
    ("kernels/exchange/meets/sends", [1], "/kernels/exchange/meets/sends: sends beside peers"),
    ("kernels/exchange/meets/kernel", "mo", "/meets/kernel: unknown kernel 'mo'; known: moe, exch"),
    ("kernels/exchange/meets/grain", "cta", "/meets/grain: got 'cta'; expected one of first, grid"),
    ("kernels/by", {}, "/kernels/by: unknown parameter an object"),
    (
        "kernels/moe/ctas",
        "$cta",
        "/kernels/moe/ctas: unknown parameter 'cta'; known: machine, ranks",
    ),
    ("kernels/moe/ctas", {"fn": "f"}, "/kernels/moe/ctas/fn: unknown function 'f'; known: "),
    (
        "derived/cluster/size",
        9,
        "/derived/cluster: nccl_cluster: size=9; expected an integer of 0..8",
    ),
    (
        "derived/cluster/side",
        9,
        "/derived/cluster/side: nccl_cluster has no argument 'side'; it takes: ctas, size",
    ),
    (
        "derived/cluster/size",
        DELETE,
        "/derived/cluster: nccl_cluster lacks argument 'size'; it takes: ctas, size",
    ),
    ("derived/ctas", 1, "/derived/ctas: 'ctas' is a parameter too; expected another name"),
    ("derived/early", "$late", "/derived/early: unknown parameter 'late'; known: machine, ranks"),
    (
        "kernels/moe/ctas",
        {"by": "mode", "fast": 1},
        "/kernels/moe/ctas: parameter mode is 'slow'; known: fast",
    ),
    (
        "kernels/moe/ctas",
        {"by": "mode", "slow": 0},
        "/kernels/moe/ctas/slow: got 0; expected an integer of 1..65536",
    ),
    (
        "kernels/moe/ctas",
        {"fn": "exchange_rounds", "ranks": "$ranks", "peers": 3},
        "/kernels/moe/ctas: exchange_rounds: peers=3; expected 'all', 'next' or",
    ),
]

PROGRAMS = [
    ("main", [], "/programs/main: got 'main'; expected role.thread, like *.main"),
    ("last.main", [], "/programs/last.main: unknown role 'last'; known: *, first, rest"),
    (
        "first.main",
        [],
        "/programs/first.main: rank 0 has two entries for main: *.main and first.main",
    ),
    (
        "*.main/0",
        ["lauch"],
        "/programs/*.main/0: unknown operation 'lauch'; known: access, acquire",
    ),
    ("*.main/0", ["branch", None, 1], "/programs/*.main/0: unknown operation 'branch'; known:"),
    ("*.main/0", ["$mode"], "/programs/*.main/0: unknown operation '$mode'; known:"),
    ("*.main/0", [], "/programs/*.main/0: got an empty list; expected an operation"),
    (
        "*.main/0",
        "launch",
        "/programs/*.main/0: got 'launch'; expected an operation [\"kind\", ...]",
    ),
    ("*.main/0", {"loop": 1}, "/programs/*.main/0: got an object; expected an operation"),
    ("*.main/0", {"repeat": 2}, "/programs/*.main/0: has no 'do'; required: repeat, do"),
    (
        "*.main/0",
        {"forever": [], "do": []},
        "/programs/*.main/0/do: unknown key 'do'; known: forever",
    ),
    (
        "*.main/0",
        ["launch", "moe"],
        '/programs/*.main/0: launch lacks stream; it takes ["launch", kernel, stream, {reads,',
    ),
    ("*.main/0", ["malloc", 1], '/programs/*.main/0: malloc has 1 arguments; it takes ["malloc"]'),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"gill": True}],
        "/programs/*.main/0/3/gill: unknown key 'gill'; known: kernel, stream, reads, writes, gil",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"stream": "side"}],
        "/programs/*.main/0/3/stream: launch has stream twice",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"gil": 1}],
        "/programs/*.main/0/3/gil: got 1; expected true or false",
    ),
    ("*.main/0", ["await_resident", "moe", 1], "await_resident has 2 arguments; it takes"),
    (
        "*.main/0",
        {"forever": [["await_resident", "moe"]]},
        "/programs/*.main/0/forever/0: await_resident inside forever; expected",
    ),
    ("*.main/0/1", "mo", "/programs/*.main/0/1: unknown kernel 'mo'; known: moe, exchange"),
    ("*.main/0/2", "sid", "/programs/*.main/0/2: unknown stream 'sid' on rank 0; known: compute"),
    ("*.main/0/2", "$mode", "/programs/*.main/0/2: unknown stream 'slow' (from $mode) on rank 0;"),
    ("*.main/0/2", 3, "/programs/*.main/0/2: got 3; expected a name"),
    (
        "*.main/2/2",
        "f",
        "/programs/*.main/2/2: no thread of rank 0 records event 'f'; recorded there: e",
    ),
    (
        "*.main/3/1/0/var",
        "m",
        "/programs/*.main/3/1/0/var: no thread of rank 0 puts variable 'm'; put there: n",
    ),
    ("*.main/3/1/1", "is", "/programs/*.main/3/1/1: got 'is'; expected one of ==, !=, <"),
    ("*.main/3/1", [1, "=="], "/programs/*.main/3/1: got a list of 2; expected a condition"),
    ("*.main/0", ["set", "e"], "'e' is used as an event and as a flag on rank 0"),
    ("*.main/0", ["barrier", "eq"], "/programs/*.main/0/1: unknown group 'eq'; known: world, ep"),
    ("*.main/0", ["start", "main2"], "/0/1: unknown thread 'main2' on rank 0; known: main, worker"),
    (
        "*.main/1/repeat",
        100_001,
        "/programs/*.main/1/repeat: got 100001; expected an integer of 0..100000",
    ),
    (
        "*.main/1/do",
        [{"repeat": 50_000, "do": [["malloc"]]}],
        "/programs/*.main: 200003 operations; expected at most 100000",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"moves": [["x"]]}],
        "/0/3/moves/0: got a list of 1; expected a move",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"moves": [["x", [1]]]}],
        "/0/3/moves/0/1: got a list of 1; expected a variable, one of a peer",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"moves": [["x", "m"]]}],
        "no thread of rank 0 puts variable 'm'; put there: n, x",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"moves": [["x", "1.m"]]}],
        "no thread of rank 1 puts variable 'm'; put there: n, x",
    ),
    (
        "*.main/0",
        ["launch", "moe", "compute", {"moves": [["x", "7.n"]]}],
        "/0/3/moves/0/1: '7.n' names rank 7; expected a rank of 0..1",
    ),
    ("*.main/0", ["read", 1, "a", "b", "main"], "rank 0 has a thread and an engine 'main'"),
    ("*.main/0", ["read", 1, "a", "b", "side"], "rank 0 has a stream and an engine 'side'"),
]
