"""Seeded bugs of the Promela law, each with the vector or the case that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

from eplb_model.export.promela import constants, device, formulas, groups, kernels, model


@dataclass(frozen=True)
class PieceMutant:
    """A change of one piece of law/*.pml, and the scenario on which Spin then disagrees with us."""

    name: str
    piece: str
    old: str
    new: str
    where: str  # a vector, or a case of the battery


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
    PieceMutant(
        "a cluster that waits keeps nothing",
        "crowded",
        "(!gang(head(x)) && !gang(head(y)) &&",
        "(false &&",
        "g17c_a_cluster_that_waits_keeps_free_sms_of_its_group",
    ),
    PieceMutant(
        "a cluster that waits keeps every group",
        "crowded",
        "below_ = cluster(head(gpu[r].arrived[a_] - 1))",
        "below_ = 1",
        "g17c_but_not_those_of_groups_that_are_too_small_for_it",
    ),
    PieceMutant(
        "a cluster that waits keeps SMs from gangs too",
        "crowded",
        "!gang(head(y)) && (stream[x]",
        "(stream[x]",
        "g17b_a_gang_passes_a_cluster_that_waits",
    ),
    PieceMutant(
        "whoever waits bars everybody",
        "crowded",
        ":: turn[a_] == WAITS && bars(gpu[r].arrived[a_] - 1, a_, s_, best_) ->",
        ":: turn[a_] == WAITS ->",
        "g17b_a_gang_passes_a_cluster_that_waits",
    ),
    PieceMutant(
        "the switch empty_waiter_blocks is not read",
        "crowded",
        "|| EMPTY_WAITER_BLOCKS",
        "|| true",
        "nor_from_anybody_where_the_switch_empty_waiter_blocks_says_so",
    ),
    PieceMutant(
        "the switch clustered_waiter_blocks_gangs is not read",
        "crowded",
        "gang(head(y)) && CLUSTERED_WAITER_BLOCKS_GANGS",
        "gang(head(y)) && false",
        "unless_the_switch_clustered_waiter_blocks_gangs_says_otherwise",
    ),
    PieceMutant(
        "an urgent kernel is served before a gang",
        "crowded",
        ":: gang(head(s_)) -> break",
        ":: false -> break",
        "g12_a_pending_gang_stops_an_urgent_kernel_that_would_fit",
    ),
    PieceMutant(
        "the turn of single CTAs counts their own kernel alone",
        "crowded",
        "in_use[g_] = in_use[g_] + 1",
        "skip",
        "g31d_a_single_cta_goes_where_the_fewest_tpcs_are_in_use",
    ),
    PieceMutant(
        "so does the second turn",
        "crowded",
        "both[g_] = both[g_] + 1",
        "skip",
        "g31d_then_where_the_fewest_are_full",
    ),
    PieceMutant(
        "a whole TPC is no better than a half",
        "crowded",
        "pair_ = pair_ || gpu[r].held[mate(m_)] == FREE",
        "pair_ = true",
        "g31d_then_where_the_fewest_are_full",
    ),
    PieceMutant(
        "the first group with room is taken",
        "crowded",
        "best_rank_ = rank_",
        "skip",
        "g31d_a_single_cta_goes_where_the_fewest_tpcs_are_in_use",
    ),
    PieceMutant(
        "two waits of one stream take two queues",
        "shared_queues",
        "!= DONE &&\n                           !waits[w_] ->",
        "!= DONE ->",
        "g5a_two_waits_of_one_stream_take_one_queue",
    ),
    PieceMutant(
        "one wait less stops everybody",
        "shared_queues",
        "waiting_ >= waits_that_hold(k_)",
        "waiting_ + 1 >= waits_that_hold(k_)",
        "g5a_one_less_stops_nobody",
    ),
    PieceMutant(
        "a wait that comes later stops a stream",
        "shared_queues",
        " && queue[queue_of(k_)].who[i_] != k_ + 1 ->",
        " ->",
        "g5a_a_wait_that_comes_later_stops_nobody",
    ),
    PieceMutant(
        "nobody needs the context lock",
        "calls",
        "(gpu[r].context == 0 || gpu[r].context == t + 1)",
        "(true)",
        "g44a_a_free_that_waits_holds_back_event_records",
    ),
    PieceMutant(
        "the context lock is kept",
        "calls",
        "gpu[r].context = 0",
        "skip",
        "lazy_load_warmed",
    ),
    PieceMutant(
        "nobody needs the lock on making",
        "calls",
        "(gpu[r].making == 0 || gpu[r].making == t + 1)",
        "(true)",
        "g4_a_launch_into_a_full_stream_keeps_memory_from_being_made",
    ),
    PieceMutant(
        "a launch that waits for room takes no lock",
        "calls",
        "gpu[r].making = t + 1",
        "skip",
        "g4_a_launch_into_a_full_stream_keeps_events_from_being_made",
    ),
    PieceMutant(
        "the lock on making is kept",
        "calls",
        ":: gpu[r].making == t + 1 -> gpu[r].making = 0",
        ":: false -> skip",
        "full_launch_queue",
    ),
    PieceMutant(
        "a stream is never full",
        "calls",
        "(stream[s].items < QUEUE_DEPTH)",
        "(true)",
        "g3_a_stream_takes_four_launches_and_the_fifth_call_waits",
    ),
    PieceMutant(
        "a copy that waits does not wait",
        "calls",
        "capture(r, t, s);",
        "skip;",
        "a_pageable_copy_to_the_host_waits_for_its_stream",
    ),
    PieceMutant(
        "a record is of what was there before it",
        "calls",
        "mark[m].ahead = stream[s].items",
        "mark[m].ahead = stream[s].items - 1",
        "event_order",
    ),
    PieceMutant(
        "launches are not numbered",
        "calls",
        "count[c].launched++",
        "skip",
        "the_second_launch_meets_the_second_launch",
    ),
    PieceMutant(
        "any launch is as good as the n-th",
        "meetings",
        "stream[s].nr[0] == n && ",
        "",
        "the_second_launch_meets_the_second_launch",
    ),
    PieceMutant(
        "a launch that is over was never there",
        "meetings",
        "count[c].completed | (1 << n_)",
        "count[c].completed",
        "coop_vs_nccl_capped",
    ),
    PieceMutant(
        "a loaded object is made anew",
        "event",
        "referred_ = referred_ || thread[i_].object == m + 1;",
        "",
        "a_wait_for_an_object_that_was_replaced_and_not_recorded_is_forbidden",
    ),
    PieceMutant(
        "a later request of a pair is met with the first",
        "mail",
        "pair[p].data[i_ - 1] = pair[p].data[i_];",
        "",
        "requests_of_a_pair_meet_in_order",
    ),
    PieceMutant(
        "the first of what is kept stays",
        "groups",
        "thread[t].kept[i_ - 1] = thread[t].kept[i_];",
        "",
        "what_is_kept_is_submitted_in_the_order_of_the_calls",
    ),
    PieceMutant(
        "what is dropped is kept",
        "groups",
        ":: thread[t].keeps > 0 -> forget_first(t)",
        ":: false -> skip",
        "a_dropped_batch_is_gone_and_the_group_closed",
    ),
    PieceMutant(
        "a rank with room starts nothing",
        "crowded",
        ":: roomy(r) -> stream[s_].started = ctas(head(s_))",
        ":: roomy(r) -> skip",
        "g10_a_regular_kernel_starts_with_what_is_free",
    ),
    PieceMutant(
        "where there is room a kernel starts with one CTA",
        "roomy",
        "stream[k_].started = ctas(head(k_))",
        "stream[k_].started = 1",
        "deepep_ll_async_eplb_over_gloo",
    ),
)


class GeneratorMutant(NamedTuple):
    """What a function of the export says instead, and the scenario that notices."""

    module: ModuleType
    name: str
    instead: object
    where: str


GENERATOR_MUTANTS = (
    GeneratorMutant(kernels, "_meets", "", "coop_vs_nccl_opposite_order"),
    GeneratorMutant(model, "race", "false", "cpu_gpu_event_other_stream"),
    GeneratorMutant(formulas, "races", [], "cpu_gpu_event_other_stream"),
    GeneratorMutant(model, "broken_claim", "false", "versions_differ_at_one_step"),
    GeneratorMutant(model, "ends_badly", "false", "request_never_received"),
    GeneratorMutant(device, "takes_context", False, "free_under_spinning_nccl"),
    GeneratorMutant(
        device, "_may_make", "true", "g4_a_launch_into_a_full_stream_keeps_memory_from_being_made"
    ),
    GeneratorMutant(
        device, "_can_ever_fit", True, "g19_a_grid_that_can_never_be_resident_fails_at_the_call"
    ),
    GeneratorMutant(
        device, "_implied_waits", [], "g9_the_legacy_stream_waits_for_blocking_streams"
    ),
    GeneratorMutant(
        constants, "_rank", "#define group_rank(s, g) 0", "g31d_then_where_the_fewest_are_full"
    ),
    GeneratorMutant(groups, "_kept", [], "the_end_of_a_group_waits_for_the_context_lock"),
    GeneratorMutant(
        kernels,
        "_hands_over",
        [],
        "what_a_peer_takes_has_moved_when_the_first_of_two_kernels_that_meet_ends",
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
    (
        "the turn of single CTAs counts their own kernel's alone",
        "g31d_a_single_cta_goes_where_the_fewest_tpcs_are_in_use",
    ),
    ("a waiting regular kernel bars gangs too", "g17b_a_gang_passes_a_cluster_that_waits"),
    (
        "a waiting kernel of clusters keeps nothing",
        "g17c_a_cluster_that_waits_keeps_free_sms_of_its_group",
    ),
    (
        "making an event needs no context lock",
        "g44a_a_free_that_waits_holds_back_the_first_record_of_an_event",
    ),
)
