"""The pages in a real Chromium: what a person sees, clicks and types."""

from __future__ import annotations

import struct
import threading

import pytest

from eplb_model.check import check
from eplb_model.commands.explore import server
from eplb_model.explain.asked import Asked
from eplb_model.explain.explanation import story_of
from eplb_model.explain.walking import graph_document
from eplb_model.render.page import graph_page, page
from eplb_model.vector import load
from tests.browser import chromium, missing
from tests.stories import nasty_story

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

FLAGSHIP = "coop_vs_nccl_opposite_order"
SMALL = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2}


@pytest.fixture(scope="module")
def browser():
    with chromium(1280, 1100) as driver:
        yield driver


@pytest.fixture(scope="module")
def hang(tmp_path_factory):
    """The page of the hang, as a file that is opened from disk."""
    vector = load(FLAGSHIP)
    asked = Asked(vector.scenario(), vector)
    path = tmp_path_factory.mktemp("pages") / "hang.html"
    path.write_text(page(story_of(asked, check(asked.scenario))), encoding="utf-8")
    return path.as_uri()


def _click(browser, name):
    browser.find_element("id", name).click()


def _text(browser, name):
    return browser.find_element("id", name).text


def _circle(browser):
    items = browser.find_elements("css selector", "#circle li")
    return [
        (each.get_attribute("data-actor"), each.get_attribute("data-waits-for")) for each in items
    ]


def _type(browser, key):
    browser.find_element("tag name", "body").send_keys(key)


def _complaints(browser):
    return [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]


def test_stepping_through_the_hang_leads_to_the_circle(browser, hang):
    browser.get(hang)
    assert _text(browser, "place") == "0 of 6"
    assert _circle(browser) == []
    for _ in range(6):
        _click(browser, "forward")

    assert _text(browser, "verdict") == "deadlock"
    assert _text(browser, "step").startswith("1.eplb launch exchange side; exchange: 0 of 16")
    assert _circle(browser) == [
        ("0.compute", "0.side"),
        ("0.side", "1.side"),
        ("1.side", "1.compute"),
        ("1.compute", "0.compute"),
    ]
    assert "needs 132 slots at once, 116 are free; exchange holds 16" in _text(browser, "circle")
    assert not browser.find_element("id", "forward").is_enabled()
    assert _complaints(browser) == []


def test_going_back_hides_the_circle_and_shows_the_earlier_state(browser, hang):
    browser.get(hang)
    _click(browser, "last")
    _click(browser, "back")

    assert _text(browser, "place") == "5 of 6"
    assert not browser.find_element("id", "circle-panel").is_displayed()
    state = browser.find_element("css selector", '#state [data-actor="1.eplb"]').text
    assert "launch exchange side" in state
    assert "can move" in state


def test_the_keyboard_steps_and_jumps(browser, hang):
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415 (an extra)

    browser.get(hang)
    places = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.END, Keys.HOME):
        _type(browser, key)
        places.append(_text(browser, "place"))

    assert places == ["1 of 6", "2 of 6", "1 of 6", "6 of 6", "0 of 6"]


def test_every_control_is_reached_by_tab_and_has_a_name(browser, hang):
    browser.get(hang)
    _click(browser, "forward")
    controls = browser.find_elements("css selector", "button:not([tabindex]), input, summary")

    assert len(controls) >= 6
    assert all(each.accessible_name for each in controls)


def test_clicking_a_column_goes_there(browser, hang):
    browser.get(hang)
    browser.find_element("css selector", '.tick[aria-label="step 3"]').click()

    assert _text(browser, "place") == "3 of 6"
    assert _text(browser, "step").startswith("1.main launch moe compute")


def test_the_sms_that_are_held_are_coloured(browser, hang):
    browser.get(hang)
    _click(browser, "last")
    gpus = browser.find_elements("css selector", ".gpu")
    taken = [len(each.find_elements("css selector", ".sm.taken")) for each in gpus]
    squares = [len(each.find_elements("css selector", ".sm")) for each in gpus]

    assert (taken, squares) == ([16, 132], [132, 132])


def test_what_is_stuck_is_drawn_without_an_end(browser, hang):
    browser.get(hang)
    _click(browser, "last")
    stuck = browser.find_elements("css selector", ".bar.stuck")
    column = browser.find_element("css selector", ".here")
    edge = column.location["x"] + column.size["width"]

    assert len(stuck) == 8
    assert all(each.location["x"] + each.size["width"] > edge + 5 for each in stuck)


