"""Which SMs the CTAs of a kernel take: a pure function of the machine and who sits where.

Rules:
- A seat is an SM number; a kernel's seats are `bytes`, one per CTA in start order.
- All CTAs of a cluster sit on different SMs of one group, on whole TPCs where it has some (G27,
  G31b).  A CTA without a cluster goes to a TPC that is free, if there is one in any group (G31c).
- Which group a cluster goes to is the setting of the switch `packing`:
  *rule*   what was measured (G31, G31a, G31c, G31d): clusters go by what their own kernel has
           taken, single CTAs to the groups in turn, those with the fewest TPCs in use first, then
           those with the fewest full ones, whoever uses them;
  *best*   the fullest group that has room, so that large holes stay whole;
  *worst*  the emptiest group, so that what is left is spread evenly: the pigeonhole bound of G28.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heapreplace, nsmallest

from eplb_model.machine import SMS_PER_TPC, Footprint, Limits, Machine

Occupants = tuple[tuple[Footprint, bytes], ...]  # in order of arrival: footprint, seats still held


@lru_cache(maxsize=200_000)
def seats(
    machine: Machine,
    occupants: Occupants,
    footprint: Footprint,
    cluster: int,
    ctas: int,
    gang: bool,
    below: int | None = None,
) -> bytes:
    """The seats that `ctas` more CTAs get at once, in clusters of `cluster`.

    A gang gets all or none; a regular kernel as many whole clusters as there is room for.  With
    `below`, only groups of fewer SMs are theirs: the others are kept for a kernel that waits.
    """
    slots = _slots(machine, occupants, footprint)
    room = _Room(machine, slots, cluster, gang, below)
    least = ctas if gang else 0
    if room.slots < least:
        return b""
    taken = bytearray()
    while len(taken) < ctas:
        places = room.take()
        if places is None:
            break
        taken.extend(places)
    return bytes(taken) if len(taken) >= least else b""


@lru_cache(maxsize=10_000)
def holders_slots(machine: Machine, occupants: Occupants, footprint: Footprint) -> int:
    """CTAs of one footprint that would find a slot, clusters left aside."""
    return sum(_slots(machine, occupants, footprint))


@lru_cache(maxsize=10_000)
def most_in_one_group(machine: Machine, occupants: Occupants, footprint: Footprint) -> int:
    """The largest number of SMs of one group that have a slot left."""
    slots = _slots(machine, occupants, footprint)
    return max(sum(1 for sm in group if slots[sm]) for group in _groups(machine.groups))


def free_per_group(machine: Machine, occupants: Occupants) -> tuple[int, ...]:
    """SMs of each group that hold nothing."""
    held = {sm for _, sms in occupants for sm in sms}
    return tuple(sum(1 for sm in group if sm not in held) for group in _groups(machine.groups))


@lru_cache(maxsize=256)
def _groups(sizes: tuple[int, ...]) -> tuple[range, ...]:
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))


def _slots(machine: Machine, occupants: Occupants, footprint: Footprint) -> list[int]:
    """For each SM, how many more CTAs of this footprint it takes."""
    residents: dict[int, list[Footprint]] = {}
    for each, held in occupants:
        for sm in held:
            residents.setdefault(sm, []).append(each)
    slots = [machine.limits.ctas_per_sm(footprint)] * machine.sms
    for sm, there in residents.items():
        slots[sm] = _slots_beside(machine.limits, tuple(there), footprint)
    return slots


@lru_cache(maxsize=4096)
def _slots_beside(limits: Limits, residents: tuple[Footprint, ...], footprint: Footprint) -> int:
    count = 0
    while limits.fits(residents, footprint):
        residents = (*residents, footprint)
        count += 1
    return count


class _Room:
    """The free slots of a device while one kernel is being seated; used and thrown away."""

    def __init__(
        self, machine: Machine, slots: list[int], cluster: int, gang: bool, below: int | None
    ) -> None:
        self._order = _ORDERS[machine.switches.packing](gang, cluster)
        groups = [
            _Group(slots, sms, cluster)
            for sms in _groups(machine.groups)
            if len(sms) >= cluster and (below is None or len(sms) < below)
        ]
        self.slots = sum(group.free for group in groups)  # clusters left aside
        # A heap: whose turn it is depends on nothing but the group itself, and no two are equal.
        self._roomy = [(self._order(group), group) for group in groups if group.has_room()]
        heapify(self._roomy)

    def take(self) -> list[int] | None:
        """Seats for one more cluster, or None if no group has room."""
        if not self._roomy:
            return None
        _, group = self._roomy[0]
        places = group.take()
        if group.has_room():
            heapreplace(self._roomy, (self._order(group), group))
        else:
            heappop(self._roomy)
        return places


class _Group:
    """One group of SMs: which of them the next cluster takes."""

    def __init__(self, slots: list[int], sms: range, cluster: int) -> None:
        self.sms = sms
        self.taken = 0
        self._second = 0  # of these, second SMs of a TPC
        self._cluster = cluster
        self._slots = slots
        self._own = dict.fromkeys(sms, 0)
        self._open = {sm for sm in sms if slots[sm]}
        self._paired = sum(1 for sm in self._open if self._mate(sm) in self._open)
        closed = [sm for sm in sms if sm not in self._open]
        self._full = sum(1 for sm in closed if self._mate(sm) not in self._open) // SMS_PER_TPC
        self._touched = len(closed) - self._full  # TPCs, by whomever
        self.free = sum(slots[sm] for sm in sms)

    def has_room(self) -> bool:
        return len(self._open) >= self._cluster

    @property
    def phase(self) -> int:
        """0 as long as some TPC is free as a whole, then 1."""
        return 0 if self._paired else 1

    @property
    def taken_in_phase(self) -> int:
        """TPCs in use, by whomever; then those of which both SMs are."""
        if self.phase:
            return self._full + self._second
        return self._touched + self.taken - self._second

    def take(self) -> list[int]:
        # Clusters break no pair that they need not; single CTAs take one SM of each TPC first.
        chosen = nsmallest(self._cluster, self._open, self._rank)
        for sm in chosen:
            self._second += self._mate(sm) not in self._open
            self._slots[sm] -= 1
            self._own[sm] += 1
        for sm in chosen:
            if not self._slots[sm]:
                self._open.remove(sm)
                self._paired -= 2 * (self._mate(sm) in self._open)
        self.taken += len(chosen)
        self.free -= len(chosen)
        return chosen

    def _rank(self, sm: int) -> tuple[int, bool, int]:
        return self._own[sm], self._mate(sm) not in self._open, sm

    def _mate(self, sm: int) -> int:
        """The other SM of the TPC."""
        return self.sms.start + ((sm - self.sms.start) ^ 1)


_Key = Callable[["_Group"], tuple[int, ...]]


def _measured(gang: bool, cluster: int) -> _Key:
    if cluster == 1:
        return lambda group: (
            len(group.sms) > SMS_PER_TPC,
            group.phase,
            group.taken_in_phase,
            group.sms.start,
        )
    if gang:
        return lambda group: (group.taken, group.sms.start)
    return lambda group: (len(group.sms) > SMS_PER_TPC, group.taken, group.sms.start)


def _fullest(gang: bool, cluster: int) -> _Key:
    return lambda group: (group.free, group.sms.start)


def _emptiest(gang: bool, cluster: int) -> _Key:
    return lambda group: (-group.free, group.sms.start)


_ORDERS: Mapping[str, Callable[[bool, int], _Key]] = {
    "rule": _measured,
    "best": _fullest,
    "worst": _emptiest,
}
