"""Findings and stories that the tests explain and draw, and what a page holds."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from html.parser import HTMLParser

from eplb_model.check import check
from eplb_model.explain.asked import Asked
from eplb_model.explain.explanation import explain, story_of
from eplb_model.explain.walking import graph_document
from eplb_model.ops.flags import WaitFlag
from eplb_model.outcome import Finding
from eplb_model.render.explained import explanation_text
from eplb_model.render.story import Story
from eplb_model.scenario import Scenario
from eplb_model.vector import load
from tests.small import rank, scenario

SMALL = {"machine": "tiny", "coop_ctas": 3, "nccl_ctas": 2, "nccl_cluster": 2}
FLAGSHIP = "coop_vs_nccl_opposite_order"
NASTY = "</script><img src=x onerror=alert(1)> \"quoted\" 'single' `tick` #1; {{title}} \\ & \u2028"


def question_of(name: str, **settings) -> Asked:
    """A vector under settings, ready to be explained."""
    vector = load(name)
    return Asked(vector.scenario(settings), vector, settings)


def explained(name: str, **settings) -> str:
    """The explanation of what a vector does."""
    question = question_of(name, **settings)
    return explanation_text(explain(question, check(question.scenario)))


def finding_in(described: Scenario) -> Finding:
    """What the search finds in a scenario in which it finds something."""
    finding = check(described).finding
    assert finding is not None
    return finding


@cache
def told_story(name: str, **settings) -> Story:
    """The story of what a vector does."""
    question = question_of(name, **settings)
    return story_of(question, check(question.scenario))


def hang() -> Story:
    """That of the hang, on a small machine."""
    return told_story(FLAGSHIP, **SMALL)


def nasty_story() -> Story:
    """A title and an about that try to be markup; names of a vector can't."""
    described = scenario(rank([WaitFlag("x")]), about=NASTY)
    described = type(described)(**{**described.__dict__, "name": NASTY})
    return story_of(Asked(described), check(described))


class Page(HTMLParser):
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


def embedded(text: str) -> dict:
    found = json.loads(Page(text).data)
    assert isinstance(found, dict)
    return found


def small_graph(most: int = 300) -> dict:
    """The hang as a graph to walk, as a page gets it."""
    return dict(json.loads(json.dumps(graph_document(load(FLAGSHIP).scenario(SMALL), most))))
