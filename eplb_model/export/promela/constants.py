"""The numbers of a Promela model: what the law is written over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from eplb_model.export.promela.groups import most_kept
from eplb_model.export.promela.kernels import is_kernel
from eplb_model.export.promela.layout import Layout, any_of
from eplb_model.export.promela.meetings import most_open, pairs, posters
from eplb_model.machine import SMS_PER_TPC
from eplb_model.world import Kernel

FIXED = """\
#define NULL 32000                             /* a variable without a value */
#define TEXT 30000                             /* the first number that stands for a text */
#define is_number(x) ((x) < TEXT)
#define MISUSE 1
#define VIOLATION 2
#define FAULT 3
"""

STREAMS = """\
#define NEVER 0                                /* a mark: the event was never recorded */
#define DONE 255                               /* a mark: it has been passed */
#define head(s) stream[s].work[0]              /* 0 if the stream is empty */
"""

COLLECTIVES = """\
#define POSTED 1
#define ANSWERED 2
#define BARRIER 1
#define SUM 2
#define MIN 3
#define MAX 4
"""

CROWDED = """\
#define NOBODY 255
#define SERVED 1
#define WAITS 2
#define FREE 0
#define TAKEN 1
#define THIS_CLUSTER 2
#define mate(m) (m ^ 1)                        /* the other SM of the TPC */
"""


def _each(names: Sequence[str], first: int = 0) -> Iterator[str]:
    for number, name in enumerate(names, first):
        yield f"#define {name} {number}"


def _table(argument: str, values: Sequence[object]) -> str:
    """A macro's body that looks a constant up by number."""
    if len(set(values)) == 1:
        return str(values[0])
    for modulus in range(2, len(values) + 1):  # shorter, where streams take turns
        if list(values) == [number % modulus for number in range(len(values))]:
            return f"({argument} % {modulus})" if modulus < len(values) else argument
    text = str(values[-1])
    for number, value in reversed(list(enumerate(values[:-1]))):
        text = f"({argument} == {number} -> {value} : {text})"
    return text


def constants(layout: Layout) -> Iterator[str]:
    """All names of numbers."""
    world = layout.world
    ranks = range(len(world.ranks))
    yield FIXED
    yield from _each([layout.thread(a) for a in world.threads])
    yield f"#define THREADS {len(world.threads)}"
    threads = [0, *accumulate(len(world.threads_of(r)) for r in ranks)]
    yield f"#define first_thread(r) {_table('(r)', threads)}\n"
    for number, text in enumerate(layout.texts):
        yield f"/* TEXT + {number} is {text!r} */"
    if world.streams:
        yield from _streams(layout)
    if most_kept(layout):
        yield f"#define KEEPS {most_kept(layout)}\n"
    kinds = {op.kind for program in world.programs for op in program.code}
    if kinds & {"all_reduce", "barrier"}:
        yield COLLECTIVES + f"#define POSTERS {posters(world)}"
        sizes = [len(members) for members in world.groups.values()]
        yield f"#define members(g) {_table('g', sizes)}\n"
    if kinds & {"isend", "irecv"}:
        for number, (group, sender, receiver) in enumerate(pairs(world)):
            yield f"/* pair[{number}]: from rank {sender} to rank {receiver} in group {group} */"
        yield f"#define OPEN {most_open(layout)}\n"


