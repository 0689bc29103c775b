"""`eplb-model explore`: walk the states of a scenario by hand, in a browser.

Rules of the server: it listens on 127.0.0.1 alone, answers GET alone, knows two addresses, and
refuses a request for another host, so that no page of the network can ask through the browser.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from eplb_model.check import machines
from eplb_model.commands.searching import positive
from eplb_model.commands.vectors import add_vector, chosen_scenario
from eplb_model.explain.walking import first_document, graph_document, node_after
from eplb_model.outcome import UsageError
from eplb_model.render.page import graph_page
from eplb_model.scenario import Scenario
from eplb_model.trace import ScheduleError

HOST = "127.0.0.1"
EMBEDDED = 300  # states in a page unless --max-states says otherwise


def add_arguments(parser: ArgumentParser) -> None:
    """Take a vector, and whether to write a page or to serve one."""
    add_vector(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="write one page with the graph in it, and exit"
    )
    parser.add_argument("--max-states", type=positive, default=EMBEDDED, help="in that page")
    parser.add_argument("--port", type=int, default=0, help="to serve on; 0 takes a free one")


def run(options: Namespace) -> int:
    """Write the page, or serve it until Ctrl-C."""
    scenario = chosen_scenario(options)
    scenario = scenario.on(next(machines(scenario)))
    if options.out is not None:
        return _write(options, scenario)
    try:
        with server(scenario, options.port) as serving:
            print(f"http://{HOST}:{serving.server_port}/  (Ctrl-C ends it)", flush=True)
            serving.serve_forever()
    except OSError as error:
        raise UsageError(f"port {options.port}: {error.strerror}") from None
    except OverflowError:
        raise UsageError(f"port {options.port}: expected 0 to 65535") from None
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def server(scenario: Scenario, port: int) -> ThreadingHTTPServer:
    """A server on this machine alone, ready to serve."""
    return ThreadingHTTPServer((HOST, port), partial(_Handler, scenario))


class _Handler(BaseHTTPRequestHandler):
    """The page, and the state behind a schedule."""

    def __init__(self, scenario: Scenario, *arguments: object) -> None:
        self._scenario = scenario
        super().__init__(*arguments)  # type: ignore[arg-type]  # those of the standard library

    def do_GET(self) -> None:
        """Answer one request."""
        assert isinstance(self.server, ThreadingHTTPServer)
        ours = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in ours:
            self._answer(403, "text/plain", "this is served to this machine alone")
            return
        asked = urlsplit(self.path)
        if asked.path == "/":
            self._answer(200, "text/html", graph_page(first_document(self._scenario), served=True))
        elif asked.path == "/node":
            self._node(parse_qs(asked.query).get("schedule", [""])[0])
        else:
            self._answer(404, "text/plain", "known: / and /node?schedule=...")

    def _node(self, schedule: str) -> None:
        try:
            document = node_after(self._scenario, schedule)
        except ScheduleError as error:
            self._answer(400, "text/plain", str(error))
            return
        self._answer(200, "application/json", json.dumps(document, ensure_ascii=False))

    def _answer(self, code: int, kind: str, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: whoever clicks sees the answer."""


def _write(options: Namespace, scenario: Scenario) -> int:
    document = graph_document(scenario, options.max_states)
    try:
        Path(options.out).write_text(graph_page(document) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{options.out}: {error.strerror}") from None
    count = len(document["nodes"])
    whole = "the graph ends there" if document["cut"] else "the whole graph"
    print(f"{options.out}: {count} states, {whole}")
    return 0
