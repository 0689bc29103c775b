"""What the end of work of a stream touches.

Rules (specs/semantics.md#settling):
- It ends the accesses of the work, and minds the buffers that others could use in conflict.  Work
  of one stream is in order, and never in conflict with itself.
- On a rank where kernels compete for SMs every step of a stream uses them.
- What is handed over to a peer's kernel touches what moves there, if that kernel has to be there by
  then; else who has arrived would make a difference.
- How many channels leave in one step depends on the peers, if they leave together.  It makes a
  difference where kernels compete for SMs: what peers have there is then looked at.
- On a `quiet` rank no kernel can arrive any more and at most one waits, so nobody competes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from eplb_model.explore.cells import EVERYTHING, LOWERED, Cells, Touch, together
from eplb_model.explore.texts import Texts, moves_of
from eplb_model.ops.meetings import partners
from eplb_model.ops.moves import Move, PeerVariable
from eplb_model.ops.one_sided import Read, RemoteRead
from eplb_model.ops.tensors import Buffer
from eplb_model.outcome import Actor
from eplb_model.world import HostOperation, Kernel, StreamOperation, World

BLOCKS = "(blocks)"  # all tensors of a rank count as one buffer: the text does not say who has what


class Work(NamedTuple):
    """What matters of work, on a stream or still in the text of a call."""

    kernel: str | None
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    moves: tuple[Move, ...]
    source: tuple[int, Buffer] | None  # of a one-sided read


def work_of(said: HostOperation | StreamOperation) -> Work:
    """What matters of work."""
    source = (said.peer, said.source) if isinstance(said, (Read, RemoteRead)) else None
    reads, writes = getattr(said, "reads", ()), getattr(said, "writes", ())
    return Work(getattr(said, "kernel", None), reads, writes, moves_of(said), source)


class Endings:
    """The ends of work of one world, and of parts of it."""

    def __init__(self, texts: Texts, cells: Cells) -> None:
        self._world: World = texts.world
        self._texts = texts
        self._cells = cells
        self._known: dict[tuple[int, Work, bool], Touch] = {}

    def of(self, stream: Actor, work: Work, *, quiet: bool = False) -> Touch:
        """The end, or a part of the end, of work of a stream."""
        key = (stream.slot, work, quiet)
        if key not in self._known:
            competes = not quiet and not self._world.roomy[stream.rank]
            self._known[key] = together(self._parts(stream, work, competes))
        return self._known[key]

    def _parts(self, stream: Actor, work: Work, competes: bool) -> Iterator[Touch]:
        rank = stream.rank
        yield self.access(rank, stream.name, work.reads, work.writes)
        yield from (self.moved(rank, each) for each in work.moves)
        if work.source is not None and work.source[0] in range(len(self._world.ranks)):
            yield self.access(work.source[0], str(stream), (work.source[1],), ())
        if rank in self._texts.asked:
            yield self._cells.adds((rank, "(asked)"))
        if rank in self._texts.held_up:  # a call sees what is still in the streams
            yield self._cells.adds((rank, "(room)"))
        if competes:
            yield self.sms(rank)
        if (kernel := self._world.kernels.get(work.kernel or "")) is not None:
            yield from self._of_kernel(rank, kernel, competes)

    def _of_kernel(self, rank: int, kernel: Kernel, competes: bool) -> Iterator[Touch]:
        if kernel.until is not None:
            yield self._cells.looks((rank, kernel.until, LOWERED))
        by_channel = kernel.meets is not None and kernel.meets.grain == "channel"
        if by_channel and kernel.ends == "together" and competes:
            yield from (self._arrived(peer) for peer in range(len(self._world.ranks)))
        for taker, peer, each in self._texts.takers.get(kernel.name, ()):
            if isinstance(each.source, PeerVariable) and each.source.rank == rank != peer:
                sure = self._waits_for(rank, kernel, peer, taker)
                yield self.moved(peer, each) if sure else EVERYTHING

    def _arrived(self, rank: int) -> Touch:
        """Which CTAs a rank has; where everything fits, each call may bring some."""
        return EVERYTHING if self._world.roomy[rank] else self._cells.looks((rank, "(SMs)"))

    def _waits_for(self, rank: int, kernel: Kernel, peer: int, other: str) -> bool:
        """Whether a kernel can't end before a peer has started another one."""
        if kernel.meets is None or kernel.meets.eager or kernel.meets.kernel != other:
            return False
        channels = range(kernel.ctas if kernel.meets.grain == "channel" else 1)
        return any(peer in partners(self._world, rank, kernel, each) for each in channels)

    def moved(self, rank: int, each: Move) -> Touch:
        """One assignment that work of a stream of a rank makes."""
        match each.source:
            case PeerVariable(peer, name):
                looks = self._cells.looks((peer, name))
            case source:
                looks = self._cells.looks(*((rank, name) for name in source.variables))
        return together((looks, self._cells.written(rank, each.target)))

    def access(
        self, rank: int, user: str, reads: Iterable[Buffer], writes: Iterable[Buffer]
    ) -> Touch:
        """The end of an access; accesses of one stream never meet each other."""
        used = (self._used(rank, self._buffer(rank, each), user) for each in (*reads, *writes))
        mine = ((rank, "(buffer)", self._buffer(rank, each), user) for each in writes)
        return together((*used, self._cells.adds(*mine)))

    def _used(self, rank: int, buffer: str, user: str) -> Touch:
        """It looks at what others write; each of them adds to a place of his own."""
        others = (each for each in self._users(rank) if each != user)
        return self._cells.looks(*((rank, "(buffer)", buffer, each) for each in others))

    def _users(self, rank: int) -> Iterator[str]:
        """Who may use buffers of a rank: its threads and streams, and engines of any rank."""
        world = self._world
        yield from (f"host {each.name}" for each in world.threads if each.rank == rank)
        yield from (each.name for each in world.streams if each.rank == rank)
        yield from map(str, world.engines)

    def _buffer(self, rank: int, buffer: Buffer) -> str:
        name = buffer if isinstance(buffer, str) else None
        return BLOCKS if name is None or self._texts.is_tensor(rank, name) else name

    def sms(self, rank: int) -> Touch:
        """The use of SMs for which kernels may compete."""
        return self._cells.writes((rank, "(SMs)"))
