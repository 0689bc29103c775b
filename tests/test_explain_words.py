"""How a run is told: words, tables, many ranks, and which step came directly before which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eplb_model.check import check
from eplb_model.explain.explanation import explain, story_of
from eplb_model.explain.film import film
from eplb_model.explain.order import arrows
from eplb_model.explain.reduce import follow
from eplb_model.findings import finding_at
from eplb_model.ops.flags import Set, WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.render.explained import explanation_text
from eplb_model.render.text import WIDTH, report_text
from eplb_model.scenario import Scenario
from eplb_model.trace import parse_schedule, replay
from eplb_model.wait_for import stuck_set
from tests.small import kernel, meeting, rank, scenario
from tests.stories import FLAGSHIP, SMALL, explained, question_of

# --- the words ---------------------------------------------------------------------------------


def test_a_hang_is_told_party_by_party_until_it_contradicts_itself():
    told = explained(FLAGSHIP, **SMALL)

    assert told.index("\nLet\n") < told.index("\nThen\n") < told.index("\nHowever\n")
    assert "stream side of rank 0: kernel exchange, launched by thread eplb" in told
    assert "holds 2 SM slots (rank 0 has 4 SMs); a running CTA keeps its SM until it ends" in told
    assert "holds nothing: a gang starts with all its CTAs or not at all" in told
    assert "0.compute can't go on before 0.side: it needs 3 slots at once, 2 are free" in told
    assert "1.compute can't go on before 0.compute" in told.partition("However")[2]
    assert "Behind the circle wait 0.main, 0.eplb, 1.main, 1.eplb: victims" in told


def test_the_schedule_is_a_table_with_a_column_for_every_thread_and_stream():
    told = explained(FLAGSHIP, **SMALL)
    heads = [line.split() for line in told.splitlines() if line.strip().startswith("0.main ")]

    assert ["0.main", "0.eplb", "0.compute", "0.side"] in heads
    assert "   1                          launch exchange side" in told


def test_a_race_names_both_accesses_what_each_has_seen_and_the_missing_edge():
    told = explained("event_wait_before_record")

    assert "first   kernel produce on 0.side, submitted by 0.producer" in told
    assert "0.compute has seen no step of 0.side." in told
    assert "Nothing makes 0.compute wait for 0.side" in told.partition("However")[2]


def test_a_stall_names_the_loop_and_who_is_left_out():
    told = explained("clear_erases_rearm")

    assert "the loop" in told
    assert "for ever" in told
    assert "some schedule still leaves nobody out, after it none does" in " ".join(told.split())
    assert "And then for ever:\n  17  0.main  jump\n  18  0.main  branch ready == 1: no\n" in told


def test_a_failed_assertion_names_its_thread_and_the_values_that_it_saw():
    told = explained("idle_rank_skips_step")

    assert (
        "Let\n"
        "  1.main  thread main of rank 1, in `assert ctr == most`\n"
        "          ctr is 1, most is 2\n"
    ) in told
    assert "1.main: assertion failed: ctr == most." in told.partition("However")[2]


def test_a_misuse_names_the_call():
    told = explained("p2p_group_rank_as_global")

    assert "2.worker  thread worker of rank 2, in `isend high 1 weights global`" in told


def test_a_picture_of_a_race_says_which_accesses_and_which_edge_is_missing():
    asked = question_of("event_wait_before_record")
    notes = story_of(asked, check(asked.scenario)).notes

    assert notes[:3] == (
        "first: kernel produce on 0.side, submitted by 0.producer.",
        "second: kernel consume on 0.compute, submitted by 0.consumer.",
        "Both use buffer, and at least one of them writes it.",
    )
    assert notes[3].startswith("Nothing makes 0.compute wait for 0.side")


def test_a_step_says_which_way_a_branch_went_and_a_wait_on_a_stream_has_no_numbers():
    described = question_of("event_wait_before_record").scenario
    words = "0.producer 0.producer 0.consumer 0.consumer 0.consumer"
    trace = replay(described.world, parse_schedule(described.world, words))
    cells = film(described, trace, (0,)).frames[-1].cells

    assert [each.does for each in trace.steps()][2] == "branch false == true: no"
    assert "await done" in [each.text for each in cells]
    assert "branch None" not in explained("clear_erases_rearm")


@pytest.mark.parametrize("name", ["nixl_read_overtakes_copy_out", "weights_written_under_read"])
def test_an_engine_is_called_an_engine(name):
    asked = question_of(name)
    report = check(asked.scenario)
    story = story_of(asked, report)
    engines = [track for track in story.tracks if track.kind == "engine"]

    assert engines
    assert all(f"stream {each.name}" not in report_text(report) for each in engines)
    assert all(each.name.partition(".")[2] not in _streams(asked.scenario) for each in engines)


def _streams(described: Scenario) -> set[str]:
    return {actor.name for r in range(2) for actor in described.world.cuda_streams_of(r)}


def test_without_a_circle_whoever_waits_is_named_and_that_nobody_can_help():
    told = explained("gated_collective")

    assert "0.main is in all_reduce on group world: waits for rank 1." in told
    assert "0.main could be freed by nobody." in told
    assert "Nothing that may still happen frees any of them." in told
    assert "waits, nobody can free it" in told


@pytest.mark.parametrize("name", [FLAGSHIP, "event_wait_before_record", "clear_erases_rearm"])
def test_an_explanation_is_no_wider_than_a_page(name):
    assert max(map(len, explained(name).splitlines())) <= WIDTH


def test_a_short_report_fits_on_a_screen():
    report = check(question_of(FLAGSHIP).scenario)
    lines = report_text(report, "replay", "more").splitlines()

    assert len(lines) <= 19
    assert "  0.compute -> 0.side -> 1.side -> 1.compute -> 0.compute" in lines


# --- many ranks --------------------------------------------------------------------------------


def test_among_many_ranks_the_same_hang_of_two_is_explained():
    """Nobody searched 16 ranks here: the schedule is that of the two, for every further rank."""
    asked = question_of(FLAGSHIP, **SMALL, ranks=16)
    world = asked.scenario.world
    words = ["0.eplb 0.main 0.main", *(f"{r}.main {r}.eplb {r}.eplb" for r in range(1, 16))]
    schedule = parse_schedule(world, " ".join(words))
    finding = finding_at(replay(world, schedule).last, schedule)
    smaller = check(question_of(FLAGSHIP, **SMALL).scenario)
    report = replace(smaller, parameters=asked.scenario.parameters, finding=finding)
    told = explain(asked, report, with_cures=False)

    assert finding is not None
    assert told.smaller == "ranks=2"
    assert told.story.ranks == (0, 1)
    assert len(told.story.steps) == 6
    assert "The same goes wrong with ranks=2." in explanation_text(told)


def test_many_peers_don_t_make_the_waits_explode():
    """A channel kernel with sixteen peers: each of its classes waits for other ranks."""
    world = question_of(FLAGSHIP, ranks=16).scenario.world
    words = ["0.eplb 0.main 0.main", *(f"{r}.main {r}.eplb {r}.eplb" for r in range(1, 16))]
    last = follow(world, parse_schedule(world, " ".join(words)))

    assert last is not None
    assert stuck_set(last) == frozenset(last.unfinished())


# --- order -------------------------------------------------------------------------------------


def test_arrows_are_what_comes_directly_before_and_nothing_that_follows_from_others():
    """b waits for a, c for b: that c comes after a too needs no arrow."""
    described = scenario(rank([Set("x")], [WaitFlag("x"), Set("y")], [WaitFlag("y")]))
    schedule = parse_schedule(described.world, "0.a 0.b 0.b 0.c")
    found = [(each.step, each.then) for each in arrows(replay(described.world, schedule))]

    assert found == [(1, 2), (3, 4)]


def test_a_kernel_ends_after_the_start_of_its_peers():
    pair = kernel("pair", meets=meeting("first", "pair"))
    described = scenario(rank([Launch("pair", "s")]), rank([Launch("pair", "s")]), kernels=[pair])
    schedule = parse_schedule(described.world, "0.a 1.a 0.s")
    found = {(each.step, each.then) for each in arrows(replay(described.world, schedule))}

    assert found == {(1, 3), (2, 3)}
