"""Small scenarios whose answers depend on one rule of settling each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from eplb_model.claims import Stated
from eplb_model.ops.collectives import AllReduce
from eplb_model.ops.copies import Copy
from eplb_model.ops.events import RecordEvent, StreamWaitEvent
from eplb_model.ops.expression import Condition, Value, Variable
from eplb_model.ops.flags import Clear, IsSet, Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.ops.moves import move
from eplb_model.ops.one_sided import Read
from eplb_model.ops.point_to_point import Irecv, Isend, WaitRequests
from eplb_model.ops.synchronize import StreamQuery, StreamSynchronize
from eplb_model.ops.threads import Join, Start
from eplb_model.ops.two_thread_event import CpuGpuEventRecord, CpuGpuEventWait
from eplb_model.ops.variables import Assert, Put
from eplb_model.scenario import Forever, Scenario
from eplb_model.world import Stream
from tests.small import TINY, gang, kernel, meeting, rank, scenario


def is_(name: str, value: object) -> Condition:
    """A variable has a value."""
    return Condition(Variable(name), "==", Value(value))


def put(name: str, value: object) -> Put:
    """Assign a constant."""
    return Put(name, Value(value))


def copy(stream: str, *, reads=(), writes=(), moves=()) -> Copy:
    """A copy through the engines that nobody waits for."""
    return Copy("h2d", stream, reads=reads, writes=writes, moves=moves)


def _letters(*receiver, others=(), sends=(1,), **initial) -> Scenario:
    """Rank 0 sends values; what a thread of rank 1 and others there do with them."""
    posts = [Isend("world", 1, Value(value)) for value in sends]
    world = {"world": (0, 1)}
    return scenario(
        rank([*posts, WaitRequests()]), rank(list(receiver), *others, **initial), groups=world
    )


def _with_started(plan, name: str):
    threads = tuple(replace(t, started=t.name != name) for t in plan.threads)
    return replace(plan, threads=threads)


DEEP = replace(TINY, queue_depth=64)  # no launch finds its stream full
RECEIVE = (Irecv("world", 0, "x"), WaitRequests())
TWO = {"world": (0, 1)}

QUESTIONS: Mapping[str, Scenario] = {
    "a_flag_is_asked_before_or_after_it_is_set": scenario(
        rank([Set("f")], [IsSet("f", "x"), Assert(is_("x", True))])
    ),
    "a_flag_is_asked_and_then_set": scenario(
        rank([IsSet("f", "x"), Assert(is_("x", False))], [Set("f")])
    ),
    "a_variable_is_asserted_while_it_is_written": scenario(
        rank([put("x", 1)], [Assert(is_("x", 0))], x=0)
    ),
    "two_variables_that_a_claim_compares": scenario(
        rank([put("x", 1)], [put("y", 1)], x=0, y=0),
        claims=(Stated("always", Condition(Variable("x"), "<=", Variable("y")), "x after y"),),
    ),
    "a_waiting_writer_is_freed_by_a_third_thread": scenario(
        rank(
            [Assert(is_("x", 0))],
            [WaitFlag("f"), put("x", 1)],
            [put("y", 1), Set("f")],
            [Put("z", Variable("y"))],
            x=0,
            y=0,
        )
    ),
    "two_gangs_stand_behind_spinners": scenario(
        *[
            rank(
                [
                    *(Launch("spin", "s"), Launch("left", "s")),
                    *(Launch("spin", "t"), Launch("right", "t")),
                    Set("f"),
                ],
                streams=("s", "t"),
                f=False,
            )
        ]
        * 2,
        kernels=[
            kernel("spin", until="f"),
            gang("left", 4, meets=meeting("first", "left")),
            gang("right", 4, meets=meeting("first", "right")),
        ],
    ),
    "a_gang_is_launched_beside_a_kernel_that_ends": scenario(
        *[
            rank([Launch("small", "s"), Launch("gang", "t")], streams=("s", "t")),
        ],
        kernels=[kernel("small", 2), gang("gang", 4)],
    ),
    "two_ranks_end_in_different_errors": scenario(
        rank([Assert(is_("x", 1))], x=0), _with_started(rank([Join("b")], [Set("f")]), "b")
    ),
    "a_loop_beside_an_error": scenario(
        rank([Forever((put("y", 1),))], y=0), rank([Assert(is_("x", 1))], x=0)
    ),
    "two_threads_call_one_collective": scenario(
        rank(
            [AllReduce("world", Value(1), "x"), Assert(is_("x", 1))],
            [AllReduce("world", Value(2), "y")],
        ),
        rank([AllReduce("world", Value(0), "x"), AllReduce("world", Value(0), "y")]),
        groups=TWO,
    ),
    "a_received_variable_is_read_by_another_thread": _letters(
        *RECEIVE, others=[[Assert(is_("x", 0))]], x=0
    ),
    "a_received_variable_is_read_before_its_wait": _letters(
        RECEIVE[0], Assert(is_("x", 0)), RECEIVE[1], x=0
    ),
    "a_copy_of_what_was_received_is_still_queued": _letters(
        *RECEIVE,
        copy("s", moves=(move("y", "x"),)),
        *RECEIVE,
        StreamSynchronize("s"),
        Assert(is_("y", 1)),
        sends=(1, 2),
        x=0,
        y=0,
    ),
    "what_is_received_is_claimed": replace(
        _letters(*RECEIVE, others=[[put("y", 1)]], x=0, y=0),
        claims=(Stated("sometimes", Condition(Variable("x"), "<", Variable("y")), "late", (1,)),),
    ),
    "what_is_received_is_taken_by_a_peer": scenario(
        rank(
            [Isend("world", 1, Value(1)), WaitRequests()],
            [copy("s", moves=(move("y", "1.x"),)), StreamSynchronize("s"), Assert(is_("y", 1))],
            y=0,
        ),
        rank([*RECEIVE], x=0),
        groups=TWO,
    ),
    "two_threads_record_one_event": scenario(
        rank([CpuGpuEventRecord("e", "s")], [CpuGpuEventRecord("e", "s")])
    ),
    "an_event_is_recorded_before_its_record_was_consumed": scenario(
        rank([CpuGpuEventRecord("e", "s")] * 2, [CpuGpuEventWait("e", "t")], streams=("s", "t")),
        machine=DEEP,
    ),
    "a_stream_is_asked_whether_it_is_empty": scenario(
        rank([Launch("k", "s"), StreamQuery("s", "x"), Assert(is_("x", True))]),
        kernels=[kernel("k")],
    ),
    "a_record_beside_a_launch_into_a_full_stream": scenario(
        rank(
            [Launch("k", "s")] * 3,
            [RecordEvent("e", "t"), put("x", 1)],
            streams=("s", "t"),
            x=0,
        ),
        kernels=[kernel("k", until="never")],
        machine=replace(TINY, queue_depth=2),
    ),
    "a_launch_beside_the_legacy_stream": scenario(
        rank(
            [Launch("spin", "s")],
            [copy("default", moves=(move("x", 1),))],
            streams=(Stream("s", kind="blocking"), Stream("default", kind="legacy")),
            x=0,
            f=False,
        ),
        kernels=[kernel("spin", until="f")],
    ),
    "a_wait_that_is_satisfied_before_or_after_the_call_brings_an_edge_or_none": scenario(
        rank(
            [
                RecordEvent("e", "s"),
                Launch("spin", "default"),
                StreamWaitEvent("s", "e"),
                StreamSynchronize("s"),
            ],
            streams=(Stream("s", kind="blocking"), Stream("default", kind="legacy")),
            f=False,
        ),
        kernels=[kernel("spin", until="f")],
        machine=DEEP,
    ),
    "a_call_keeps_the_interpreter_lock": scenario(
        rank([Launch("k", "s"), StreamSynchronize("s", gil=True)], [Set("f")]),
        kernels=[kernel("k", until="f")],
    ),
    "two_copies_use_one_buffer": scenario(
        rank([copy("s", writes=("b",))], [copy("t", writes=("b",))], streams=("s", "t"))
    ),
    "a_copy_writes_what_another_one_reads": scenario(
        rank([copy("s", writes=("b",))], [copy("t", reads=("b",))], streams=("s", "t"))
    ),
    "a_copy_moves_what_the_host_reads": scenario(
        rank([copy("s", moves=(move("x", 1),)), Assert(is_("x", 0))], x=0)
    ),
    "a_kernel_spins_on_a_flag_that_is_lowered": scenario(
        rank([Launch("k", "s")], [Clear("f")], f=True), kernels=[kernel("k", until="f")]
    ),
    "a_peer_is_read_while_it_writes": scenario(
        rank([Read(1, "b", "c", "engine")]), rank([copy("s", writes=("b",))])
    ),
    "two_threads_launch_one_kernel": scenario(
        rank(
            [Launch("k", "s")],
            [Launch("spin", "t"), Launch("k", "t")],
            streams=("s", "t"),
            f=False,
        ),
        rank([Launch("k", "s")]),
        kernels=[kernel("k", 1, meets=meeting("first", "k")), kernel("spin", until="f")],
    ),
    "two_threads_feed_one_stream": scenario(
        rank(
            [copy("s", moves=(move("x", 1),))],
            [copy("s", moves=(move("x", 2),)), StreamSynchronize("s"), Assert(is_("x", 2))],
            x=0,
        )
    ),
    "a_stream_is_synchronised_while_it_is_fed": scenario(
        rank([Launch("k", "s")], [StreamSynchronize("s"), Set("f")]),
        kernels=[kernel("k", until="f")],
    ),
    "a_started_thread_writes": scenario(
        _with_started(rank([Assert(is_("x", 0))], [Start("c")], [put("x", 1)], x=0), "c")
    ),
}
