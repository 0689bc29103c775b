"""Which SMs the CTAs of a kernel take: a pure function of the machine and who sits where.

Rules:
- A seat is an SM number; a kernel's seats are `bytes`, one per CTA in start order.
- All CTAs of a cluster sit on different SMs of one group; clusters of 2 take a TPC (G27, G31b).
- Which group a cluster goes to is the setting of the switch `packing`:
  *rule*   what was measured on an empty device (G31 for gangs, G31a for regular kernels), applied
           to whatever is free; on a partly taken device that is an assumption (U2);
  *best*   the fullest group that has room, so that large holes stay whole;
  *worst*  the emptiest group, so that what is left is spread evenly: the pigeonhole bound of G28.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heappush

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
) -> bytes:
    """The seats that `ctas` more CTAs get at once, in clusters of `cluster`.

    A gang gets all or none; a regular kernel as many whole clusters as there is room for.
    """
    room = _Room(machine, _slots(machine, occupants, footprint), cluster, gang)
    taken = bytearray()
    while len(taken) < ctas:
        places = room.take()
        if places is None:
            return b"" if gang else bytes(taken)
        taken.extend(places)
    return bytes(taken)


def holders_slots(machine: Machine, occupants: Occupants, footprint: Footprint) -> int:
    """CTAs of one footprint that would find a slot, clusters left aside."""
    return sum(_slots(machine, occupants, footprint))


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

    def __init__(self, machine: Machine, slots: list[int], cluster: int, gang: bool) -> None:
        self._order = _ORDERS[machine.switches.packing](gang, cluster)
        self._groups = [
            _Group(slots, sms, cluster) for sms in _groups(machine.groups) if len(sms) >= cluster
        ]

    def take(self) -> list[int] | None:
        """Seats for one more cluster, or None if no group has room."""
        roomy = [group for group in self._groups if group.has_room()]
        return min(roomy, key=self._order).take() if roomy else None


class _Group:
    """One group of SMs: which unit (SM, TPC, or any SMs) the next cluster takes."""

    def __init__(self, slots: list[int], sms: range, cluster: int) -> None:
        self.sms = sms
        self.taken = 0
        self._cluster = cluster
        self._slots = slots
        self.free = sum(slots[sm] for sm in sms)
        width = SMS_PER_TPC if cluster == SMS_PER_TPC else 1
        units = [tuple(sms[at : at + width]) for at in range(0, len(sms) - width + 1, width)]
        self._units: list[tuple[int, int, tuple[int, ...]]] = [
            (0, unit[0], unit) for unit in units if all(slots[sm] for sm in unit)
        ]
        heapify(self._units)

    def has_room(self) -> bool:
        return len(self._units) >= (1 if self._cluster <= SMS_PER_TPC else self._cluster)

    def take(self) -> list[int]:
        units = self._choose()
        seats_taken = [sm for _, _, unit in units for sm in unit]
        for sm in seats_taken:
            self._slots[sm] -= 1
        self.taken += len(seats_taken)
        self.free -= len(seats_taken)
        for own, first, unit in units:
            if all(self._slots[sm] for sm in unit):
                heappush(self._units, (own + 1, first, unit))
        return seats_taken

    def _choose(self) -> list[tuple[int, int, tuple[int, ...]]]:
        if self._cluster <= SMS_PER_TPC:
            return [heappop(self._units)]
        free = {unit[0] for _, _, unit in self._units}
        # Whole TPCs first: clusters of 4 break no pair (G31b).
        ranked = sorted(
            self._units, key=lambda unit: (unit[0], self._mate(unit[1]) not in free, unit[1])
        )
        chosen = ranked[: self._cluster]
        self._units = ranked[self._cluster :]
        heapify(self._units)
        return chosen

    def _mate(self, sm: int) -> int:
        """The other SM of the TPC."""
        return self.sms.start + ((sm - self.sms.start) ^ 1)


_Key = Callable[["_Group"], tuple[int, ...]]


def _measured(gang: bool, cluster: int) -> _Key:
    if gang and cluster == 1:
        return lambda group: (group.taken, -group.free, group.sms.start)
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