def _streams(layout: Layout) -> Iterator[str]:
    world = layout.world
    yield STREAMS
    yield from _each([layout.stream(a.slot) for a in world.streams])
    yield f"#define STREAMS {len(world.streams)}"
    streams = [0, *accumulate(len(world.streams_of(r)) for r in range(len(world.ranks)))]
    yield f"#define first_stream(r) {_table('(r)', streams)}"
    yield f"#define first_mark(r) {_table('(r)', layout.first_mark)}"
    yield f"#define PENDING {max(len(world.streams_of(r)) for r in range(len(world.ranks)))}"
    yield f"#define CAPACITY {layout.capacity}"
    yield f"#define QUEUE_DEPTH {world.machine.queue_depth}\n"
    if layout.shares_queues:
        yield f"#define queue_of(s) {_table('(s)', layout.queues)}"
        yield f"#define waits_that_hold(s) {_table('(s)', world.waits_that_hold)}\n"
    works = list(layout.works.values())
    yield from _each([work.name for work in works], 1)
    waits = any_of(f"(w) == {work.name}" for work in works if work.kind == "await")
    yield f"#define is_wait(w) ({waits})"
    for kernel in layout.kernels:
        launches = any_of(f"(w) == {work.name}" for work in works if work.kernel == kernel)
        yield f"#define {is_kernel(kernel)}(w) ({launches})"
    yield f"#define is_kernel(w) ({any_of(f'{is_kernel(k)}(w)' for k in layout.kernels)})"
    yield f"#define CLASSES {_most_classes(layout)}"
    yield f"#define ctas(w) {_by_kernel(layout, lambda kernel: kernel.ctas)}\n"
    if not all(world.roomy):
        yield from _crowded(layout)


def _most_classes(layout: Layout) -> int:
    found = (len(layout.world.kernels[name].classes(backwards=False)) for name in layout.kernels)
    return max(found, default=1)


def _by_kernel(layout: Layout, of: Callable[[Kernel], int]) -> str:
    """A macro's body that looks a property of a kernel up by the work that launches it."""
    kernels = layout.world.kernels
    values = [of(kernels[name]) for name in layout.kernels] or [0]
    if len(set(values)) == 1:
        return str(values[0])
    text = str(values[-1])
    for name, value in reversed(list(zip(layout.kernels[:-1], values[:-1], strict=True))):
        text = f"({is_kernel(name)}(w) -> {value} : {text})"
    return text


def _crowded(layout: Layout) -> Iterator[str]:
    world = layout.world
    machine = world.machine
    switches = machine.switches
    strict = switches.priority == "strict"
    yield f"#define roomy(r) {_table('(r)', [int(room) for room in world.roomy])}"
    yield CROWDED + f"#define GROUPS {len(machine.groups)}"
    yield f"#define SMS {machine.sms}"
    yield f"#define SEATS {max(world.kernels[name].ctas for name in layout.kernels)}"
    yield f"#define gang(w) {_by_kernel(layout, lambda kernel: int(kernel.gang))}"
    yield f"#define cluster(w) {_by_kernel(layout, lambda kernel: kernel.cluster)}"
    urgencies = [spec.priority * strict for spec in world.stream_specs]
    yield f"#define urgency(s) {_table('(s)', urgencies)}  /* lower goes first */"
    yield f"#define group_start(g) {_table('(g)', [0, *accumulate(machine.groups)])}"
    blocks = int(switches.empty_waiter_blocks == "on")
    yield f"#define EMPTY_WAITER_BLOCKS {blocks}"
    clustered = int(switches.clustered_waiter_blocks_gangs == "on")
    yield f"#define CLUSTERED_WAITER_BLOCKS_GANGS {clustered}"
    yield "/* Which group the next cluster goes to: the one with the least rank (packing). */"
    yield f"{_rank(layout)}\n"


def _rank(layout: Layout) -> str:
    """The order of groups under a setting of `packing`.  specs/semantics.md#placement"""
    large = f"(group_start(g + 1) - group_start(g) > {SMS_PER_TPC})"
    phase = "(pair_ -> in_use[g] + taken[g] - second[g] : 500 + both[g] + second[g])"
    match layout.world.machine.switches.packing:
        case "best":
            return "#define group_rank(s, g) open_"
        case "worst":
            return "#define group_rank(s, g) (1000 - open_)"
        case _:
            return (
                "#define group_rank(s, g) \\\n"
                f"        (cluster(head(s)) == 1 -> 1000 * {large} + {phase} : \\\n"
                f"        (gang(head(s)) -> taken[g] : 1000 * {large} + taken[g]))"
            )
