"""Stories, pictures and pages: what they show is what the states say, and nothing can break out."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import threading
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from eplb_model.check import Search, check
from eplb_model.cli import main
from eplb_model.commands.explore import server
from eplb_model.explain.asked import Asked, on_machine_of
from eplb_model.explain.explanation import explain, story_of
from eplb_model.explain.walking import graph_document, node_after
from eplb_model.ops.flags import WaitFlag
from eplb_model.ops.launch import Launch
from eplb_model.render.chrome_trace import STEP, chrome_trace
from eplb_model.render.circle import dot, mermaid, wait_graph
from eplb_model.render.explained import explanation_text
from eplb_model.render.page import VIEWER, graph_page, page
from eplb_model.render.story import Story, stretches
from eplb_model.render.table import columns_text
from eplb_model.schema import schema
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import catalogue, load
from eplb_model.wait_for import stuck_set
from tests.small import kernel, rank, scenario

SMALL = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2}
FLAGSHIP = "coop_vs_nccl_opposite_order"
NASTY = "</script><img src=x onerror=alert(1)> \"quoted\" 'single' `tick` #1; {{title}} \\ & \u2028"


@cache
def _story(name: str, **settings) -> Story:
    vector = load(name)
    asked = Asked(vector.scenario(settings), vector, settings)
    return story_of(asked, check(asked.scenario))


def _hang() -> Story:
    return _story(FLAGSHIP, **SMALL)


def _nasty_story() -> Story:
    """A title and an about that try to be markup; names of a vector can't."""
    described = scenario(rank([WaitFlag("x")]), about=NASTY)
    described = type(described)(**{**described.__dict__, "name": NASTY})
    return story_of(Asked(described), check(described))


