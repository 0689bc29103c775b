"""The SMs of a device and the distributor that gives them to kernels.

Rules (specs/semantics.md#distributor; G10-G17a):
- Kernels are served in order of arrival up to and including the first gang that waits, the more
  urgent of these first; then the rest in the same way.
- A gang takes all its seats at one instant or none, and holds none while it waits.  It bars all
  that arrived later.
- A regular kernel takes whole clusters as there is room.  Without clusters it bars, while it waits,
  whoever is served after it; with clusters it bars nobody.

Which SMs are taken is measured, not reasoned: `eplb_model.placement` is the table.
"""

from __future__ import annotations

from eplb_model.machine import Footprint, Machine
from eplb_model.placement import holders_slots, most_in_one_group, seats
from eplb_model.world import Kernel
from eplb_real.emulated.kernels import Running


class Distributor:
    """Kernels that have arrived, in order of arrival, and who of them sits where."""

    def __init__(self, machine: Machine) -> None:
        self.arrived: list[Running] = []
        self._machine = machine

    def on(self, stream: str) -> Running | None:
        """The kernel of a stream that has arrived."""
        return next((each for each in self.arrived if each.stream == stream), None)

    def arrive(self, running: Running) -> None:
        self.arrived.append(running)

    def leave(self, running: Running) -> None:
        self.arrived.remove(running)

    def place(self) -> list[Running]:
        """Give seats to whoever may have them; return who got some."""
        if self._machine.switches.slip_in == "off":
            return self._serve(one_cluster=False)
        grown: list[Running] = []
        while served := self._serve(one_cluster=True):
            grown += [each for each in served if each not in grown]
        return grown

    def can_ever_fit(self, kernel: Kernel) -> bool:
        """Whether an empty device holds the gang, or one cluster of a regular kernel (G19)."""
        wanted = kernel.ctas if kernel.gang else kernel.cluster
        found = seats(self._machine, (), kernel.footprint, kernel.cluster, wanted, kernel.gang)
        return len(found) == wanted

    def why_it_waits(self, running: Running) -> str:
        """Why a kernel has CTAs without seats, in words; and who holds what."""
        before: list[Running] = []
        for each in self._in_order_of_service():
            if each is running:
                break
            before.append(each)
        barring = next((each for each in before if self._bars(each, running)), None)
        if barring is not None:
            what = "gang" if barring.kernel.gang else "partly placed kernel"
            return f"stands behind the waiting {what} {barring.kernel.name} on {barring.stream}"
        holders = ", ".join(
            f"{each.kernel.name} holds {len(each.held())}"
            for each in self.arrived
            if each is not running and each.held()
        )
        return "; ".join(filter(None, (self._need(running), holders)))

    # --- the order of service ----------------------------------------------------------------

    def _in_order_of_service(self) -> list[Running]:
        waiting = [each for each in self.arrived if each.waits]
        ordered: list[Running] = []
        while waiting:
            window = []
            for each in waiting:
                window.append(each)
                if each.kernel.gang:
                    break
            chosen = min(window, key=self._urgency)  # the first of equals, by arrival
            waiting.remove(chosen)
            ordered.append(chosen)
        return ordered

    def _urgency(self, running: Running) -> int:
        return running.priority if self._machine.switches.priority == "strict" else 0

    def _bars(self, waiting: Running, other: Running) -> bool:
        """Whether a kernel that waits keeps another one, served after it, from being placed."""
        if self.arrived.index(waiting) > self.arrived.index(other):
            return False
        bars_gangs = self._machine.switches.clustered_waiter_blocks_gangs == "on"
        in_clusters = waiting.kernel.cluster > 1
        return waiting.kernel.gang or (in_clusters and bars_gangs and other.kernel.gang)

    def _kept_for(self, waiting: list[Running], other: Running) -> int | None:
        """The size of groups from which on they are kept from a kernel for those that wait."""
        empty_too = self._machine.switches.empty_waiter_blocks == "on"
        clusters = [
            each.kernel.cluster
            for each in waiting
            if not (each.kernel.gang or other.kernel.gang) and (empty_too or each.ctas)
        ]
        return min(clusters) if clusters else None

    # --- seats -------------------------------------------------------------------------------

    def _serve(self, one_cluster: bool) -> list[Running]:
        """Go through the waiting kernels once; in turn, only who got nothing may bar others."""
        stuck: list[Running] = []
        grown: list[Running] = []
        for each in self._in_order_of_service():
            barred = any(self._bars(other, each) for other in stuck)
            got = not barred and self._seat(each, one_cluster, self._kept_for(stuck, each))
            if got:
                grown.append(each)
            if each.waits and not (got and one_cluster):
                stuck.append(each)
        return grown

    def _seat(self, running: Running, one_cluster: bool, below: int | None) -> bool:
        kernel = running.kernel
        wanted = kernel.ctas - len(running.ctas)
        if one_cluster and not kernel.gang:
            wanted = min(wanted, kernel.cluster)
        found = seats(
            self._machine,
            self._occupants(),
            kernel.footprint,
            kernel.cluster,
            wanted,
            kernel.gang,
            below,
        )
        running.start(found)
        return bool(found)

    def _occupants(self) -> tuple[tuple[Footprint, bytes], ...]:
        return tuple(
            (each.kernel.footprint, held) for each in self.arrived if (held := each.held())
        )

    def _need(self, running: Running) -> str:
        kernel = running.kernel
        if kernel.gang:
            free = holders_slots(self._machine, self._occupants(), kernel.footprint)
            return f"needs {kernel.ctas} slots at once, {free} are free"
        if kernel.cluster > 1:
            most = most_in_one_group(self._machine, self._occupants(), kernel.footprint)
            return f"needs {kernel.cluster} free SMs of one GPC at once, the most in one is {most}"
        return f"needs a free slot for CTA {len(running.ctas)} of {kernel.ctas}"
