"""The state of a Promela model, and the scratch variables of its law."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from eplb_model.export.promela.device import count_name
from eplb_model.export.promela.groups import most_kept
from eplb_model.export.promela.layout import Layout
from eplb_model.export.promela.meetings import pairs
from eplb_model.world import CURRENT

# --- state -----------------------------------------------------------------------------------

THREAD = """\
typedef Thread {{
        short at;                              /* the next operation of its program */
        byte sub;                              /* how many steps of it are done */
        bool failed;                           /* an error or a fault ended it */
        bool begun;                            /* of a thread that has to be started: it was */
{more}}}
Thread thread[THREADS];
"""

STREAM = """\
typedef Stream {{
        byte items;
        byte work[CAPACITY];                   /* head first */
        byte nr[CAPACITY];                     /* of a kernel: which launch it is */
        byte on[CAPACITY];                     /* of a wait: NEVER, DONE, or a stream + 1 ... */
        byte ahead[CAPACITY];                  /* ... and how many of its items have to go */
        byte handed;                           /* ranks whose moves the head has made, as bits */
        bool arrived;                          /* the head, a kernel, has reached the distributor */
        short started;                         /* how many of its CTAs have started */
        short ended[CLASSES];                  /* and ended, by class */
{more}}}
Stream stream[STREAMS];
"""


GPU = """\
typedef Gpu {{
        byte arrived[STREAMS];                 /* streams + 1, in order of arrival */
        byte kernels;                          /* how many that are */
        byte context;                          /* thread + 1 with the context lock */
        byte making;            /* thread + 1 that keeps events and memory from being made */
{held}}}
Gpu gpu[{ranks}];
bool waited;                                   /* some kernel had to wait for SMs on arrival */
"""

OVER = "byte over;                      /* MISUSE or VIOLATION: an error ended a thread */\n"
SEAT = "        byte seat[SEATS];                      /* SM + 1 of each CTA that started */\n"
HELD = "        byte held[SMS];                        /* FREE or TAKEN */\n"
BLOCKED = "        bool blocked;                          /* by waits in its queue */\n"

QUEUE = """\
typedef Queue {{
        byte items;
        byte who[STREAMS * CAPACITY];          /* streams + 1, first come first */
}}
Queue queue[{queues}];
"""

GROUP = """
typedef Group {{
        byte posts[{members}];                         /* by member: calls without an answer */
        byte who[{members} * POSTERS];                 /* threads + 1, first come first */
}}
Group group[{groups}];"""

PAIR = """
typedef Pair {{
        byte open;                             /* requests that have not met theirs */
        bool sends;                            /* whether these are sends */
        byte who[OPEN];                        /* threads + 1, first come first */
        short data[OPEN];                      /* values, or where to put them */
}}
Pair pair[{pairs}];"""


def state(layout: Layout) -> Iterator[str]:
    """The variables that a state is made of."""
    world = layout.world
    kinds = {op.kind for program in world.programs for op in program.code}
    yield THREAD.format(more="".join(_thread_fields(layout, kinds)))
    yield OVER
    for name, initial in layout.initial:
        yield f"short {name} = {initial};"
    if world.streams:
        yield from _of_streams(layout)
    if world.counted:
        yield from _counts(layout)
    if kinds & {"all_reduce", "barrier"}:
        most = max(len(members) for members in world.groups.values())
        yield GROUP.format(members=most, groups=len(world.groups))
    if kinds & {"isend", "irecv"}:
        yield PAIR.format(pairs=max(1, len(pairs(world))))
    yield ""


def _of_streams(layout: Layout) -> Iterator[str]:
    crowded = not all(layout.world.roomy)
    more = SEAT * crowded + BLOCKED * layout.shares_queues
    yield "\n" + STREAM.format(more=more)
    yield GPU.format(held=HELD * crowded, ranks=len(layout.world.ranks))
    if layout.shares_queues:
        yield QUEUE.format(queues=len(set(layout.queues)))
    yield "typedef Mark { byte on; byte ahead }"
    yield f"Mark mark[{max(1, layout.first_mark[-1])}];"
    for name, first, size in layout.mark_names:
        yield f"/* mark[{first}] to mark[{first + size - 1}]: {name} */"


def _counts(layout: Layout) -> Iterator[str]:
    ranks, counted = len(layout.world.ranks), sorted(layout.world.counted)
    yield "\ntypedef Count { byte launched; int completed }  /* bit n: launch n has ended */"
    yield f"Count count[{len(counted) * ranks}];"
    for number, (name, rank) in enumerate(product(counted, range(ranks))):
        yield f"#define {count_name(rank, name)} {number}"


def _names_current(layout: Layout) -> bool:
    programs = layout.world.programs
    return any(getattr(op, "stream", None) == CURRENT for p in programs for op in p.code)


def _thread_fields(layout: Layout, kinds: set[str]) -> Iterator[str]:
    if layout.world.streams:
        yield "        byte pending[PENDING];        /* by stream: items that a call waits for */\n"
    devices = max(len(layout.devices(rank)) for rank in range(len(layout.world.ranks)))
    if kinds & {"set_device", "set_stream"} or _names_current(layout) or devices > 1:
        yield "        byte device;                           /* its current device */\n"
        yield f"        byte chosen[{devices}];  /* stream + 1 that it has set, by device */\n"
    if most_kept(layout):
        yield "        byte depth;                            /* of its open NCCL group */\n"
        yield "        byte keeps;                            /* launches in the group ... */\n"
        yield "        byte kept[KEEPS];                      /* ... what each is ... */\n"
        yield "        byte into[KEEPS];                      /* ... and its stream + 1 */\n"
    if any(kind.startswith("cpu_gpu_event") for kind in kinds):
        yield "        byte object;                         /* mark + 1 that a wait has loaded */\n"
    if kinds & {"all_reduce", "barrier"}:
        yield "        byte what;                         /* the collective that it has posted */\n"
        yield "        short brought;                         /* its number */\n"
        yield "        short agrees;                          /* what has to be equal */\n"
        yield "        short answer;\n"
    if kinds & {"isend", "irecv"}:
        yield "        byte requests;                         /* of its own that are open */\n"


SCRATCH = """\
/* Scratch of the inlines below: no part of a state. */
hidden short i_, j_, k_, n_, o_, w_, a_, s_, c_, m_, g_, best_, best_g_, open_, rank_, best_rank_;
hidden short single_, k_cta_, x_, y_, below_;
hidden int sum_, least_, most_, said_, kind_;
hidden byte new_, referred_, all_, pairs_, pair_, barred_;
"""


def scratch(layout: Layout) -> Iterator[str]:
    """Variables that are used within one step only."""
    yield SCRATCH
    if layout.shares_queues:
        yield "hidden byte seen[STREAMS], waits[STREAMS], waiting_;"
    if not all(layout.world.roomy):
        yield "hidden byte turn[STREAMS], taken[GROUPS], second[GROUPS];\n"
        yield "hidden byte in_use[GROUPS], both[GROUPS];\n"
