"""A kernel that has reached the distributor: its CTAs, when they may end, whom they meet.

Rules (specs/semantics.md#run-kernel; G10, G11, G32, N2, N3, N8, E9-E11):
- CTAs start in order and hold their seat (an SM) until they end.
- CTAs whose channels serve the same rounds are interchangeable: the one that started first ends.
- A kernel that ends `together` ends all its started CTAs in one step; one that meets channel by
  channel all of the class that can end.
"""

from __future__ import annotations

from collections.abc import Callable

from eplb_real.emulated.meetings import Meetings
from eplb_real.emulated.queues import Launched


class Cta:
    """A CTA that has started; `seat` is its SM."""

    __slots__ = ("ended", "seat")

    def __init__(self, seat: int) -> None:
        self.seat = seat
        self.ended = False


class Running:
    """One launch between its arrival and its end."""

    def __init__(
        self,
        stream: str,
        priority: int,
        work: Launched,
        rank: int,
        meetings: Meetings,
        ranks: int,
        backwards: bool,
        flag_is_up: Callable[[str], bool],
    ) -> None:
        self.stream = stream
        self.priority = priority
        self.kernel = work.kernel
        self.number = work.number
        self.ctas: list[Cta] = []  # in start order
        self.classes = work.kernel.classes(backwards)  # of positions in start order
        self._rank = rank
        self._ranks = ranks
        self._backwards = backwards
        self._meetings = meetings
        self._flag_is_up = flag_is_up

    # --- seats -------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether CTAs are left that have no seat yet."""
        return len(self.ctas) < self.kernel.ctas

    @property
    def is_over(self) -> bool:
        return not self.waits and all(cta.ended for cta in self.ctas)

    def held(self) -> bytes:
        """The seats of the CTAs that have started and not ended."""
        return bytes(cta.seat for cta in self.ctas if not cta.ended)

    def start(self, seats: bytes) -> None:
        self.ctas += [Cta(seat) for seat in seats]

    # --- ends --------------------------------------------------------------------------------

    @property
    def leaves_as_one(self) -> bool:
        """Whether all CTAs leave in one step."""
        return self.kernel.ends == "together" and not self._by_channel

    def choices(self) -> tuple[int | None, ...]:
        """Which class the next CTA that ends may be of, where there is more than one."""
        if len(self.classes) == 1 or self.leaves_as_one:
            return (None,)
        return tuple(c for c in range(len(self.classes)) if self._next(c) is not None)

    def why_not(self, choice: int | None) -> str | None:
        """What keeps a CTA of a class from ending now."""
        return (
            self._why_not_seated(choice) or self._why_it_spins() or self._why_it_has_not_met(choice)
        )

    def end(self, choice: int | None) -> None:
        """A CTA ends, or all those that end with it."""
        if self.leaves_as_one:
            for cta in self.ctas:
                cta.ended = True
            return
        self._end_next(choice)
        if self.kernel.ends == "together":
            while self._next(choice) is not None and self.why_not(choice) is None:
                self._end_next(choice)

    def _end_next(self, choice: int | None) -> None:
        position = self._next(choice)
        assert position is not None
        self.ctas[position].ended = True

    def _next(self, choice: int | None) -> int | None:
        """The position of the CTA of a class that ends next, resident or not; None if all have."""
        for position in self.classes[choice or 0]:
            if position >= len(self.ctas) or not self.ctas[position].ended:
                return position
        return None

    def _why_not_seated(self, choice: int | None) -> str | None:
        resident = len(self.ctas)
        if resident < self._needed():
            return f"has {resident} of its {self.kernel.ctas} CTAs resident"
        if self.leaves_as_one:
            return None if self.held() else "has no CTA to end"
        position = self._next(choice)
        if position is None or position >= resident:
            return f"has no seat for CTA {position}"
        return None

    def _needed(self) -> int:
        """How many CTAs have to have started before any may end: those that meet for the others."""
        grain = self.kernel.meets.grain if self.kernel.meets else None
        whole = grain == "grid" or (grain == "first" and self._backwards)
        return self.kernel.ctas if whole else 1

    def _why_it_spins(self) -> str | None:
        until = self.kernel.until
        if until is None or self._flag_is_up(until):
            return None
        return f"spins until the host sets {until}"

    # --- meetings ----------------------------------------------------------------------------

    @property
    def _by_channel(self) -> bool:
        return self.kernel.meets is not None and self.kernel.meets.grain == "channel"

    def _why_it_has_not_met(self, choice: int | None) -> str | None:
        peers = self.missing(choice)
        if not peers or self.kernel.meets is None:
            return None
        what = {
            "first": "CTA 0 of",
            "grid": "the whole grid of",
            "channel": f"channel {self._channel(choice)} of",
            "end": "the end of",
        }[self.kernel.meets.grain]
        there = ", ".join(f"rank {peer}" for peer in peers)
        return f"waits for {what} {self.kernel.meets.kernel} on {there}"

    def missing(self, choice: int | None) -> tuple[int, ...]:
        """The peers that are not there yet for the CTA that would end next."""
        meets = self.kernel.meets
        if meets is None:
            return ()
        channel = self._channel(choice) if self._by_channel else 0
        sends, receives = meets.sends, meets.receives
        if self._by_channel and self.kernel.rounds:
            served = self.kernel.rounds[channel]
            sends = tuple(offset for offset in sends if offset in served)
            receives = tuple(offset for offset in receives if offset in served)
        peers = {(self._rank - offset) % self._ranks for offset in receives}
        if not meets.eager:  # a send may end without its receiver (N16)
            peers |= {(self._rank + offset) % self._ranks for offset in sends}
        return tuple(
            peer
            for peer in sorted(peers)
            if not self._meetings.is_there(peer, meets, self.number, channel)
        )

    def _channel(self, choice: int | None) -> int:
        position = self._next(choice) or 0
        return self.kernel.ctas - 1 - position if self._backwards else position
