"""Stories and pictures: what they show is what the states say."""

from __future__ import annotations

import json
import re
from collections import Counter

import jsonschema
import pytest

from eplb_model.check import check
from eplb_model.explain.asked import Asked
from eplb_model.explain.explanation import story_of
from eplb_model.ops.flags import WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.render.chrome_trace import STEP, chrome_trace
from eplb_model.render.circle import dot, mermaid, wait_graph
from eplb_model.render.story import Story, stretches
from eplb_model.render.table import columns_text
from eplb_model.schema import schema
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import load
from eplb_model.wait_for import stuck_set
from tests.small import kernel, rank, scenario
from tests.stories import FLAGSHIP, SMALL, hang, told_story

# --- stories -----------------------------------------------------------------------------------


def test_a_story_has_a_frame_for_every_state_and_a_cell_for_every_party():
    story = hang()

    assert len(story.frames) == len(story.steps) + 1 == 7
    assert {len(frame.cells) for frame in story.frames} == {len(story.tracks)} == {8}
    assert [track.name for track in story.tracks[:4]] == ["0.main", "0.eplb", "0.compute", "0.side"]


def test_a_cell_says_what_the_state_says():
    described = load(FLAGSHIP).scenario(SMALL)
    story = hang()
    words = " ".join(each.action for each in story.steps)
    last = replay(described.world, parse_schedule(described.world, words)).last
    cells = dict(zip((t.name for t in story.tracks), story.frames[-1].cells, strict=True))

    assert {name for name, cell in cells.items() if cell.status == "stuck"} == set(
        map(str, stuck_set(last))
    )
    assert (cells["0.side"].text, cells["0.side"].held, cells["0.side"].ctas) == ("exchange", 2, 2)
    assert (cells["0.compute"].held, cells["0.compute"].ctas) == (0, 3)
    assert cells["0.compute"].on == ("0.side",)
    assert story.frames[-1].busy == (2, 3)


def test_seats_are_shown_where_the_model_has_them_and_counted_where_it_does_not():
    crowded, roomy = hang(), told_story("event_wait_before_record")

    assert all(each.seats for sms in crowded.frames[-1].sms for each in sms)
    assert [each.seats for sms in roomy.frames[-1].sms for each in sms] == [None, None]


@pytest.mark.parametrize(
    "name", [FLAGSHIP, "event_wait_before_record", "clear_erases_rearm", "gated_collective"]
)
def test_a_story_fits_its_schema(name):
    jsonschema.validate(json.loads(json.dumps(told_story(name).document())), schema("eplb-story/1"))


def test_a_schema_that_allows_anything_would_be_noticed():
    document = json.loads(json.dumps(hang().document()))
    document["frames"][0]["cells"][0]["status"] = "asleep"

    with pytest.raises(jsonschema.ValidationError, match="asleep"):
        jsonschema.validate(document, schema("eplb-story/1"))


def test_what_is_stuck_at_the_end_has_no_end():
    story = hang()
    ends = {
        story.tracks[number].name: [each.last for each in stretches(story, number)][-1]
        for number in range(len(story.tracks))
    }

    assert set(ends.values()) == {None}
    assert all(
        each.last is not None
        for number in range(len(story.tracks))
        for each in list(stretches(story, number))[:-1]
    )


def test_a_table_leaves_no_column_out():
    told = columns_text(told_story("blocked_streams")) or ""
    named = {word for line in told.splitlines() for word in line.split() if word.startswith("0.")}

    assert {f"0.s{n}" for n in range(9)} <= named
    assert max(map(len, told.splitlines())) <= 100


def test_the_film_of_a_stall_goes_through_its_loop_once_and_shows_who_is_left_out():
    story = told_story("clear_erases_rearm")
    assert story.loop is not None
    within = story.steps[story.loop :]
    cells = [dict(zip((t.name for t in story.tracks), f.cells, strict=True)) for f in story.frames]

    assert within
    assert {step.track for step in within} == {"0.main"}
    assert all(each["0.eplb"].status == "stuck" for each in cells[story.loop :])
    assert cells[-1]["0.main"].text == cells[story.loop]["0.main"].text
    assert f"Steps {story.loop + 1} to {len(story.steps)} repeat for ever." in story.notes


def test_a_finding_without_a_step_shows_the_ranks_all_the_same():
    story = told_story("nothing_is_ever_asked")

    assert story.steps == ()
    assert story.ranks == (0,)
    assert story.tracks


def test_memory_is_told_in_words():
    story = told_story("locks_in_opposite_order")

    assert [dict(f.memory[0]) for f in story.frames] == [
        {},
        {"model": "held by 0.main"},
        {"model": "held by 0.main", "buffer": "held by 0.eplb"},
    ]


# --- the circle --------------------------------------------------------------------------------


def test_the_graph_has_the_circle_and_who_waits_behind_it():
    nodes, edges = wait_graph(hang())

    assert [node.name for node in nodes if node.in_circle] == [
        "0.compute", "0.side", "1.side", "1.compute",
    ]  # fmt: skip
    assert sum(edge.in_circle for edge in edges) == 4
    assert len(nodes) == 8


