"""Seeded bugs of the Promela law, each with the vector whose comparison must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PieceMutant:
    """A change of one piece of law/*.pml, and the vector on which Spin then disagrees with us."""

    name: str
    piece: str
    old: str
    new: str
    vector: str


PIECE_MUTANTS = (
    PieceMutant(
        "a waiting gang bars nobody",
        "crowded",
        "(a < b && (gang(head(x)) ||",
        "(a < b && (false ||",
        "pending_gang_goes_first",
    ),
    PieceMutant(
        "a gang starts in part",
        "crowded",
        ":: gang(head(s)) && c_ < ctas(head(s)) ->",
        ":: false && c_ < ctas(head(s)) ->",
        "coop_vs_nccl_opposite_order",
    ),
    PieceMutant(
        "one wait stops every stream",
        "shared_queues",
        "stream[k_].blocked = waiting_ >= waits_that_hold(k_)",
        "stream[k_].blocked = true",
        "queue_aliasing",
    ),
    PieceMutant(
        "an SM is not given back",
        "crowded",
        "gpu[r].held[stream[s].seat[p] - 1] = FREE",
        "skip",
        "channels_trickle",
    ),
    PieceMutant(
        "the less urgent kernel goes first",
        "crowded",
        "urgency(s_) < urgency(gpu[r].arrived[best_] - 1)",
        "urgency(s_) > urgency(gpu[r].arrived[best_] - 1)",
        "priority_inversion",
    ),
    PieceMutant(
        "a stream passes a wait that is not satisfied",
        "waits",
        "stream[k_].on[0] == DONE && !is_blocked(k_)",
        "!is_blocked(k_)",
        "event_order",
    ),
    PieceMutant(
        "events do not hear that work has left",
        "streams",
        ":: mark[i_].on == s + 1 ->",
        ":: false && mark[i_].on == s + 1 ->",
        "event_wait_after_record",
    ),
    PieceMutant(
        "a synchronise hears of other streams too",
        "streams",
        "thread[i_].pending[s - first_stream(r)] > 0 ->",
        "false && thread[i_].pending[s - first_stream(r)] > 0 ->",
        "event_order",
    ),
    PieceMutant(
        "a new object is the recorded one again",
        "event",
        "attribute = n_ - first;",
        "",
        "cpu_gpu_event_two_producers",
    ),
    PieceMutant(
        "what members must bring equal is not compared",
        "collectives",
        "thread[w_].agrees != said_ ->\n                        pairs_ = false",
        "thread[w_].agrees != said_ ->\n                        skip",
        "votes_out_of_step",
    ),
    PieceMutant(
        "the sum is what the last member brings",
        "collectives",
        "sum_ = sum_ + thread[w_].brought;",
        "sum_ = thread[w_].brought;",
        "active_ranks_masked",
    ),
    PieceMutant(
        "a receive takes no value",
        "mail",
        "deliver(into, pair[p].data[0]);",
        "",
        "p2p_group_peer",
    ),
    PieceMutant(
        "a fault is an error",
        "threads",
        ":: family != FAULT && over == 0 -> over = family",
        ":: over == 0 -> over = family",
        "cpu_gpu_event_dead_producer",
    ),
)

# Mutants of tests/mutants.py, by name: Spin does not share the law that they change.
LAW_MUTANTS = (
    ("a pending gang bars nobody", "pending_gang_goes_first"),
    ("a gang is placed partly", "coop_vs_nccl_opposite_order"),
    ("SMs come back with the last CTA", "channels_trickle"),
    ("a rendezvous needs nobody", "coop_vs_nccl_opposite_order"),
    ("b4 before b3: the flag is set before the record", "cpu_gpu_event_handshake"),
    ("the event object is used again", "cpu_gpu_event_two_producers"),
    ("a collective completes with one member missing", "gated_collective"),
)
