"""What `render`, `explore` and `check --explain` write, for one vector and for all."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from eplb_model.check import Search, check
from eplb_model.cli import main
from eplb_model.explain.asked import Asked, on_machine_of
from eplb_model.explain.explanation import explain, story_of
from eplb_model.render.chrome_trace import chrome_trace
from eplb_model.render.circle import mermaid
from eplb_model.render.explained import explanation_text
from eplb_model.render.page import graph_page, page
from eplb_model.schema import schema
from eplb_model.vector import catalogue
from tests.stories import FLAGSHIP, SMALL, embedded, small_graph

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
    assert len(embedded(out.read_text())["nodes"]) == 16
    assert graph_page(small_graph()) + "\n" == out.read_text()


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
        assert embedded(page(story))["story"] == document
        assert story.tracks, vector.name
        assert mermaid(story).startswith("flowchart")

    assert set(seen) == {"deadlock", "stall", "race", "violation", "misuse"}
    assert sum(seen.values()) > 60
