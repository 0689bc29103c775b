"""What a GPU is: SMs in groups, limits per SM, hardware queues, launch-queue depth, switches.

Rules: everything is a value; a rule that nobody measured is a `Switches` field, never a constant
in the code that uses it.  Sources are rule ids (G*) of specs/sources.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Setting = str
SMS_PER_TPC = 2


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one CTA takes of its SM; shared memory is the dynamic part, in bytes."""

    name: str
    threads: int
    registers_per_thread: int
    shared_bytes: int

    @property
    def warps(self) -> int:
        return -(-self.threads // 32)

    @property
    def registers(self) -> int:
        """Registers of a CTA: units of 256 per warp, of 8 per thread (G22)."""
        per_thread = -(-self.registers_per_thread // 8) * 8
        return self.warps * (-(-per_thread * 32 // 256) * 256)


FOOTPRINTS: Mapping[str, Footprint] = {
    footprint.name: footprint
    for footprint in (
        Footprint("nccl", threads=640, registers_per_thread=96, shared_bytes=103_808),  # G23
        Footprint("exclusive", threads=128, registers_per_thread=32, shared_bytes=204_800),  # G23
        Footprint("small", threads=1024, registers_per_thread=32, shared_bytes=0),  # G23
        Footprint("deepep", threads=1024, registers_per_thread=64, shared_bytes=0),  # G23, dispatch
        Footprint("spinner", threads=640, registers_per_thread=32, shared_bytes=122_880),  # G11
        Footprint("gang120k", threads=1024, registers_per_thread=32, shared_bytes=122_880),  # G11
        Footprint("tiny", threads=32, registers_per_thread=16, shared_bytes=0),  # G17, G25
        Footprint("tiny1k", threads=32, registers_per_thread=16, shared_bytes=1_024),  # G25
        Footprint("tiny20k", threads=32, registers_per_thread=16, shared_bytes=20_480),  # G25
        Footprint("tiny40k", threads=32, registers_per_thread=16, shared_bytes=40_960),  # G25
        Footprint("one_warp_200k", threads=32, registers_per_thread=16, shared_bytes=204_800),
    )
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one SM (G21, compute capability 9.0)."""

    warps: int = 64
    ctas: int = 32
    registers: int = 65_536
    shared_bytes: int = 233_472
    shared_per_cta: int = 232_448
    reserved_per_cta: int = 1_024
    # What the split between L1 and shared memory can be set to, in KiB (G25).
    carveouts_kib: tuple[int, ...] = (0, 8, 16, 32, 64, 100, 132, 164, 196, 228)

    def ctas_per_sm(self, footprint: Footprint) -> int:
        """CTAs of one footprint that an empty SM holds (occupancy); 0 if none fits."""
        if footprint.shared_bytes > self.shared_per_cta:
            return 0
        return min(
            self.ctas,
            self.warps // footprint.warps,
            self.registers // max(1, footprint.registers),
            self.shared_bytes // (footprint.shared_bytes + self.reserved_per_cta),
        )

    def carveout(self, footprint: Footprint) -> int:
        """Shared memory in bytes that an SM offers once a CTA of this footprint set its split.

        Inferred from G25: the smallest split at which as many such CTAs fit as threads and
        registers allow.  It stays until the SM is empty.
        """
        wanted = min(
            self.ctas,
            self.warps // footprint.warps,
            self.registers // max(1, footprint.registers),
        ) * (footprint.shared_bytes + self.reserved_per_cta)
        for kib in self.carveouts_kib:
            if kib * 1024 >= wanted:
                return kib * 1024
        return self.shared_bytes

    def fits(self, residents: tuple[Footprint, ...], footprint: Footprint) -> bool:
        """Whether one more CTA fits on an SM that holds `residents`, earliest first (G21-G26)."""
        everyone = (*residents, footprint)
        shared = sum(each.shared_bytes + self.reserved_per_cta for each in everyone)
        return (
            len(everyone) <= self.ctas
            and sum(each.warps for each in everyone) <= self.warps
            and sum(each.registers for each in everyone) <= self.registers
            and footprint.shared_bytes <= self.shared_per_cta
            and shared <= (self.carveout(residents[0]) if residents else self.shared_bytes)
        )


@dataclass(frozen=True, slots=True)
class Switches:
    """Rules with more than one plausible reading.  The settings are in `SETTINGS`."""

    packing: Setting = "rule"
    queue_map: Setting = "counted"
    distributor: Setting = "arrival"
    priority: Setting = "strict"
    slip_in: Setting = "off"
    empty_waiter_blocks: Setting = "on"
    clustered_waiter_blocks_gangs: Setting = "off"
    cta_order: Setting = "index"
    first_use: Setting = "blocks"


SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "packing": ("rule", "best", "worst"),
    "queue_map": ("counted", "round_robin", "apart", "together"),
    "distributor": ("arrival", "any"),
    "priority": ("strict", "hint"),
    "slip_in": ("off", "on"),
    "empty_waiter_blocks": ("on", "off"),
    "clustered_waiter_blocks_gangs": ("off", "on"),
    "cta_order": ("index", "opposed"),
    "first_use": ("blocks", "returns"),
}
# A setting that stands for several: the verdict has to be the same under each, else it is `may`.
EVERY: Mapping[str, tuple[Setting, ...]] = {"packing:both": ("best", "worst")}

Placement = Literal["measured", "unknown"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of GPU, one per rank.

    `groups` are the SMs per group (GPC) in index order; SMs are numbered group by group and two
    neighbours form a TPC.  `placement` says whether G31 and G31a were measured on it.
    """

    name: str
    groups: tuple[int, ...]
    placement: Placement
    about: str
    limits: Limits = field(default_factory=Limits)
    connections: int = 8
    queue_depth: int = 1022  # the running kernel and 1021 behind it (G3)
    switches: Switches = field(default_factory=Switches)

    @property
    def sms(self) -> int:
        return sum(self.groups)

    def with_switch(self, name: str, setting: Setting) -> Machine:
        """The same machine with one switch set; `ValueError` names what is known."""
        known = {each.name for each in fields(Switches)}
        if name not in known:
            raise ValueError(f"unknown switch {name!r}; known: {', '.join(sorted(known))}")
        if setting not in allowed_settings(name):
            raise ValueError(
                f"switch {name}: unknown setting {setting!r}; known: "
                f"{', '.join(allowed_settings(name))}"
            )
        if name == "packing" and setting == "rule" and self.placement == "unknown":
            raise ValueError(f"switch packing: nobody measured the placement rule of {self.name}")
        changed: dict[str, Any] = {name: setting}
        return replace(self, switches=replace(self.switches, **changed))

    def settings(self) -> tuple[tuple[str, tuple[Setting, ...]], ...]:
        """The switches that stand for several settings here, with those settings."""
        found = []
        for each in fields(Switches):
            setting = getattr(self.switches, each.name)
            if setting == "all":
                usable = SETTINGS[each.name]
                if each.name == "packing" and self.placement == "unknown":
                    usable = ("best", "worst")
                found.append((each.name, usable))
            elif f"{each.name}:{setting}" in EVERY:
                found.append((each.name, EVERY[f"{each.name}:{setting}"]))
        return tuple(found)


def allowed_settings(switch: str) -> tuple[Setting, ...]:
    """What `--switch name=...` takes: each setting, the names for several, and `all`."""
    several = tuple(key.partition(":")[2] for key in EVERY if key.startswith(f"{switch}:"))
    return (*SETTINGS[switch], *several, "all")


_UNMEASURED = Switches(packing="both")

MACHINES: Mapping[str, Machine] = {
    machine.name: machine
    for machine in (
        Machine(
            "h200",
            (8, 16, 16, 16, 16, 16, 18, 18, 2, 2, 2, 2),
            "measured",
            "NVIDIA H200, 132 SMs; layout G29a and placement G31, G31a measured on one board",
        ),
        Machine(
            "h20",
            (10, 10, 10, 10, 10, 10, 10, 8),
            "unknown",
            "NVIDIA H20, 78 SMs; eight groups assumed, placement not measured",
            switches=_UNMEASURED,
        ),
        Machine(
            "b200",
            (18, 18, 18, 18, 18, 18, 20, 20),
            "unknown",
            "NVIDIA B200, 148 SMs; eight groups assumed, placement not measured; limits of 9.0",
            switches=_UNMEASURED,
        ),
        Machine(
            "tiny",
            (4,),
            "measured",
            "four SMs in one group, a launch queue of 4: for tests and for reading",
            queue_depth=4,
        ),
    )
}
