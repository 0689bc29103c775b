"""Seeded bugs: one-line mutants of the law, each with the case of the battery that must catch it.

Rule: the old text stands exactly once in its file; a mutant that no longer applies fails its test,
so that the list follows the code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change of one file of `eplb_model`, and the case that it must break."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str


MUTANTS = (
    # --- the distributor ---------------------------------------------------------------------
    Mutant(
        "a pending gang bars nobody",
        "distributor.py",
        "    if waiting.kernel.gang:\n        return later\n",
        "    if waiting.kernel.gang:\n        return False\n",
        "g12_a_pending_gang_stops_a_later_kernel",
    ),
    Mutant(
        "a pending gang bars its own priority only",
        "distributor.py",
        "    if waiting.kernel.gang:\n        return later\n",
        "    if waiting.kernel.gang:\n"
        "        return later and waiting.priority <= other.priority\n",
        "g12_it_stops_a_later_kernel_of_higher_priority",
    ),
    Mutant(
        "gangs overtake pending gangs",
        "distributor.py",
        "    if waiting.kernel.gang:\n        return later\n",
        "    if waiting.kernel.gang:\n        return later and not other.kernel.gang\n",
        "g17a_a_gang_does_not_overtake_a_pending_gang",
    ),
    Mutant(
        "an urgent kernel is served before a gang that came first",
        "distributor.py",
        "if each.kernel.gang), len(left) - 1)",
        "if False), len(left) - 1)",
        "g14_the_pending_gang_goes_first_when_the_holders_leave",
    ),
    Mutant(
        "a partly placed kernel bars nobody",
        "distributor.py",
        'return bool(waiting.run.seats) or switches.empty_waiter_blocks == "on"',
        "return False",
        "g17_a_partly_placed_kernel_stops_a_later_one_of_its_priority",
    ),
    Mutant(
        "priority ignored",
        "distributor.py",
        "world.stream_specs[run.stream].priority * strict",
        "0",
        "g17_it_does_not_stop_one_of_higher_priority",
    ),
    Mutant(
        "a waiting kernel of clusters bars like any other",
        "distributor.py",
        "    if waiting.kernel.cluster == 1:\n",
        "    if waiting.kernel.cluster:\n",
        "g17_a_waiting_kernel_of_clusters_stops_nobody",
    ),
    Mutant(
        "a kernel without a seat bars nobody",
        "distributor.py",
        'return bool(waiting.run.seats) or switches.empty_waiter_blocks == "on"',
        "return bool(waiting.run.seats)",
        "a_kernel_without_a_seat_stops_its_priority_too",
    ),
    Mutant(
        "the switch empty_waiter_blocks is not read",
        "distributor.py",
        'return bool(waiting.run.seats) or switches.empty_waiter_blocks == "on"',
        "return True",
        "the_switch_empty_waiter_blocks_says_so",
    ),
    Mutant(
        "priority reversed",
        "distributor.py",
        "key=lambda each: (each.priority, each.order)",
        "key=lambda each: (-each.priority, each.order)",
        "g18_of_two_waiting_kernels_the_urgent_one_goes_first",
    ),
    Mutant(
        "slip",
        "distributor.py",
        'if state.world.machine.switches.slip_in == "off":',
        "if False:",
        "of_two_waiting_kernels_the_first_takes_all_it_can",
    ),
    Mutant(
        "a gang is placed partly",
        "placement.py",
        'return b"" if gang else bytes(taken)',
        "return bytes(taken)",
        "g11_a_gang_starts_whole_or_not_at_all",
    ),
    Mutant(
        "a regular kernel is placed whole or not at all",
        "placement.py",
        'return b"" if gang else bytes(taken)',
        'return b""',
        "g10_a_regular_kernel_starts_with_what_is_free",
    ),
    Mutant(
        "clusters are ignored",
        "distributor.py",
        "        kernel.footprint,\n        kernel.cluster,\n        wanted,\n",
        "        kernel.footprint,\n        1,\n        wanted,\n",
        "g27_a_cluster_needs_a_whole_tpc",
    ),
    Mutant(
        "SMs come back at the start",
        "distributor.py",
        "    if not any(run.ended):\n        return run.seats\n",
        '    if not any(run.ended):\n        return b""\n',
        "g24_exclusive_kernels_do_not_share_an_sm",
    ),
    Mutant(
        "SMs come back with the last CTA",
        "distributor.py",
        "    if not any(run.ended):\n",
        "    if True:\n",
        "g32_sms_come_back_cta_by_cta",
    ),
    Mutant(
        "the split of an SM's memory is changed under its residents",
        "machine.py",
        "(self.carveout(residents[0]) if residents else self.shared_bytes)",
        "self.shared_bytes",
        "g25_a_small_resident_cta_keeps_a_large_one_off_its_sm",
    ),
    Mutant(
        "a grid that never fits is put on the stream",
        "ops/launch.py",
        "        if not _can_ever_fit(state.world.machine, kernel):\n",
        "        if False:\n",
        "g19_a_grid_that_can_never_be_resident_fails_at_the_call",
    ),
    # --- meetings ----------------------------------------------------------------------------
    Mutant(
        "a rendezvous ignores its last peer",
        "ops/kernel.py",
        "    for peer in sorted(peers):\n",
        "    for peer in sorted(peers)[:1]:\n",
        "a_rendezvous_waits_for_every_peer",
    ),
    Mutant(
        "a rendezvous needs nobody",
        "ops/kernel.py",
        "    if meets is None:\n        return\n",
        "    return\n",
        "the_hang_of_opposite_orders",
    ),
    Mutant(
        "a kernel that only sends waits for nobody",
        "ops/kernel.py",
        "    if not meets.eager:\n",
        "    if False:\n",
        "an_offset_counts_upwards_from_the_sender",
    ),
    Mutant(
        "an eager send waits",
        "ops/kernel.py",
        "    if not meets.eager:\n",
        "    if True:\n",
        "n16_an_eager_send_ends_without_its_receiver",
    ),
    Mutant(
        "offsets count downwards",
        "ops/kernel.py",
        "peers |= {(rank + r) % ranks for r in sends}",
        "peers |= {(rank - r) % ranks for r in sends}",
        "an_offset_counts_upwards_from_the_sender",
    ),
    Mutant(
        "channels serve every round",
        "ops/kernel.py",
        "        if kernel.rounds:\n",
        "        if False:\n",
        "n8_a_channel_needs_the_peers_of_its_rounds_only",
    ),
    Mutant(
        "every channel meets channel 0",
        "ops/kernel.py",
        '    if meets.grain == "channel":\n',
        "    if False:\n",
        "grain_channel_needs_a_cta_for_each_cta",
    ),
    Mutant(
        "half a grid is enough for its peers",
        "ops/kernel.py",
        '    if grain == "grid":\n',
        "    if False:\n",
        "grain_grid_needs_the_whole_grid_of_the_peer",
    ),
    Mutant(
        "half a grid is enough for itself",
        "ops/kernel.py",
        '        case Meets(grain="grid"):\n            return kernel.ctas\n',
        '        case Meets(grain="grid"):\n            return 1\n',
        "v9_a_grid_barrier_of_a_half_placed_kernel_waits_for_itself",
    ),
    Mutant(
        "whoever starts first is CTA 0",
        "ops/kernel.py",
        'case Meets(grain="first") if state.world.backwards(me.rank):',
        'case Meets(grain="first") if False:',
        "started_from_the_last_cta_the_first_one_is_missing",
    ),
    Mutant(
        "the end of a peer is its start",
        "ops/kernel.py",
        '    if grain == "end":\n',
        "    if False:\n",
        "grain_end_needs_the_end_of_the_peer",
    ),
    Mutant(
        "every launch meets the first launch",
        "ops/kernel.py",
        "meets.kernel, work.number, index):",
        "meets.kernel, 0, index):",
        "the_second_launch_meets_the_second_launch",
    ),
    Mutant(
        "a kernel spins for no flag",
        "ops/kernel.py",
        "if kernel.until is not None and not state.read(me.rank, kernel.until):",
        "if False:",
        "g2_a_stream_is_a_fifo",
    ),
    # --- streams, events, queues -------------------------------------------------------------
    Mutant(
        "a wait binds to the latest record when it runs",
        "ops/marks.py",
        "    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:\n"
        "        if self.mark == DONE:\n",
        "    def guard(self, state: State, me: Actor, choice: int | None) -> Wait | None:\n"
        "        if not self.event or state.read(me.rank, self.event).mark == DONE:\n",
        "g34_a_later_record_leaves_an_earlier_wait_alone",
    ),
    Mutant(
        "a wait on an unrecorded event blocks the host",
        "ops/events.py",
        'return pending(state, me, f"synchronises with event {self.event}")',
        "return pending(state, me, '') or (state.read(me.rank, self.event).mark is None"
        " and Wait(lambda: ('', ()))) or None",
        "g35_a_wait_on_an_unrecorded_event_does_not_block",
    ),
    Mutant(
        "waits for events are dropped",
        "ops/events.py",
        "    if mark in (None, DONE):\n        return state\n",
        "    return state\n",
        "an_event_orders_two_streams",
    ),
    Mutant(
        "a query says what the call asked for",
        "ops/events.py",
        "self.into, mark in (None, DONE))",
        "self.into, True)",
        "an_event_query_says_whether_the_record_is_done",
    ),
    Mutant(
        "a blocked wait keeps back nobody",
        "distributor.py",
        "        if item.work.holds_queue:\n",
        "        if False:\n",
        "g6_a_blocked_wait_stops_what_stands_behind_it_in_its_queue",
    ),
    Mutant(
        "the legacy stream waits for nobody",
        "ops/marks.py",
        'if kind == "nonblocking" or',
        "if True or",
        "g9_the_legacy_stream_waits_for_blocking_streams",
    ),
    Mutant(
        "the legacy stream waits for everybody",
        "ops/marks.py",
        'if kind == "nonblocking" or world.stream_specs[other.slot].kind != others[kind]:',
        'if kind == "nonblocking" or other == stream:',
        "g9_the_legacy_stream_does_not_wait_for_nonblocking_streams",
    ),
    Mutant(
        "a device synchronisation waits for one stream",
        "ops/synchronize.py",
        "state.world.cuda_streams_of(me.rank))",
        "state.world.cuda_streams_of(me.rank)[1:])",
        "a_synchronisation_waits_for_what_the_stream_held",
    ),
    Mutant(
        "a memset goes through a copy engine",
        "ops/launch.py",
        "        work = RunKernel(MEMSET, 0, (), self.writes)\n",
        "        from eplb_model.ops import copies\n"
        "        work = copies.Transfer('h2d', (), self.writes)\n",
        "g13_a_memset_does_not_pass_a_pending_gang",
    ),
    Mutant(
        "a copy from the host goes through the distributor",
        "ops/copies.py",
        'if self.direction == "d2d":',
        'if self.direction != "d2h":',
        "g13_a_copy_from_the_host_passes_a_pending_gang",
    ),
    Mutant(
        "a copy within the device goes through a copy engine",
        "ops/copies.py",
        'if self.direction == "d2d":',
        "if False:",
        "g13_a_copy_within_the_device_does_not_pass_a_pending_gang",
    ),
    Mutant(
        "a pageable copy to the host returns at once",
        "ops/copies.py",
        'if self.blocking or (self.memory == "pageable" and self.direction == "d2h"):',
        "if self.blocking:",
        "a_pageable_copy_to_the_host_waits_for_its_stream",
    ),
    # --- host calls and their locks ----------------------------------------------------------
    Mutant(
        "a copy within the device needs no room",
        "ops/copies.py",
        '        if self.direction == "d2d" and is_full(state, stream):\n',
        "        if False:\n",
        "a_copy_within_the_device_needs_room_in_its_stream",
    ),
    Mutant(
        "a stream takes one launch more",
        "ops/launch.py",
        "return len(queue) >= depth and len(state.items(stream)) >= depth",
        "return len(queue) > depth and len(state.items(stream)) > depth",
        "g3_a_stream_takes_four_launches_and_the_fifth_call_waits",
    ),
    Mutant(
        "a stream takes one launch less",
        "ops/launch.py",
        "return len(queue) >= depth and len(state.items(stream)) >= depth",
        "return len(queue) >= depth - 1 and len(state.items(stream)) >= depth - 1",
        "g3_the_limit_is_four",
    ),
    Mutant(
        "records pass a launch into a full stream",
        "ops/launch.py",
        "    holder = state.devices[me.rank].recording\n    if holder in (NOBODY, me.slot):\n",
        "    holder = state.devices[me.rank].recording\n    if True:\n",
        "g4_a_launch_into_a_full_stream_holds_back_event_records",
    ),
    Mutant(
        "a launch needs no context lock",
        "ops/launch.py",
        "            context_lock(state, me)\n"
        '            or pending(state, me, "loads the module of its first launch")\n',
        '            pending(state, me, "loads the module of its first launch")\n',
        "g44_free_holds_the_context_lock_while_it_waits",
    ),
    Mutant(
        "cudaFree lets go of the lock before it waits",
        "ops/memory.py",
        "return capture(take_context(state, me, me.slot), me, everything)",
        "return capture(state, me, everything)",
        "g44_free_holds_the_context_lock_while_it_waits",
    ),
    Mutant(
        "cudaFree waits for nothing",
        "ops/memory.py",
        "        everything = state.world.cuda_streams_of(me.rank)\n",
        "        everything = ()\n",
        "g44_free_holds_the_context_lock_while_it_waits",
    ),
    Mutant(
        "nobody needs the interpreter lock",
        "step.py",
        "    if holder not in (NOBODY, me.slot):\n",
        "    if False:\n",
        "g45_a_synchronisation_that_keeps_the_gil_stops_the_other_threads",
    ),
    Mutant(
        "first use does not wait",
        "ops/launch.py",
        'return machine.switches.first_use == "returns"',
        "return True",
        "g40_the_first_use_of_a_module_waits_for_the_device",
    ),
    Mutant(
        "a module stays unloaded",
        "ops/launch.py",
        "    state = state.write(me.rank, loaded(module), True)\n",
        "    state = state.write(me.rank, loaded(module), False)\n",
        "a_module_that_was_loaded_before_does_not",
    ),
    # --- the two-thread event ----------------------------------------------------------------
    Mutant(
        "b4 before b3: the flag is set before the record",
        "ops/two_thread_event.py",
        "value = value.with_mark(number, None)._replace(current=number)",
        "value = value.with_mark(number, None)._replace(current=number, flag=True)",
        "the_handshake_orders_the_reader_behind_the_writer",
    ),
    Mutant(
        "a4 before a3: the flag is cleared before the stream waits",
        "ops/two_thread_event.py",
        'return state.stay(me, Holding("a3", self.event, value.current))',
        'return state.stay(me, Holding("a3", self.event, value.current))'
        ".write(me.rank, self.event, value._replace(flag=False))",
        "a_wait_that_raises_leaves_the_flag_set",
    ),
    Mutant(
        "clear before wait",
        "ops/two_thread_event.py",
        'return state.stay(me, Holding("a2", self.event, -1))',
        'return state.stay(me, Holding("a2", self.event, -1))'
        ".write(me.rank, self.event, value._replace(flag=False))",
        "a_wait_that_raises_leaves_the_flag_set",
    ),
    Mutant(
        "the flag is never cleared",
        "ops/two_thread_event.py",
        "value._replace(flag=False)).advance(me)",
        "value).advance(me)",
        "a_second_wait_needs_a_second_record",
    ),
    Mutant(
        "a second record is let through",
        "ops/two_thread_event.py",
        "                if value.flag:\n",
        "                if False:\n",
        "a_second_record_before_the_wait_is_misuse",
    ),
    Mutant(
        "the event object is used again",
        "ops/two_thread_event.py",
        "number = min(set(range(len(referred) + 1)) - referred)",
        "number = value.current",
        "the_waiter_keeps_the_object_it_loaded",
    ),
    # --- flags, variables, locks, threads, collectives ---------------------------------------
    Mutant(
        "set does nothing",
        "ops/flags.py",
        "return state.write(me.rank, self.flag, True).advance(me)",
        "return state.advance(me)",
        "a_flag_wakes_who_waits_and_stays_set",
    ),
    Mutant(
        "waiting clears the flag",
        "ops/flags.py",
        "        return Wait(lambda: waits_for_flag(state, me.rank, self.flag))\n\n"
        "    def effect(self, state: State, me: Actor) -> State:\n"
        "        return state.advance(me)\n",
        "        return Wait(lambda: waits_for_flag(state, me.rank, self.flag))\n\n"
        "    def effect(self, state: State, me: Actor) -> State:\n"
        "        return state.write(me.rank, self.flag, False).advance(me)\n",
        "a_flag_wakes_who_waits_and_stays_set",
    ),
    Mutant(
        "clear does nothing",
        "ops/flags.py",
        "return state.write(me.rank, self.flag, False).advance(me)",
        "return state.advance(me)",
        "a_cleared_flag_is_waited_for_again",
    ),
    Mutant(
        "take leaves the value",
        "ops/variables.py",
        ".write(me.rank, self.variable, None)",
        "",
        "take_leaves_nothing_behind",
    ),
    Mutant(
        "a lock is had by everybody",
        "ops/locks.py",
        "        if holder is None:\n            return None\n",
        "        return None\n",
        "a_lock_keeps_them_apart",
    ),
    Mutant(
        "trying always gets the lock",
        "ops/locks.py",
        "return state.write(me.rank, self.into, free).advance(me)",
        "return state.write(me.rank, self.into, True).advance(me)",
        "a_held_lock_is_not_had_by_trying",
    ),
    Mutant(
        "a free lock is released",
        "ops/locks.py",
        "        if state.read(me.rank, self.lock) is None:\n",
        "        if False:\n",
        "a_lock_that_nobody_holds_is_not_released",
    ),
    Mutant(
        "join waits for nobody",
        "ops/threads.py",
        'if state.thread(target).status != "running":',
        "if True:",
        "join_waits_for_the_end",
    ),
    Mutant(
        "a thread is started again",
        "ops/threads.py",
        'if state.thread(target).status != "new":',
        "if False:",
        "a_thread_is_started_once",
    ),
    Mutant(
        "the outermost handler takes the error",
        "state.py",
        "in self.world.programs[me.slot].handlers:",
        "in reversed(self.world.programs[me.slot].handlers):",
        "an_error_goes_to_the_innermost_handler",
    ),
    Mutant(
        "an error ends its thread, whatever handlers say",
        "state.py",
        "            if first <= thread.pc <= last:\n",
        "            if False:\n",
        "an_error_goes_to_the_innermost_handler",
    ),
    Mutant(
        "a branch always goes on",
        "ops/threads.py",
        "        if self.condition is not None and self.condition.holds(state, me):\n",
        "        if self.condition is not None:\n",
        "a_branch_takes_one_way",
    ),
    Mutant(
        "a loop does one round less",
        "scenario.py",
        "for _ in range(times):",
        "for _ in range(times - 1):",
        "a_loop_ends_after_its_rounds_or_when_its_condition_fails",
    ),
    Mutant(
        "text is ordered",
        "ops/expression.py",
        "isinstance(left, int) and isinstance(right, int)",
        "type(left) is type(right)",
        "only_numbers_are_ordered",
    ),
    Mutant(
        "a collective completes with one member missing",
        "ops/collectives.py",
        "    if not all(posts):\n"
        "        return state._replace(posts=put(state.posts, at, posts))\n"
        "    heads = [queue[0] for queue in posts]\n",
        "    if sum(map(bool, posts)) < len(posts) - 1:\n"
        "        return state._replace(posts=put(state.posts, at, posts))\n"
        "    heads = [queue[0] for queue in posts if queue]\n",
        "a_barrier_waits_for_every_member",
    ),
    Mutant(
        "a group is everybody",
        "ops/collectives.py",
        "    posts = state.posts[at]\n    posts = put(",
        "    at = 0\n    posts = state.posts[at]\n    posts = put(",
        "a_barrier_of_a_group_needs_its_members_only",
    ),
    Mutant(
        "a sum is a maximum",
        "ops/collectives.py",
        '"sum": sum',
        '"sum": max',
        "an_all_reduce_adds",
    ),
    Mutant(
        "collectives pair whatever they are",
        "ops/collectives.py",
        "        if len(kinds) > 1:\n",
        "        if False:\n",
        "collectives_of_two_kinds_do_not_pair",
    ),
    # --- states, searches, explanations ------------------------------------------------------
    Mutant(
        "equality and hash forget the memory",
        "state.py",
        "    def thread(self, me: Actor) -> Thread:\n",
        "    __hash__ = lambda s: hash((s[1:3], s[4:])); "
        "__eq__ = lambda s, o: (s[1:3], s[4:]) == (o[1:3], o[4:])\n"
        "    def thread(self, me: Actor) -> Thread:\n",
        "two_increments_in_two_steps_lose_one",
    ),
    Mutant(
        "equality and hash forget the devices",
        "state.py",
        "    def thread(self, me: Actor) -> Thread:\n",
        "    __hash__ = lambda s: hash((s[1:2], s[3:])); "
        "__eq__ = lambda s, o: (s[1:2], s[3:]) == (o[1:2], o[3:])\n"
        "    def thread(self, me: Actor) -> Thread:\n",
        "g13_a_copy_from_the_host_passes_a_pending_gang",
    ),
    # --- requests between hosts, channels that end together -------------------------------------
    Mutant(
        "requests meet whatever their pair",
        "ops/point_to_point.py",
        "if other.pair == request.pair and other.is_send != request.is_send:",
        "if other.is_send != request.is_send:",
        "a_receive_from_another_rank_does_not_meet_a_send",
    ),
    Mutant(
        "two sends meet",
        "ops/point_to_point.py",
        "if other.pair == request.pair and other.is_send != request.is_send:",
        "if other.pair == request.pair:",
        "requests_of_a_pair_meet_in_order",
    ),
    Mutant(
        "the latest request is met first",
        "ops/point_to_point.py",
        "for number, other in enumerate(state.mail):",
        "for number, other in reversed(list(enumerate(state.mail))):",
        "requests_of_a_pair_meet_in_order",
    ),
    Mutant(
        "requests are not waited for",
        "ops/point_to_point.py",
        "        if not mine:\n",
        "        if True:\n",
        "two_sends_do_not_meet",
    ),
    Mutant(
        "a rank of the group is taken for a global one",
        "ops/point_to_point.py",
        "found = members[peer]",
        "found = peer",
        "a_peer_is_a_rank_of_the_group",
    ),
    Mutant(
        "channels that end together end one by one",
        "ops/kernel.py",
        'while kernel.ends == "together" and',
        "while False and",
        "channels_that_end_together_leave_in_one_step",
    ),
    Mutant(
        "awaited launches lose their numbers",
        "ops/kernel.py",
        "if family & state.world.awaited:",
        "if False:",
        "an_awaited_launch_keeps_its_number_where_programs_loop",
    ),
    Mutant(
        "a blocking copy needs the context lock to return",
        "ops/copies.py",
        'return pending(state, me, "copies and waits for it")',
        'return context_lock(state, me) or pending(state, me, "copies and waits for it")',
        "a_blocking_copy_returns_while_another_thread_frees",
    ),
    # --- tags that work moves, and one-sided reads ---------------------------------------------
    Mutant(
        "a copy moves no tags",
        "ops/copies.py",
        "return moved(state, me, self.moves).pop(me)",
        "return state.pop(me)",
        "a_copy_moves_its_tags_when_it_ends",
    ),
    Mutant(
        "a copy within the device moves no tags",
        "ops/copies.py",
        "RunKernel(DEVICE_COPY, 0, self.reads, self.writes, self.moves)",
        "RunKernel(DEVICE_COPY, 0, self.reads, self.writes)",
        "a_copy_within_the_device_moves_tags_too",
    ),
    Mutant(
        "moves are done in any order",
        "ops/moves.py",
        "    for each in moves:\n        state = state.write",
        "    for each in reversed(list(moves)):\n        state = state.write",
        "the_moves_of_one_piece_of_work_are_done_in_order",
    ),
    Mutant(
        "a variable of a peer is one of this rank",
        "ops/moves.py",
        "return state.read(self.rank, self.name)",
        "return state.read(me.rank, self.name)",
        "a_kernel_takes_a_tag_from_a_peer",
    ),
    Mutant(
        "what a peer takes moves only when its own kernel ends",
        "ops/kernel.py",
        "state = moved(_handed_over(state, me, work), me, work.moves)",
        "state = moved(state, me, work.moves)",
        "what_a_peer_takes_has_moved_when_the_first_of_two_kernels_that_meet_ends",
    ),
    Mutant(
        "what was handed over is taken a second time",
        "ops/kernel.py",
        "peer, replace(theirs, moves=left))",
        "peer, theirs)",
        "what_a_peer_takes_has_moved_when_the_first_of_two_kernels_that_meet_ends",
    ),
    Mutant(
        "reads are not waited for",
        "ops/one_sided.py",
        "if state.head(engine) is None:",
        "if True:",
        "a_posted_read_is_polled_until_it_is_done",
    ),
    Mutant(
        "a read moves no tags",
        "ops/one_sided.py",
        "return moved(state, me, self.moves).pop(me)",
        "return state.pop(me)",
        "an_engine_reads_in_order",
    ),
    Mutant(
        "the device waits for engines",
        "ops/synchronize.py",
        "return capture(state, me, state.world.cuda_streams_of(me.rank))",
        "return capture(state, me, state.world.streams_of(me.rank))",
        "a_device_synchronise_waits_for_no_engine",
    ),
    Mutant(
        "an engine shares a hardware queue",
        "world.py",
        "first = max(queues, default=-1) + 1",
        "first = 0",
        "an_engine_shares_no_hardware_queue",
    ),
    Mutant(
        "nobody sees a read of the memory of a peer",
        "properties.py",
        "head.work.peer == rank:",
        "head.work.peer == rank == engine.rank:",
        "a_read_conflicts_with_a_write_of_the_peer",
    ),
    Mutant(
        "nobody sees what a read writes",
        "ops/one_sided.py",
        "        return (self.target,)\n\n    def guard(self, state: State, me: Actor, choice",
        "        return ()\n\n    def guard(self, state: State, me: Actor, choice",
        "a_read_conflicts_with_a_copy_out_of_its_target",
    ),
)