class _Page(HTMLParser):
    """The tags of a page, and what its data element holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.data = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self._inside = ("id", "data") in attrs

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.data += data


def _embedded(text: str) -> dict:
    found = json.loads(_Page(text).data)
    assert isinstance(found, dict)
    return found


# --- stories -----------------------------------------------------------------------------------


def test_a_story_has_a_frame_for_every_state_and_a_cell_for_every_party():
    story = _hang()

    assert len(story.frames) == len(story.steps) + 1 == 7
    assert {len(frame.cells) for frame in story.frames} == {len(story.tracks)} == {8}
    assert [track.name for track in story.tracks[:4]] == ["0.main", "0.eplb", "0.compute", "0.side"]


def test_a_cell_says_what_the_state_says():
    described = load(FLAGSHIP).scenario(SMALL)
    story = _hang()
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
    crowded, roomy = _hang(), _story("event_wait_before_record")

    assert all(each.seats for sms in crowded.frames[-1].sms for each in sms)
    assert [each.seats for sms in roomy.frames[-1].sms for each in sms] == [None, None]


@pytest.mark.parametrize(
    "name", [FLAGSHIP, "event_wait_before_record", "clear_erases_rearm", "gated_collective"]
)
def test_a_story_fits_its_schema(name):
    jsonschema.validate(json.loads(json.dumps(_story(name).document())), schema("eplb-story/1"))


def test_a_schema_that_allows_anything_would_be_noticed():
    document = json.loads(json.dumps(_hang().document()))
    document["frames"][0]["cells"][0]["status"] = "asleep"

    with pytest.raises(jsonschema.ValidationError, match="asleep"):
        jsonschema.validate(document, schema("eplb-story/1"))


def test_what_is_stuck_at_the_end_has_no_end():
    story = _hang()
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
    told = columns_text(_story("blocked_streams")) or ""
    named = {word for line in told.splitlines() for word in line.split() if word.startswith("0.")}

    assert {f"0.s{n}" for n in range(9)} <= named
    assert max(map(len, told.splitlines())) <= 100


def test_the_film_of_a_stall_goes_through_its_loop_once_and_shows_who_is_left_out():
    story = _story("clear_erases_rearm")
    assert story.loop is not None
    within = story.steps[story.loop :]
    cells = [dict(zip((t.name for t in story.tracks), f.cells, strict=True)) for f in story.frames]

    assert within
    assert {step.track for step in within} == {"0.main"}
    assert all(each["0.eplb"].status == "stuck" for each in cells[story.loop :])
    assert cells[-1]["0.main"].text == cells[story.loop]["0.main"].text
    assert f"Steps {story.loop + 1} to {len(story.steps)} repeat for ever." in story.notes


def test_a_finding_without_a_step_shows_the_ranks_all_the_same():
    story = _story("nothing_is_ever_asked")

    assert story.steps == ()
    assert story.ranks == (0,)
    assert story.tracks


def test_memory_is_told_in_words():
    story = _story("locks_in_opposite_order")

    assert [dict(f.memory[0]) for f in story.frames] == [
        {},
        {"model": "held by 0.main"},
        {"model": "held by 0.main", "buffer": "held by 0.eplb"},
    ]


# --- the circle --------------------------------------------------------------------------------


def test_the_graph_has_the_circle_and_who_waits_behind_it():
    nodes, edges = wait_graph(_hang())

    assert [node.name for node in nodes if node.in_circle] == [
        "0.compute", "0.side", "1.side", "1.compute",
    ]  # fmt: skip
    assert sum(edge.in_circle for edge in edges) == 4
    assert len(nodes) == 8


def test_mermaid_has_a_thick_edge_for_every_member_of_the_circle():
    text = mermaid(_hang())

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
    events = _events(_hang())
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}

    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == [
        "rank 0", "rank 1",
    ]  # fmt: skip
    assert [names[0, n] for n in (1, 2, 3, 4)] == [
        "thread main", "thread eplb", "stream compute", "stream side",
    ]  # fmt: skip


def test_stuck_work_begins_and_never_ends_and_the_rest_is_complete():
    events = _events(_hang())
    begun = [e for e in events if e["ph"] == "B"]

    assert len(begun) == 8
    assert not [e for e in events if e["ph"] == "E"]
    assert all(e["args"]["stuck"] and e["ts"] <= 6 * STEP for e in begun)
    assert all(e["dur"] > 0 for e in events if e["ph"] == "X")


@pytest.mark.parametrize("name", [FLAGSHIP, "clear_erases_rearm", "async_eplb_clear_at_end"])
def test_every_flow_starts_and_finishes_inside_an_event_of_its_track(name):
    """A viewer drops an arrow whose end is on no event."""
    events = _events(_story(name))
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
    kinds = {e["cat"] for e in _events(_story("clear_erases_rearm")) if e["ph"] == "s"}

    assert kinds | {e["cat"] for e in _events(_hang()) if e["ph"] == "s"} == {
        "submits", "happens before", "waits for",
    }  # fmt: skip


def test_a_flow_of_a_wait_for_ever_ends_within_what_is_stuck():
    events = _events(_hang())
    begun = {(e["pid"], e["tid"]): e["ts"] for e in events if e["ph"] == "B"}

    for end in (e for e in events if e["ph"] == "f" and e["cat"] == "waits for"):
        assert end["bp"] == "e"
        assert end["ts"] >= begun[end["pid"], end["tid"]]


def test_the_counters_are_the_sms_in_use():
    counted = [e["args"]["in use"] for e in _events(_hang()) if e["ph"] == "C" and e["pid"] == 1]

    assert (counted[0], counted[-1]) == (0, 3)
    assert counted == sorted(counted)
    assert set(counted) == {0, 3}  # a gang starts with all its CTAs


# --- pages -------------------------------------------------------------------------------------


def test_a_page_holds_its_story_and_asks_for_nothing():
    text = page(_hang())
    found = _Page(text)

    assert _embedded(text)["story"] == json.loads(json.dumps(_hang().document()))
    assert found.addresses == []
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text


def test_a_text_that_tries_to_be_markup_stays_text():
    plain, nasty = _Page(page(_hang())), _Page(page(_nasty_story()))

    assert nasty.tags == plain.tags
    assert _embedded(page(_nasty_story()))["story"]["about"] == NASTY


def test_the_script_never_writes_markup():
    script = (VIEWER / "page.js").read_text("utf-8")

    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


# --- graphs to walk ----------------------------------------------------------------------------


def _graph(most: int = 300) -> dict:
    return dict(json.loads(json.dumps(graph_document(load(FLAGSHIP).scenario(SMALL), most))))


def test_a_graph_fits_its_schema():
    story, graph = schema("eplb-story/1"), schema("eplb-graph/1")
    registry: Registry = Registry().with_resource(
        "eplb-story-1.json", Resource.from_contents(story)
    )

    jsonschema.Draft202012Validator(graph, registry=registry).validate(_graph())
    assert "$ref" in json.dumps(graph)


def test_a_graph_leads_where_the_steps_lead():
    document = _graph()
    world = load(FLAGSHIP).scenario(SMALL).world
    number, words = 0, []
    while document["nodes"][number]["actions"]:
        action = document["nodes"][number]["actions"][-1]
        words.append(action["word"])
        number = action["to"]
    asked = node_after(load(FLAGSHIP).scenario(SMALL), " ".join(words))

    assert json.loads(json.dumps(asked["frame"])) == document["nodes"][number]["frame"]
    assert document["nodes"][number]["frame"]["verdict"] == "deadlock"
    assert replay(world, parse_schedule(world, " ".join(words))).last.unfinished()


def test_the_whole_graph_is_the_plain_search_and_no_action_leads_out_of_it():
    document = _graph()

    assert (len(document["nodes"]), document["cut"]) == (16, None)
    assert all(a["to"] is not None for node in document["nodes"] for a in node["actions"])


def test_behind_a_bound_an_action_has_no_target():
    document = _graph(most=5)

    assert (len(document["nodes"]), document["cut"]) == (5, "max_states")
    assert any(a["to"] is None for node in document["nodes"] for a in node["actions"])


def test_an_action_of_a_node_says_what_it_does():
    (first, *_) = _graph()["nodes"][0]["actions"]

    assert first["does"].startswith("launch exchange side; exchange: 2 of 2 CTAs placed")


# --- served ------------------------------------------------------------------------------------


@pytest.fixture
def port():
    serving = server(load(FLAGSHIP).scenario(SMALL), 0)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_port
    serving.shutdown()
    thread.join()
    serving.server_close()


def _get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_server_gives_the_page_and_the_state_behind_a_schedule(port):
    code, text = _get(port, "/")
    answer = json.loads(_get(port, "/node?schedule=0.eplb%200.main")[1])

    assert code == 200
    assert _embedded(text)["mode"] == "served"
    assert "connect-src 'self'" in text
    expected = node_after(load(FLAGSHIP).scenario(SMALL), "0.eplb 0.main")
    assert answer == json.loads(json.dumps(expected))


@pytest.mark.parametrize("host", ["example.com", "evil.example:80", "127.0.0.1", ""])
def test_the_server_refuses_another_host(port, host):
    assert _get(port, "/", host)[0] == 403


def test_the_server_says_what_is_wrong_with_a_schedule_and_knows_two_addresses(port):
    assert _get(port, "/node?schedule=0.nobody")[0] == 400
    assert "0.main can't move" in _get(port, "/node?schedule=0.main")[1]
    assert _get(port, "/../etc/passwd")[0] == 404
    assert _get(port, "/node", f"localhost:{port}")[0] == 200


def test_the_server_listens_on_this_machine_alone():
    with server(load(FLAGSHIP).scenario(SMALL), 0) as serving:
        assert serving.server_address[0] == "127.0.0.1"


# --- the commands ------------------------------------------------------------------------------


def _report(tmp_path: Path, capsys, *words: str) -> Path:
    main(["check", *words, "--json"])
    path = tmp_path / "report.json"
    path.write_text(capsys.readouterr().out)
    return path


SETS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize(
    "words",
    [
        [FLAGSHIP, *SETS],
        ["event_wait_before_record"],
        ["clear_erases_rearm"],
        ["gated_collective"],
        ["votes_out_of_step"],
        pytest.param(["priority_inversion"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_a_report_that_was_written_is_explained_as_it_was(words, tmp_path, capsys):
    main(["check", *words, "--explain"])
    told = capsys.readouterr().out
    path = _report(tmp_path, capsys, *words)
    code = main(["render", str(path)])
    again = capsys.readouterr().out

    assert code == 0
    head = told.partition("\nReplay:")[0]
    assert head == again.partition("\nReplay:")[0]
    assert "\nHowever\n" in head


@pytest.mark.parametrize("form", ["mermaid", "dot", "perfetto", "html"])
def test_every_picture_of_a_report_is_that_of_its_vector(form, tmp_path, capsys):
    path = _report(tmp_path, capsys, FLAGSHIP, *SETS)
    assert main(["render", FLAGSHIP, *SETS, "--format", form]) == 0
    expected = capsys.readouterr().out
    out = tmp_path / f"picture.{form}"
    assert main(["render", str(path), "--format", form, "--out", str(out)]) == 0

    assert out.read_text() == expected


MAY = [FLAGSHIP, "--machine", "h20", "--set", "coop_ctas=70", "--set", "nccl_ctas=12"]


@pytest.mark.parametrize("words", [[FLAGSHIP, *SETS], MAY], ids=["deadlock", "may"])
def test_what_is_printed_to_replay_replays(words, tmp_path, capsys):
    """For `may`, under the setting that goes wrong."""
    main(["check", *words])
    printed = [capsys.readouterr().out]
    main(["render", str(_report(tmp_path, capsys, *words))])
    printed.append(capsys.readouterr().out)

    for told in printed:
        line = told.partition("Replay:\n")[2].splitlines()[0]
        assert main(shlex.split(line)[1:]) == 0
        assert "deadlock: nobody can move" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": ["0.nobody"]}, "no actor '0.nobody'"),
        ({"schedule": ["0.main"]}, "0.main can't move"),
        ({"vector": "no_such_vector", "scenario": "no_such_vector"}, "unknown vector"),
        ({"parameters": {"coop_cta": 1}}, "coop_cta"),
        ({"verdict": "fine"}, "unknown verdict 'fine'"),
        ({"switches": None}, "does not fit"),
        ({"schedule": 7}, "does not fit"),
    ],
)
def test_a_report_that_does_not_fit_is_one_line_and_exit_code_2(change, message, tmp_path, capsys):
    path = _report(tmp_path, capsys, FLAGSHIP, *SETS)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    code = main(["render", str(path)])
    out, err = capsys.readouterr()

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_report_without_a_key_names_it(tmp_path, capsys):
    path = tmp_path / "report.json"
    path.write_text('{"schema": "eplb-report/1", "scenario": "x"}')

    assert main(["render", str(path)]) == 2
    assert "a report without parameters, verdict" in capsys.readouterr().err


def test_a_report_can_t_be_changed_by_settings(tmp_path, capsys):
    path = _report(tmp_path, capsys, FLAGSHIP, *SETS)

    assert main(["render", str(path), "--set", "ranks=3"]) == 2
    assert "--set changes a vector" in capsys.readouterr().err


def test_what_holds_has_a_text_and_no_picture(capsys):
    assert main(["render", "coop_vs_nccl_capped"]) == 0
    assert "ok, every run ends well" in capsys.readouterr().out
    assert main(["render", "coop_vs_nccl_capped", "--format", "html"]) == 2
    assert "no schedule to draw" in capsys.readouterr().err


def test_a_file_that_can_t_be_written_is_an_error_of_one_line(tmp_path, capsys):
    nowhere = str(tmp_path / "no" / "x.html")

    assert main(["render", FLAGSHIP, *SETS, "--format", "html", "--out", nowhere]) == 2
    assert main(["explore", FLAGSHIP, *SETS, "--out", nowhere]) == 2
    assert capsys.readouterr().err.count("No such file") == 2


def test_explore_writes_one_page_with_the_graph(tmp_path, capsys):
    out = tmp_path / "graph.html"
    code = main(["explore", FLAGSHIP, *SETS, "--out", str(out)])

    assert code == 0
    assert "16 states, the whole graph" in capsys.readouterr().out
    assert len(_embedded(out.read_text())["nodes"]) == 16
    assert graph_page(_graph()) + "\n" == out.read_text()


# --- the pictures of the specs -----------------------------------------------------------------


def test_every_picture_is_shown_by_a_page_and_small():
    specs = Path(__file__).parents[1] / "specs"
    shown = re.findall(r"\]\(pictures/(\w+\.png)\)", (specs / "explanations.md").read_text())
    pictures = [*sorted((specs / "pictures").glob("hang*.png")), specs / "pictures" / "walk.png"]

    assert sorted(shown) == [path.name for path in pictures]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert max(path.stat().st_size for path in pictures) < 200_000


# --- the whole catalogue -----------------------------------------------------------------------


@pytest.mark.slow
def test_every_finding_of_the_catalogue_is_explained_and_drawn():
    seen: Counter[str] = Counter()
    for vector in catalogue():
        cases = vector.cases()
        if not cases or cases[0][1].verdict in ("ok", "unknown"):
            continue
        report = check(vector.scenario(), Search(max_states=60_000))
        if report.finding is None:
            continue
        asked = on_machine_of(Asked(vector.scenario(), vector), report)
        told = explanation_text(explain(asked, report, with_cures=False))
        story = story_of(asked, report)
        document = json.loads(json.dumps(story.document()))
        seen[report.finding.verdict] += 1

        assert max(map(len, told.splitlines())) <= 100, vector.name
        assert "However" in told, vector.name
        jsonschema.validate(document, schema("eplb-story/1"))
        assert json.loads(chrome_trace(story))["traceEvents"]
        assert _embedded(page(story))["story"] == document
        assert story.tracks, vector.name
        assert mermaid(story).startswith("flowchart")

    assert set(seen) == {"deadlock", "stall", "race", "violation", "misuse"}
    assert sum(seen.values()) > 60
