"""Pages that hold a story or a graph: they show it, serve it, and nothing can break out."""

from __future__ import annotations

import http.client
import json
import re
import threading
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from eplb_model.commands.explore import server
from eplb_model.explain.walking import node_after
from eplb_model.render.page import VIEWER, page
from eplb_model.schema import schema
from eplb_model.trace import parse_schedule, replay
from eplb_model.vector import load
from tests.stories import FLAGSHIP, NASTY, SMALL, Page, embedded, hang, nasty_story, small_graph

# --- pages -------------------------------------------------------------------------------------


def test_a_page_holds_its_story_and_asks_for_nothing():
    text = page(hang())
    found = Page(text)

    assert embedded(text)["story"] == json.loads(json.dumps(hang().document()))
    assert found.addresses == []
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text


def test_a_text_that_tries_to_be_markup_stays_text():
    plain, nasty = Page(page(hang())), Page(page(nasty_story()))

    assert nasty.tags == plain.tags
    assert embedded(page(nasty_story()))["story"]["about"] == NASTY


def test_the_script_never_writes_markup():
    script = (VIEWER / "page.js").read_text("utf-8")

    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


# --- graphs to walk ----------------------------------------------------------------------------


def test_a_graph_fits_its_schema():
    story, graph = schema("eplb-story/1"), schema("eplb-graph/1")
    registry: Registry = Registry().with_resource(
        "eplb-story-1.json", Resource.from_contents(story)
    )

    jsonschema.Draft202012Validator(graph, registry=registry).validate(small_graph())
    assert "$ref" in json.dumps(graph)


def test_a_graph_leads_where_the_steps_lead():
    document = small_graph()
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
    document = small_graph()

    assert (len(document["nodes"]), document["cut"]) == (16, None)
    assert all(a["to"] is not None for node in document["nodes"] for a in node["actions"])


def test_behind_a_bound_an_action_has_no_target():
    document = small_graph(most=5)

    assert (len(document["nodes"]), document["cut"]) == (5, "max_states")
    assert any(a["to"] is None for node in document["nodes"] for a in node["actions"])


def test_an_action_of_a_node_says_what_it_does():
    (first, *_) = small_graph()["nodes"][0]["actions"]

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
    assert embedded(text)["mode"] == "served"
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


# --- the pictures of the specs -----------------------------------------------------------------


def test_every_picture_is_shown_by_a_page_and_small():
    specs = Path(__file__).parents[1] / "specs"
    shown = re.findall(r"\]\(pictures/(\w+\.png)\)", (specs / "explanations.md").read_text())
    pictures = [*sorted((specs / "pictures").glob("hang*.png")), specs / "pictures" / "walk.png"]

    assert sorted(shown) == [path.name for path in pictures]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert max(path.stat().st_size for path in pictures) < 200_000
