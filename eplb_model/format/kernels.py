"""Kernels as JSON: grid, cluster, footprint, whom they meet.

Rules:
- `peers` "all" are all other ranks, "next" is a ring: to the next rank, from the one before.
- Channels get their rounds from `rounds`, else from the number of CTAs; `"rounds": []` says that
  every channel meets its like on every peer.
- A kernel lets go of its SMs CTA by CTA if it meets nobody or meets channel by channel, and all
  at once if it is a gang or meets as a whole; `ends` overrules that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, cast, get_args

from eplb_model.format.template import Node
from eplb_model.formulas import channels_of_grid, exchange_rounds
from eplb_model.machine import FOOTPRINTS, Footprint
from eplb_model.world import Grain, Kernel, Meets

LARGEST_GRID = 65_536
LARGEST_CLUSTER = 16
GRAINS: tuple[Grain, ...] = get_args(Grain)
LAUNCHES = ("regular", "cooperative")
ENDS = ("each", "together")
KERNEL_KEYS = (
    "launch",
    "ctas",
    "cluster",
    "footprint",
    "meets",
    "ends",
    "until",
    "module",
    "rounds",
)
KERNEL_REQUIRED = ("launch", "ctas", "footprint")
MEETS_KEYS = ("grain", "peers", "sends", "receives", "kernel", "eager")
FOOTPRINT_KEYS = ("name", "threads", "registers_per_thread", "shared_bytes")

Offsets = tuple[int, ...]
Ends = Literal["each", "together"]
Launch = Literal["regular", "cooperative"]


def read_kernels(section: Node, ranks: int) -> dict[str, Kernel]:
    """The kernels of a vector by name."""
    nodes = section.named()
    return {name: _kernel(name, each, ranks, nodes) for name, each in nodes.items()}


def _kernel(name: str, node: Node, ranks: int, known: Collection[str]) -> Kernel:
    parts = node.fields(KERNEL_KEYS, KERNEL_REQUIRED)
    launch = cast(Launch, parts["launch"].choice(LAUNCHES))
    ctas = parts["ctas"].integer(1, LARGEST_GRID)
    meets = _meets(parts["meets"], name, ranks, known) if "meets" in parts else None
    rounds = _rounds(parts["rounds"], ctas, ranks, meets) if "rounds" in parts else None
    return Kernel(
        name,
        launch,
        ctas,
        _cluster(parts["cluster"], ctas) if "cluster" in parts else 1,
        _footprint(parts["footprint"]),
        meets,
        cast(Ends, parts["ends"].choice(ENDS)) if "ends" in parts else default_ends(launch, meets),
        parts["until"].name() if "until" in parts else None,
        parts["module"].name() if "module" in parts else None,
        default_rounds(ctas, ranks, meets) if rounds is None else rounds,
    )


def default_ends(launch: str, meets: Meets | None) -> Ends:
    """How a kernel lets go of its SMs unless it says otherwise."""
    by_itself = meets is None or meets.grain == "channel"
    return "each" if launch == "regular" and by_itself else "together"


def default_rounds(ctas: int, ranks: int, meets: Meets | None) -> tuple[Offsets, ...]:
    """The rounds that each channel serves, guessed from the number of CTAs (N8)."""
    if meets is None or meets.grain != "channel":
        return ()
    offsets = sorted({*meets.sends, *meets.receives})
    return channels_of_grid(ctas, ranks, offsets) if offsets and ranks > 1 else ()


def _cluster(node: Node, ctas: int) -> int:
    cluster = node.integer(1, LARGEST_CLUSTER)
    if ctas % cluster:
        raise node.unexpected(f"a size that divides the grid of {ctas} CTAs")
    return cluster


def _footprint(node: Node) -> Footprint:
    if isinstance(node.value, dict):
        parts = node.fields(FOOTPRINT_KEYS, FOOTPRINT_KEYS[1:])
        return Footprint(
            parts["name"].text() if "name" in parts else "custom",
            parts["threads"].integer(1, 1024),
            parts["registers_per_thread"].integer(0, 255),
            parts["shared_bytes"].integer(0, 1 << 20),
        )
    if not isinstance(node.value, str):
        raise node.unexpected("the name of a footprint, or an object")
    if node.value not in FOOTPRINTS:
        raise node.unknown("footprint", FOOTPRINTS)
    return FOOTPRINTS[node.value]


def _meets(node: Node, kernel: str, ranks: int, known: Collection[str]) -> Meets:
    parts = node.fields(MEETS_KEYS, ("grain",))
    sends, receives = _directions(node, parts, ranks)
    other = parts.get("kernel")
    if other is not None and other.text() not in known:
        raise other.unknown("kernel", known)
    return Meets(
        cast(Grain, parts["grain"].choice(GRAINS)),
        sends,
        receives,
        kernel if other is None else other.text(),
        parts["eager"].boolean() if "eager" in parts else False,
    )


def _directions(node: Node, parts: Mapping[str, Node], ranks: int) -> tuple[Offsets, Offsets]:
    one_way = [key for key in ("sends", "receives") if key in parts]
    if "peers" in parts and one_way:
        raise parts[one_way[0]].error(f"{one_way[0]} beside peers; expected one of the two")
    if "peers" in parts:
        both = _offsets(parts["peers"], ranks)
        return both, both
    if not one_way:
        raise node.error("names nobody; expected peers, or sends and receives")
    return (
        _offsets(parts["sends"], ranks) if "sends" in parts else (),
        _offsets(parts["receives"], ranks) if "receives" in parts else (),
    )


def _offsets(node: Node, ranks: int) -> Offsets:
    if node.value in ("all", "next"):
        return exchange_rounds(ranks, node.value) if ranks > 1 else ()
    offsets = [
        each.integer(0, ranks - 1) for each in node.elements("'all', 'next' or a list of offsets")
    ]
    if len(set(offsets)) < len(offsets):
        raise node.error("an offset appears twice; expected each once")
    return tuple(offsets)


def _rounds(node: Node, ctas: int, ranks: int, meets: Meets | None) -> tuple[Offsets, ...]:
    if meets is None or meets.grain != "channel":
        raise node.error("rounds of a kernel that does not meet channel by channel")
    rounds = tuple(_offsets(each, ranks) for each in node.elements("a list with one per CTA"))
    if rounds and len(rounds) != ctas:
        raise node.unexpected(f"one list of offsets per CTA, so {ctas}, or an empty list")
    return rounds


# --- back to JSON ------------------------------------------------------------------------------


def written_kernel(kernel: Kernel, ranks: int) -> dict[str, object]:
    """A kernel as a vector has it: what the reader would assume is left out."""
    written: dict[str, object] = {"launch": kernel.launch, "ctas": kernel.ctas}
    if kernel.cluster != 1:
        written["cluster"] = kernel.cluster
    written["footprint"] = _written_footprint(kernel.footprint)
    if kernel.meets is not None:
        written["meets"] = _written_meets(kernel.meets, kernel.name)
    if kernel.ends != default_ends(kernel.launch, kernel.meets):
        written["ends"] = kernel.ends
    if kernel.until is not None:
        written["until"] = kernel.until
    if kernel.module is not None:
        written["module"] = kernel.module
    if kernel.rounds != default_rounds(kernel.ctas, ranks, kernel.meets):
        written["rounds"] = [list(each) for each in kernel.rounds]
    return written


def _written_footprint(footprint: Footprint) -> object:
    if FOOTPRINTS.get(footprint.name) == footprint:
        return footprint.name
    return {key: getattr(footprint, key) for key in FOOTPRINT_KEYS}


def _written_meets(meets: Meets, kernel: str) -> dict[str, object]:
    written: dict[str, object] = {"grain": meets.grain}
    if meets.sends == meets.receives:
        written["peers"] = list(meets.sends)
    else:
        written["sends"], written["receives"] = list(meets.sends), list(meets.receives)
    if meets.kernel != kernel:
        written["kernel"] = meets.kernel
    if meets.eager:
        written["eager"] = True
    return written
