"""Seeded bugs in settling: each drops one condition, and names the question that must catch it."""

from __future__ import annotations

from tests.mutant import Mutant

CELLS, TEXTS, ENDINGS = "explore/cells.py", "explore/texts.py", "explore/endings.py"
TOUCHES, SETTLE, SEARCH = "explore/touches.py", "explore/settle.py", "explore/search.py"

MUTANTS = (
    # --- which uses of a place go together -----------------------------------------------------
    Mutant(
        "who looks does not mind what is added",
        CELLS,
        "return self._use(places, _LOOKS, _ADDS | _WRITES)",
        "return self._use(places, _LOOKS, _WRITES)",
        "a_flag_is_asked_before_or_after_it_is_set",
    ),
    Mutant(
        "who adds minds nothing",
        CELLS,
        "return self._use(places, _ADDS, _LOOKS | _WRITES)",
        "return self._use(places, _ADDS, 0)",
        "a_flag_is_asked_and_then_set",
    ),
    Mutant(
        "who looks does not mind what is written",
        CELLS,
        "return self._use(places, _LOOKS, _ADDS | _WRITES)",
        "return self._use(places, _LOOKS, _ADDS)",
        "a_variable_is_asserted_while_it_is_written",
    ),
    # --- sets ----------------------------------------------------------------------------------
    Mutant(
        "claims are not looked at by single steps",
        SETTLE,
        "does & (others | self._touches.claimed)",
        "does & others",
        "two_variables_that_a_claim_compares",
    ),
    Mutant(
        "who could free a waiting actor does not join",
        SETTLE,
        "joining += self._freed_by(state, me, wait, inside)",
        "continue",
        "a_waiting_writer_is_freed_by_a_third_thread",
    ),
    Mutant(
        "an actor of the set is followed by itself",
        SETTLE,
        "joining += (other for other, bits in minds.items() if does & bits and other != me)",
        "continue",
        "a_flag_is_asked_before_or_after_it_is_set",
    ),
    Mutant(
        "a rank is quiet on which a kernel may arrive",
        SETTLE,
        "if item.work.kernel is not None and not arrived:",
        "if item.work.kernel is None and not arrived:",
        "two_gangs_stand_behind_spinners",
    ),
    Mutant(
        "a rank is quiet that may still launch",
        SETTLE,
        "waiting <= 1 and not self._may_launch(state, rank)",
        "waiting <= 1",
        "a_gang_is_launched_beside_a_kernel_that_ends",
    ),
    # --- the search ----------------------------------------------------------------------------
    Mutant(
        "a set is followed that breaks a property",
        SEARCH,
        "return not looked_at and violation(after) is None",
        "return not looked_at",
        "two_ranks_end_in_different_errors",
    ),
    Mutant(
        "a set is followed round a loop",
        SEARCH,
        "looked_at = self._cyclic and self._known.get(after, -1) in self._looked_at",
        "looked_at = False",
        "a_loop_beside_an_error",
    ),
    # --- what the text says --------------------------------------------------------------------
    Mutant(
        "every received variable is a letterbox",
        TEXTS,
        "into = {(t.rank, op.into) for t, op in self.code() if isinstance(op, Irecv)}\n"
        "        return frozenset(each for each in into if self._is_letterbox(*each))",
        "into = {(t.rank, op.into) for t, op in self.code() if isinstance(op, Irecv)}\n"
        "        return frozenset(into)",
        "a_received_variable_is_read_by_another_thread",
    ),
    Mutant(
        "a variable may be used while it is received",
        TEXTS,
        "            self._used_before_its_wait(thread, pc, name)\n",
        "            False\n",
        "a_received_variable_is_read_before_its_wait",
    ),
    Mutant(
        "work may use a variable that is received anew",
        TEXTS,
        "            else self._received_before_a_sync(thread, pc, name)\n",
        "            else False\n",
        "a_copy_of_what_was_received_is_still_queued",
    ),
    Mutant(
        "several threads may use a letterbox",
        TEXTS,
        "shared = len(users) > 1 or (rank, name)",
        "shared = (rank, name)",
        "a_received_variable_is_read_by_another_thread",
    ),
    Mutant(
        "peers may take what is in a letterbox",
        TEXTS,
        "len(users) > 1 or (rank, name) in self._taken_by_peers",
        "len(users) > 1",
        "what_is_received_is_taken_by_a_peer",
    ),
    Mutant(
        "a letterbox may be claimed",
        TEXTS,
        "if shared or name in self.world.claimed[rank]:",
        "if shared:",
        "what_is_received_is_claimed",
    ),
    Mutant(
        "every two-thread event has one thread on each side",
        TEXTS,
        "if len(recorders[e]) <= 1 and len(waiters[e]) <= 1)",
        "if recorders)",
        "two_threads_record_one_event",
    ),
    Mutant(
        "nobody asks whether work is done",
        TEXTS,
        "asking = (EventQuery, StreamQuery, RecordStream)",
        "asking = ()",
        "a_stream_is_asked_whether_it_is_empty",
    ),
    Mutant(
        "no call holds up others",
        TEXTS,
        'return modules or not kinds <= {"nonblocking"} or rank in self.fills_up',
        "return False",
        "a_launch_beside_the_legacy_stream",
    ),
    Mutant(
        "a launch never finds its stream full",
        TEXTS,
        "return frozenset(filter(self._may_fill_a_stream, range(len(self.world.ranks))))",
        "return frozenset()",
        "a_record_beside_a_launch_into_a_full_stream",
    ),
    Mutant(
        "no call keeps the interpreter lock",
        TEXTS,
        'thread.rank for thread, op in self.code() if getattr(op, "gil", False)',
        "thread.rank for thread, op in self.code() if False",
        "a_call_keeps_the_interpreter_lock",
    ),
    # --- the ends of work ----------------------------------------------------------------------
    Mutant(
        "the end of work ends no access",
        ENDINGS,
        "        yield self.access(rank, stream.name, work.reads, work.writes)\n",
        "",
        "two_copies_use_one_buffer",
    ),
    Mutant(
        "accesses do not mind writes",
        ENDINGS,
        'return self._cells.looks(*((rank, "(buffer)", buffer, each) for each in others))',
        "return self._cells.looks(*((rank, buffer, each) for each in others))",
        "a_copy_writes_what_another_one_reads",
    ),
    Mutant(
        "work moves nothing",
        ENDINGS,
        "        yield from (self.moved(rank, each) for each in work.moves)\n",
        "",
        "a_copy_moves_what_the_host_reads",
    ),
    Mutant(
        "kernels never compete for SMs",
        ENDINGS,
        "        if competes:\n            yield self.sms(rank)\n",
        "",
        "two_gangs_stand_behind_spinners",
    ),
    Mutant(
        "no call sees whether work has left its stream",
        ENDINGS,
        "if rank in self._texts.held_up:",
        "if rank < 0:",
        "a_wait_that_is_satisfied_before_or_after_the_call_brings_an_edge_or_none",
    ),
    Mutant(
        "a spinning kernel does not mind that its flag is lowered",
        ENDINGS,
        "        if kernel.until is not None:\n",
        '        if kernel.until == "":\n',
        "a_kernel_spins_on_a_flag_that_is_lowered",
    ),
    Mutant(
        "a read of a peer touches nothing there",
        ENDINGS,
        "            yield self.access(work.source[0], str(stream), (work.source[1],), ())\n",
        "            yield from ()\n",
        "a_peer_is_read_while_it_writes",
    ),
    # --- the steps of threads ------------------------------------------------------------------
    Mutant(
        "a record that finds the flag set does not mind the wait",
        TOUCHES,
        "cells.looks(flag) if phase == RAISED else NOTHING",
        "NOTHING",
        "an_event_is_recorded_before_its_record_was_consumed",
    ),
    Mutant(
        "two threads launch one kernel in any order",
        TOUCHES,
        'return cells.writes((rank, "(number)", kernel))',
        "return NOTHING",
        "two_threads_launch_one_kernel",
    ),
    Mutant(
        "two threads feed one stream in any order",
        TOUCHES,
        "        parts = [cells.writes(each) for each in self._queues(rank, stream)]\n",
        "        parts = [cells.adds(each) for each in self._queues(rank, stream)]\n",
        "two_threads_feed_one_stream",
    ),
    Mutant(
        "what a stream holds is captured at any time",
        TOUCHES,
        "return together(self._cells.looks(*self._queues(rank, each)) for each in named)",
        "return NOTHING",
        "a_stream_is_synchronised_while_it_is_fed",
    ),
    Mutant(
        "a started thread touches nothing",
        TOUCHES,
        "                    if isinstance(started := program.code[pc], Start):\n",
        "                    if isinstance(started := program.code[pc], Start) and pc < 0:\n",
        "a_started_thread_writes",
    ),
    Mutant(
        "a request touches no variable",
        TOUCHES,
        "if (target, each) not in self._texts.letterboxes)",
        "if False)",
        "a_received_variable_is_read_by_another_thread",
    ),
    Mutant(
        "two threads of a rank post in any order",
        TOUCHES,
        'place = ("(posts)", op.group, rank)',
        'place = ("(posts)", op.group, op)',
        "two_threads_call_one_collective",
    ),
)
