"""A state of ours in the words that the exported model prints: where both are compared.

Rule: threads by their place in the program, streams by the numbers of the work that they hold.
"""

from __future__ import annotations

from eplb_model.export.promela import Layout
from eplb_model.ops.copies import Transfer
from eplb_model.ops.events import Record
from eplb_model.ops.kernel import RunKernel
from eplb_model.ops.marks import Await
from eplb_model.ops.one_sided import RemoteRead
from eplb_model.state import Item, State


def in_words(layout: Layout, state: State) -> str:
    """`3 0 | 1 2 |`: the places of all threads, then the work of each stream, head first."""
    streams = (state.items(stream) for stream in state.world.streams)
    held = (" ".join(["|", *(str(_number(layout, item)) for item in items)]) for items in streams)
    return " ".join([*(str(thread.pc) for thread in state.threads), *held])


def _number(layout: Layout, item: Item) -> int:
    return layout.works[(item.by, *_key(item))].number


def _key(item: Item) -> tuple[object, ...]:
    work = item.work
    match work:
        case RunKernel(runs=kernel, reads=reads, writes=writes, moves=moves):
            return "kernel", kernel, "", reads, writes, moves
        case Transfer(direction=direction, reads=reads, writes=writes, moves=moves):
            return "transfer", None, direction, reads, writes, moves
        case Record(event=event):
            return "record", None, event, (), (), ()
        case Await(event=event):
            return "await", None, event, (), (), ()
        case RemoteRead(peer=peer, source=source, target=target, moves=moves):
            return "read", None, "", (), (target,), moves, peer, source
        case _:
            raise AssertionError(f"no words for {work}")
