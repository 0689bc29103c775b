"""A story, or a graph of states, as one HTML file that needs no network.

Rules: the page is viewer/page.html with style, script and data put in; the data can't end its
element, whatever a vector says; the script sets text only as text.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eplb_model.render.story import Story

VIEWER = Path(__file__).with_name("viewer")
PLACE = re.compile(r"\{\{(\w+)\}\}")

# What would end the element, or the line in older readers of JavaScript.
ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def page(story: Story) -> str:
    """The page of a run, to step through."""
    return _filled(story.title, {"mode": "story", "story": story.document()})


def graph_page(graph: Mapping[str, Any], *, served: bool = False) -> str:
    """The page of a graph (`eplb-graph/1`), to walk; served, each next state is asked for."""
    mode = "served" if served else "graph"
    return _filled(
        graph["story"]["title"], {**graph, "mode": mode}, "'self'" if served else "'none'"
    )


def _filled(title: str, data: Mapping[str, Any], connect: str = "'none'") -> str:
    parts = {
        "title": html.escape(title),
        "style": _part("page.css"),
        "script": _part("page.js"),
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(ESCAPES),
        "connect": connect,
    }
    return PLACE.sub(lambda found: parts[found[1]], _part("page.html"))


@cache
def _part(name: str) -> str:
    return (VIEWER / name).read_text("utf-8").rstrip("\n")
