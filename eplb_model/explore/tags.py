"""Which variables the work of streams moves, and whether anybody else can see it.

Rule: conservative.  What a peer may read, or may move in this rank's place, is nobody's own.
"""

from __future__ import annotations

from collections import defaultdict

from eplb_model.ops.expression import Variable
from eplb_model.ops.moves import Move, PeerVariable
from eplb_model.ops.point_to_point import Irecv
from eplb_model.outcome import Actor
from eplb_model.scenario import names_in
from eplb_model.world import HostOperation, StreamOperation, World

OF_A_PEER = "a peer"


class Tags:
    """Who uses the variables of a world, told from its programs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._users: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        self._moved: set[tuple[int, str]] = set()
        for thread in world.threads:
            for op in world.programs[thread.slot].code:
                self._by_the_host(thread, op)
                self._by_work(thread, op)

    def of_streams(self, rank: int, name: str) -> bool:
        """Whether work of some stream reads or writes a variable of a rank."""
        return (rank, name) in self._moved

    def private(self, stream: Actor, work: StreamOperation) -> bool:
        """Whether nobody but this stream uses what the end of its work moves."""
        if work.kernel is not None and self._world.takers_from(work.kernel):
            return False  # its end may move what a peer's kernel takes
        moves: tuple[Move, ...] = getattr(work, "moves", ())
        return all(
            self._users[place] == {str(stream)}
            for each in moves
            for place in _places(stream.rank, each)
        )

    def _by_the_host(self, thread: Actor, op: HostOperation) -> None:
        for role, field, name in names_in(op):
            if role.name == "variable" and field != "moves":
                self._users[thread.rank, name].add(str(thread))
        if isinstance(op, Irecv):
            self._users[thread.rank, op.into].add(OF_A_PEER)

    def _by_work(self, thread: Actor, op: HostOperation) -> None:
        moves: tuple[Move, ...] = getattr(op, "moves", ())
        if not moves:
            return
        stream: str = getattr(op, "stream")  # noqa: B009 (what moves names its stream)
        takes = any(isinstance(each.source, PeerVariable) for each in moves)
        for place in (place for each in moves for place in _places(thread.rank, each)):
            self._moved.add(place)
            self._users[place].update(map(str, self._world.streams_named(thread.rank, stream)))
            if takes:
                self._users[place].add(OF_A_PEER)


def _places(rank: int, each: Move) -> list[tuple[int, str]]:
    """The variables that a move writes and reads, each with its rank."""
    match each.source:
        case PeerVariable(peer, name):
            return [(rank, each.target), (peer, name)]
        case Variable(name):
            return [(rank, each.target), (rank, name)]
        case _:
            return [(rank, each.target)]