def test_mermaid_has_a_thick_edge_for_every_member_of_the_circle():
    text = mermaid(hang())

    assert text.startswith("flowchart LR\n")
    assert text.count("==>") == 4
    assert "class n0,n1,n2,n3 circle" in text


def test_labels_can_t_end_their_quotes():
    described = scenario(rank([Launch("k", "s")]), kernels=[kernel("k", until='a"]; n9["<b>`#\\')])
    story = story_of(Asked(described), check(described))
    labels = re.findall(r'^  n\d+\["(.*)"\]$', mermaid(story), re.MULTILINE)
    quoted = re.findall(r'label="((?:[^"\\]|\\.)*)"', dot(story))

    assert len(labels) == 1
    assert not set('"<>`') & set(labels[0].replace("<br/>", ""))
    assert len(quoted) == 2
    assert len(re.findall(r"^  n\d", dot(story), re.MULTILINE)) == 1


def test_a_large_graph_is_bounded():
    threads = [(WaitFlag("x"),) for _ in range(8)]
    described = scenario(*(rank(*threads) for _ in range(8)))
    nodes, _ = wait_graph(story_of(Asked(described), check(described)))

    assert len(nodes) == 24


# --- Perfetto ----------------------------------------------------------------------------------


def _events(story: Story) -> list[dict]:
    return list(json.loads(chrome_trace(story))["traceEvents"])


def test_a_rank_is_a_process_and_its_main_thread_the_first_track():
    events = _events(hang())
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}

    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == [
        "rank 0", "rank 1",
    ]  # fmt: skip
    assert [names[1000, n] for n in (1000, 1001, 1002, 1003)] == [
        "thread main", "thread eplb", "stream compute", "stream side",
    ]  # fmt: skip


def test_the_main_thread_has_the_number_of_its_process_and_no_number_is_given_twice():
    """By that Perfetto tells a main thread, and puts it first; with 1 for every main thread rank 2
    began with its second thread."""
    events = _events(told_story("crashed_rank_in_flag_reduce"))  # three ranks
    named = [e for e in events if e["name"] == "thread_name"]

    mains = [e for e in named if e["args"]["name"] == "thread main"]
    assert [e["pid"] == e["tid"] for e in mains] == [True] * 3
    assert len({e["tid"] for e in named}) == len(named)
    assert {e["pid"] for e in events} == {e["pid"] for e in mains}


def test_stuck_work_begins_and_never_ends_and_the_rest_is_complete():
    events = _events(hang())
    begun = [e for e in events if e["ph"] == "B"]

    assert len(begun) == 8
    assert not [e for e in events if e["ph"] == "E"]
    assert all(e["args"]["stuck"] and e["ts"] <= 6 * STEP for e in begun)
    assert all(e["dur"] > 0 for e in events if e["ph"] == "X")


@pytest.mark.parametrize("name", [FLAGSHIP, "clear_erases_rearm", "async_eplb_clear_at_end"])
def test_every_flow_starts_and_finishes_inside_an_event_of_its_track(name):
    """A viewer drops an arrow whose end is on no event."""
    events = _events(told_story(name))
    spans = [e for e in events if e["ph"] in ("X", "B")]
    ends = [e for e in events if e["ph"] in ("s", "f")]

    def is_inside(flow, span):
        later = span["ts"] + span.get("dur", 10**9)
        same = (flow["pid"], flow["tid"]) == (span["pid"], span["tid"])
        return same and span["ts"] <= flow["ts"] < later

    assert ends
    assert Counter(e["id"] for e in ends if e["ph"] == "s") == Counter(
        e["id"] for e in ends if e["ph"] == "f"
    )
    lost = [e for e in ends if not any(is_inside(e, span) for span in spans)]
    assert lost == []


def test_flows_are_of_three_kinds():
    kinds = {e["cat"] for e in _events(told_story("clear_erases_rearm")) if e["ph"] == "s"}

    assert kinds | {e["cat"] for e in _events(hang()) if e["ph"] == "s"} == {
        "submits", "happens before", "waits for",
    }  # fmt: skip


def test_a_flow_of_a_wait_for_ever_ends_within_what_is_stuck():
    events = _events(hang())
    begun = {(e["pid"], e["tid"]): e["ts"] for e in events if e["ph"] == "B"}

    for end in (e for e in events if e["ph"] == "f" and e["cat"] == "waits for"):
        assert end["bp"] == "e"
        assert end["ts"] >= begun[end["pid"], end["tid"]]


def test_the_counters_are_the_sms_in_use():
    counted = [e["args"]["in use"] for e in _events(hang()) if e["ph"] == "C" and e["pid"] == 2000]

    assert (counted[0], counted[-1]) == (0, 3)
    assert counted == sorted(counted)
    assert set(counted) == {0, 3}  # a gang starts with all its CTAs
