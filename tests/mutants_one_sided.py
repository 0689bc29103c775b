"""Seeded bugs in tags that work moves, in one-sided reads, and in numbers of launches in loops."""

from __future__ import annotations

from tests.mutant import Mutant

MUTANTS = (
    Mutant(
        "a sending half is forgotten before its receiving half",
        "ops/kernel.py",
        "        family.update(*(pair for pair in pairs if pair & family))",
        "        family.update(())",
        "the_halves_of_a_meeting_keep_their_numbers_together_where_programs_loop",
    ),
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
        "RunKernel(DEVICE_COPY, 0, reads, writes, self.moves)",
        "RunKernel(DEVICE_COPY, 0, reads, writes)",
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
        "world.py",
        "specs, streams = self.stream_specs, self.cuda_streams_of(rank)",
        "specs, streams = self.stream_specs, self.streams_of(rank)",
        "a_device_synchronise_waits_for_no_engine",
    ),
    Mutant(
        "an engine shares a hardware queue",
        "world.py",
        "engine: first + n for n, engine",
        "engine: n for n, engine",
        "an_engine_shares_no_hardware_queue",
    ),
    Mutant(
        "nobody sees a read of the memory of a peer",
        "properties/accesses.py",
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
