"""Vectors that leave the number of ranks open, as Hypothesis draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from eplb_model.all_ranks.family import Family
from eplb_model.vector import load

Document = dict[str, Any]

GRAINS = ("grid", "first", "channel", "end")
STREAMS = ("s0", "s1", "s2")


def family(document: Document, folder: Path, **settings: Any) -> Family:
    """The family of a document, by way of a file."""
    path = folder / f"{document['name']}.json"
    path.write_text(json.dumps(document))
    return Family(str(path), load(path), settings, {})


def document(
    kernels: Mapping[str, Any], programs: Mapping[str, Any], name: str = "drawn", **more: Any
) -> Document:
    """A vector of any number of ranks on the tiny machine."""
    return {
        "schema": "eplb-vector/1",
        "name": name,
        "about": "drawn",
        "parameters": {"machine": "tiny", "ranks": {"default": 2, "min": 1}},
        "kernels": kernels,
        "streams": list(STREAMS),
        "programs": programs,
        **more,
    }


@st.composite
def families(draw: st.DrawFn) -> Document:
    """A document whose hypotheses mostly hold: one text, or rank 0 with one of its own."""
    kernels = {f"k{n}": _kernel(draw) for n in range(draw(st.integers(1, 3)))}
    stream = {name: draw(st.sampled_from(STREAMS)) for name in kernels}
    own = draw(st.sampled_from((False, False, True)))
    if not own:
        return document(kernels, {f"*.t{n}": _text(draw, stream) for n in range(_threads(draw))})
    programs = {
        f"{role}.t{n}": _text(draw, stream)
        for role in ("first", "rest")
        for n in range(_threads(draw))
    }
    return document(kernels, programs, roles={"first": [0], "rest": "others"})


@st.composite
def rounds(draw: st.DrawFn) -> Document:
    """A document in the shape of `coop_vs_nccl`: in each round all wait for all launches."""
    names = [f"k{n}" for n in range(draw(st.integers(2, 3)))]
    kernels = {name: _kernel(draw) for name in names}
    roles = draw(st.sampled_from((("*",), ("first", "rest"))))
    times = draw(st.integers(1, 2))
    programs = {}
    for role in roles:
        order = draw(st.permutations(names))
        held = draw(st.sampled_from((False, True)))
        for at, name in enumerate(order):
            first = [["await_resident", order[at - 1]]] if held and at else []
            last = [["await_complete", each] for each in draw(st.permutations(names))]
            launch = ["launch", name, STREAMS[names.index(name)]]
            programs[f"{role}.t{at}"] = [*first, launch, *last] * times
    apart: Document = {"roles": {"first": [0], "rest": "others"}} if len(roles) > 1 else {}
    return document(kernels, programs, **apart)


@st.composite
def contended(draw: st.DrawFn) -> Document:
    """As `rounds`, with kernels of channels that start as one, and threads that wait for less."""
    names = ["k0", "k1"]
    kernels = {name: _gang_or_channels(draw) for name in names}
    times = draw(st.sampled_from((1, 1, 1, 2)))
    if draw(st.sampled_from((False, False, False, True))):  # a send and a receive, say
        kernels["k1"]["meets"]["kernel"] = "k0"
    roles = draw(st.sampled_from((("*",), ("first", "rest"))))
    programs = {}
    for role in roles:
        order = draw(st.permutations(names))
        held = draw(st.booleans())
        for at, name in enumerate(order):
            first = [["await_resident", order[at - 1]]] if held and at else []
            awaited = draw(st.permutations(names))
            if draw(st.sampled_from((False, False, True))):
                awaited = awaited[: draw(st.integers(0, len(names)))]
            body = [
                *first,
                ["launch", name, STREAMS[names.index(name)]],
                *(["await_complete", each] for each in awaited),
            ]
            programs[f"{role}.t{at}"] = body * times
    apart: Document = {"roles": {"first": [0], "rest": "others"}} if len(roles) > 1 else {}
    return document(kernels, programs, **apart)


def _gang_or_channels(draw: st.DrawFn) -> Document:
    if draw(st.sampled_from((False, False, True))):
        ctas, grain = draw(st.integers(1, 4)), draw(st.sampled_from(("first", "grid")))
        shape = {"launch": "cooperative", "ctas": ctas}
    else:
        ctas, grain = draw(st.sampled_from((2, 2, 3))), "channel"
        cluster = draw(st.sampled_from((ctas, ctas, 1)))
        shape = {"launch": "regular", "ctas": ctas, "cluster": cluster, "ends": "each"}
    return {**shape, "footprint": "exclusive", "meets": {"peers": "all", "grain": grain}}


def _threads(draw: st.DrawFn) -> int:
    return draw(st.integers(1, 2))


def _kernel(draw: st.DrawFn) -> Document:
    cluster = draw(st.sampled_from((1, 1, 2)))
    ctas = cluster * draw(st.integers(1, 3 if cluster == 1 else 2))
    made: Document = {
        "launch": draw(st.sampled_from(("regular", "cooperative"))),
        "ctas": ctas,
        "cluster": cluster,
        "footprint": "exclusive",
    }
    grain = draw(st.sampled_from((None, *GRAINS[:3], *GRAINS[:3], *GRAINS)))
    if grain is not None:
        made["meets"] = {"peers": "all", "grain": grain}
        if grain == "channel":
            made["ends"] = "each"
            if draw(st.booleans()):
                made["rounds"] = []
    return made


def _text(draw: st.DrawFn, stream: Mapping[str, str]) -> list[Any]:
    text: list[Any] = []
    launched: dict[str, int] = {}
    for _ in range(draw(st.integers(1, 3))):
        what = draw(st.sampled_from(("launch",) * 5 + ("barrier", "await", "sync", "gate", "ask")))
        kernel = draw(st.sampled_from(sorted(stream)))
        match what:
            case "launch":
                text.append(["launch", kernel, stream[kernel]])
                launched[kernel] = launched.get(kernel, 0) + 1
            case "await" if launched:
                kind = draw(st.sampled_from(("await_resident", "await_complete")))
                text.append([kind, draw(st.sampled_from(sorted(launched)))])
            case "sync":
                text.append(["stream_synchronize", stream[kernel]])
            case "barrier":
                text.append(["barrier", "world"])
            case "gate":
                text += [
                    ["try_acquire", "lock", "mine"],
                    {
                        "if": [{"var": "mine"}, "==", True],
                        "then": [["launch", kernel, stream[kernel]]],
                    },
                ]
            case "ask":
                text += [
                    ["put", "count", 1],
                    ["try_acquire", "lock", "mine"],
                    {"if": [{"var": "mine"}, "==", True], "then": [["put", "count", 0]]},
                    ["all_reduce", "world", {"var": "count"}, "all", {"reduction": "min"}],
                    {"if": [{"var": "all"}, "==", 0], "then": [["launch", kernel, stream[kernel]]]},
                ]
            case _:
                pass
    return text