def _paper(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_follow_the_system_and_the_button(hang):
    with chromium(900, 900, dark=True) as browser:
        browser.get(hang)
        dark = _paper(browser)
        assert _text(browser, "theme") == "Light"
        _click(browser, "theme")
        light = _paper(browser)

    assert (dark, light) == ("rgb(23, 24, 27)", "rgb(251, 250, 248)")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(width, hang):
    with chromium(width, 900) as browser:
        browser.get(hang)
        _click(browser, "last")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        here = browser.find_element("css selector", ".here")
        left = browser.execute_script("return arguments[0].getBoundingClientRect().left", here)

    assert wide <= width
    assert 0 <= left < width


def test_labels_stay_in_view_in_a_long_run_and_its_loop_is_framed(browser, tmp_path):
    vector = load("async_eplb_clear_at_end")
    asked = Asked(vector.scenario(), vector)
    path = tmp_path / "stall.html"
    path.write_text(page(story_of(asked, check(asked.scenario))), encoding="utf-8")
    browser.get(path.as_uri())
    _click(browser, "last")
    pane = browser.find_element("id", "timeline").rect
    labels = [each.rect for each in browser.find_elements("css selector", ".label .mono")]
    scrolled = browser.execute_script("return document.getElementById('timeline').scrollLeft")
    here = browser.find_element("css selector", ".here").rect

    assert scrolled > 1000
    assert all(pane["x"] <= each["x"] < pane["x"] + 200 for each in labels)
    assert here["x"] + here["width"] <= pane["x"] + pane["width"] + 1
    assert len(browser.find_elements("css selector", ".loop")) == 1
    assert _circle(browser) == [("0.worker", "0.main")]
    assert "Left out for ever" in _text(browser, "circle-title")


def test_the_page_of_a_race_says_which_edge_is_missing(browser, tmp_path):
    vector = load("event_wait_before_record")
    asked = Asked(vector.scenario(), vector)
    path = tmp_path / "race.html"
    path.write_text(page(story_of(asked, check(asked.scenario))), encoding="utf-8")
    browser.get(path.as_uri())
    _click(browser, "last")

    assert _text(browser, "verdict") == "race"
    notes = [each.text for each in browser.find_elements("css selector", "#notes li")]
    assert "second: kernel consume on 0.compute, submitted by 0.consumer." in notes
    assert any(each.startswith("Nothing makes 0.compute wait for 0.side") for each in notes)


def test_a_text_that_tries_to_be_markup_is_shown_as_text(browser, tmp_path):
    path = tmp_path / "nasty.html"
    path.write_text(page(nasty_story()), encoding="utf-8")
    browser.get(path.as_uri())

    assert "<img src=x onerror=alert(1)>" in _text(browser, "about")
    assert browser.find_elements("tag name", "img") == []
    assert _complaints(browser) == []


def _choose(browser, word):
    browser.find_element("css selector", f'#choices button[data-word="{word}"]').click()


HANG = ["0.eplb", "0.main", "0.main", "1.main", "1.eplb", "1.eplb"]


def _waits_for_place(browser, place):
    from selenium.webdriver.support.wait import WebDriverWait  # noqa: PLC0415 (an extra)

    WebDriverWait(browser, 20).until(lambda _: _text(browser, "place") == place)


def test_walking_the_embedded_graph_ends_in_the_hang_and_goes_back(browser, tmp_path):
    path = tmp_path / "graph.html"
    path.write_text(graph_page(graph_document(load(FLAGSHIP).scenario(SMALL), 300)), "utf-8")
    browser.get(path.as_uri())
    for word in HANG:
        _choose(browser, word)

    assert _text(browser, "verdict") == "deadlock"
    assert len(_circle(browser)) == 4
    assert "nobody can move" in _text(browser, "choices")
    _click(browser, "first")
    words = [
        each.get_attribute("data-word")
        for each in browser.find_elements("css selector", "#choices button")
    ]
    assert words == ["0.eplb", "1.main"]
    _choose(browser, "1.main")
    assert _text(browser, "place") == "1 of 1"  # another way: the old one is gone


def test_walking_the_served_states_ends_in_thehang(browser):
    serving = server(load(FLAGSHIP).scenario(SMALL), 0)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        browser.get(f"http://127.0.0.1:{serving.server_port}/")
        for number, word in enumerate(HANG, start=1):
            _choose(browser, word)
            _waits_for_place(browser, f"{number} of {number}")
        assert _text(browser, "verdict") == "deadlock"
        assert len(_circle(browser)) == 4
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_a_screenshot_is_no_blank_page(browser, hang):
    browser.get(hang)
    _click(browser, "last")
    picture = browser.get_screenshot_as_png()
    width, height = struct.unpack(">II", picture[16:24])

    assert (width, height) == (1280, 1100)
    assert len(picture) > 40_000
