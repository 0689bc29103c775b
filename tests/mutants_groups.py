"""Seeded bugs in NCCL groups, current devices and streams, and time limits."""

from __future__ import annotations

from tests.mutant import Mutant

MUTANTS = (
    # --- NCCL groups ---------------------------------------------------------------------------
    Mutant(
        "a launch in a group is submitted at once",
        "ops/launch.py",
        "return _is_of_nccl(kernel) and group_of(state, me).depth > 0",
        "return False",
        "what_is_kept_never_starts_before_the_end",
    ),
    Mutant(
        "a group keeps every kernel",
        "ops/launch.py",
        "return _is_of_nccl(kernel) and group_of(state, me).depth > 0",
        "return group_of(state, me).depth > 0",
        "only_what_meets_channel_by_channel_is_kept",
    ),
    Mutant(
        "every end submits",
        "ops/groups.py",
        "        if group.depth > 1 and not self.drop:\n",
        "        if False:\n",
        "an_inner_end_submits_nothing",
    ),
    Mutant(
        "an end without a start is none",
        "ops/groups.py",
        "if group.depth == 0 and not self.drop:",
        "if False:",
        "an_end_without_a_start_is_misuse",
    ),
    Mutant(
        "a group that has submitted stays open",
        "ops/groups.py",
        "group._replace(kept=left) if left else NcclGroup())\n",
        "group._replace(kept=left))\n",
        "a_batch_is_submitted_once_and_the_group_closed",
    ),
    Mutant(
        "what is called last is submitted first",
        "ops/launch.py",
        "group._replace(kept=(*group.kept, call))",
        "group._replace(kept=(call, *group.kept))",
        "what_is_kept_is_submitted_in_the_order_of_the_calls",
    ),
    Mutant(
        "a boundary does not look",
        "ops/groups.py",
        "        if not group.depth:\n",
        "        if True:\n",
        "an_open_group_at_a_boundary_is_a_violation",
    ),
    Mutant(
        "a dropped batch is submitted with the next one",
        "ops/groups.py",
        "        if self.drop or not group.kept:\n"
        "            return with_group(state, me, NcclGroup())",
        "        if self.drop or not group.kept:\n"
        "            return with_group(state, me, group._replace(depth=0))",
        "a_dropped_batch_is_gone_and_the_group_closed",
    ),
    Mutant(
        "the end of a group needs no lock and no room",
        "ops/groups.py",
        "return launch_guard(state, me, group.kept[0])",
        "return None",
        "the_end_of_a_group_waits_for_the_context_lock",
    ),
    Mutant(
        "an error at the end leaves the group open",
        "ops/groups.py",
        "return after if still_there else with_group(after, me, NcclGroup())",
        "return after",
        "an_error_at_the_end_closes_the_group_and_loses_the_rest",
    ),
    # --- current devices and streams -----------------------------------------------------------
    Mutant(
        "a kernel may go to any device",
        "ops/launch.py",
        "if device != mine and not _is_of_nccl(kernel):",
        "if False:",
        "a_launch_into_a_stream_of_another_device_is_misuse",
    ),
    Mutant(
        "NCCL launches on the current device only",
        "ops/launch.py",
        "if device != mine and not _is_of_nccl(kernel):",
        "if device != mine:",
        "nccl_selects_its_device_itself",
    ),
    Mutant(
        "a current stream is that of device 0",
        "ops/thread_state.py",
        "named = dict(current.streams).get(current.device)",
        "named = dict(current.streams).get(0)",
        "a_device_remembers_its_stream",
    ),
    Mutant(
        "a stream leaves the device as it is",
        "ops/thread_state.py",
        "return Current(device, tuple(sorted(others.items())))",
        "return Current(self.device, tuple(sorted(others.items())))",
        "a_stream_brings_its_device",
    ),
    Mutant(
        "the first stream is the default one",
        "world.py",
        "return next(legacy, streams[0] if streams else None)",
        "return streams[0] if streams else None",
        "the_legacy_stream_is_the_default_one",
    ),
    Mutant(
        "a synchronise waits for every device",
        "ops/thread_state.py",
        "return state.world.streams_on(me.rank, current_of(state, me).device)",
        "return state.world.streams_of(me.rank)",
        "a_synchronise_is_for_the_current_device",
    ),
    Mutant(
        "devices share hardware queues",
        "world.py",
        "first = 1 + max(",
        "first = 0 * max(",
        "devices_share_no_hardware_queue",
    ),
    Mutant(
        "legacy streams wait for other devices",
        "ops/marks.py",
        "world.streams_on(stream.rank, described.device)",
        "world.streams_of(stream.rank)",
        "legacy_streams_of_two_devices_do_not_wait_for_each_other",
    ),
    Mutant(
        "any number is a device",
        "ops/devices.py",
        "if self.device and not",
        "if False and not",
        "a_device_that_the_rank_has_not_got_is_misuse",
    ),
    # --- time limits ---------------------------------------------------------------------------
    Mutant(
        "a time limit never expires",
        "ops/collectives.py",
        "return None if wait is not None and self.timeout and is_hopeless(wait) else wait",
        "return wait",
        "a_time_limit_expires_where_a_member_can_not_come",
    ),
    Mutant(
        "a time limit expires at any time",
        "ops/time_limits.py",
        "return () in wait.on",
        "return True",
        "no_time_limit_expires_while_a_member_may_still_come",
    ),
    Mutant(
        "every call has a time limit",
        "ops/collectives.py",
        "return None if wait is not None and self.timeout and is_hopeless(wait) else wait",
        "return None if wait is not None and is_hopeless(wait) else wait",
        "without_a_time_limit_it_waits_for_ever",
    ),
    Mutant(
        "what has expired stays posted",
        "ops/collectives.py",
        "return expired(state._replace(posts=posts), me,",
        "return expired(state, me,",
        "a_call_that_has_expired_takes_back_what_it_brought",
    ),
    Mutant(
        "requests do not expire",
        "ops/point_to_point.py",
        "return None if wait is not None and self.timeout and is_hopeless(wait) else wait",
        "return wait",
        "a_wait_for_requests_expires_where_nobody_can_meet_one",
    ),
    Mutant(
        "requests of a wait that has expired stay open",
        "ops/point_to_point.py",
        "return expired(state._replace(mail=others), me,",
        "return expired(state, me,",
        "requests_of_a_wait_that_has_expired_are_taken_back",
    ),
)
