"""Who waits for whom as a picture in text: Mermaid for Markdown, DOT for Graphviz.

Rules: nodes are numbered, so that no name has to be a valid identifier; whatever a label says is
escaped; at most `MOST_NODES` parties are drawn, those of the circle first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eplb_model.render.story import Cell, Story

MOST_NODES = 24
LABEL_WIDTH = 34


@dataclass(frozen=True, slots=True)
class Node:
    """A party: its name, what it does and why it waits, line by line."""

    name: str
    lines: tuple[str, ...]
    in_circle: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """Positions of two nodes: who waits, for whom."""

    source: int
    target: int
    in_circle: bool


def wait_graph(story: Story) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """The parties that wait in the last frame, and those that they wait for."""
    cells = dict(zip((track.name for track in story.tracks), story.frames[-1].cells, strict=True))
    waits = [name for name, cell in cells.items() if cell.status in ("stuck", "waits")]
    ring = list(dict.fromkeys(story.circle))
    wanted = [name for name in ring if name in cells]
    wanted += [name for name in waits if name not in wanted]
    wanted += [on for name in waits for on in cells[name].on if on in cells and on not in wanted]
    names = list(dict.fromkeys(wanted))[:MOST_NODES]
    place = {name: n for n, name in enumerate(names)}
    steps = set(zip(story.circle, story.circle[1:], strict=False))
    nodes = tuple(Node(name, _lines(cells[name]), name in ring) for name in names)
    edges = tuple(
        Edge(place[name], place[on], (name, on) in steps)
        for name in names
        if cells[name].status in ("stuck", "waits")
        for on in cells[name].on
        if on in place
    )
    return nodes, edges


def mermaid(story: Story) -> str:
    """A Mermaid flowchart; GitHub shows it in a ```mermaid block."""
    nodes, edges = wait_graph(story)
    lines = ["flowchart LR"]
    for number, node in enumerate(nodes):
        label = "<br/>".join(map(_for_mermaid, (node.name, *node.lines)))
        lines.append(f'  n{number}["{label}"]')
    lines += [f"  n{e.source} {'==>' if e.in_circle else '-.->'} n{e.target}" for e in edges]
    members = [f"n{number}" for number, node in enumerate(nodes) if node.in_circle]
    if members:
        lines.append("  classDef circle stroke:#c0392b,stroke-width:3px")
        lines.append(f"  class {','.join(members)} circle")
    return "\n".join(lines)


def dot(story: Story) -> str:
    """A DOT digraph."""
    nodes, edges = wait_graph(story)
    lines = [
        "digraph waits {",
        "  rankdir=LR;",
        '  node [shape=box, style=rounded, fontname="Helvetica"];',
        f'  label="{_for_dot(story.title)}: who waits for whom";',
    ]
    for number, node in enumerate(nodes):
        label = r"\n".join(map(_for_dot, (node.name, *node.lines)))
        red = ', color="#c0392b", penwidth=2' if node.in_circle else ""
        lines.append(f'  n{number} [label="{label}"{red}];')
    for edge in edges:
        style = 'color="#c0392b", penwidth=2' if edge.in_circle else "style=dashed"
        lines.append(f"  n{edge.source} -> n{edge.target} [{style}];")
    return "\n".join([*lines, "}"])


def _lines(cell: Cell) -> tuple[str, ...]:
    texts: Sequence[str] = (cell.text, cell.why)
    return tuple(line for text in texts for line in _wrapped(text))


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, LABEL_WIDTH)


def _for_mermaid(text: str) -> str:
    """Inside a quoted label; `#` begins an entity and has to go first."""
    replaced = text.replace("#", "#35;").replace("&", "#amp;").replace('"', "#quot;")
    return replaced.replace("<", "#lt;").replace(">", "#gt;").replace("`", "#96;")


def _for_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
