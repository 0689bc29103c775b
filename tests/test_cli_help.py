"""The command line as a person meets it: help, examples, errors with a next step, what CI reads."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest

from eplb_model import command_line, vector
from eplb_model.cli import COMMANDS, main
from eplb_model.command_line import CommandLine
from eplb_model.commands import doctor
from eplb_model.commands.doctor import Finding, findings
from eplb_model.commands.examples import EXAMPLES
from eplb_model.outcome import EXIT_CODES
from eplb_model.render.annotations import LEVELS, SENTENCES
from eplb_model.schema import schema, schemas
from tests.documents import ROOT

FLAGSHIP = "coop_vs_nccl_opposite_order"
ALL = [(command, line) for command, lines in EXAMPLES.items() for line in lines]

LONG = ("advise", "campaign", "doctor", "sweep")


# --- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "line"),
    [pytest.param(*each, marks=pytest.mark.slow if each[0] in LONG else ()) for each in ALL],
)
def test_an_example_of_the_help_runs(command, line, capsys, tmp_path, monkeypatch):
    """`explore` without a file serves until it is stopped; here somebody stops it at once."""
    monkeypatch.chdir(tmp_path)  # where examples write their files
    monkeypatch.setattr("eplb_model.commands.explore.ThreadingHTTPServer.serve_forever", _stopped)
    program, *words = shlex.split(line.partition(" > ")[0])

    assert (program, words[0]) == ("eplb-model", command)
    assert main(words) in (0, 1, 3)
    assert capsys.readouterr().out


def _stopped(self):
    raise KeyboardInterrupt


def test_a_command_shows_its_examples(capsys):
    with pytest.raises(SystemExit):
        main(["check", "--help"])

    assert all(f"  {line}\n" in capsys.readouterr().out + "\n" for line in EXAMPLES["check"][:1])


def test_examples_are_of_commands():
    assert set(EXAMPLES) <= set(COMMANDS)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])

    assert stopped.value.code == 0
    assert re.fullmatch(r"eplb-model \d+\.\d+\.\d+\n", capsys.readouterr().out)


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["chek", FLAGSHIP],
            "unknown command 'chek'; close to it: check; known: check, render, explore,",
        ),
        (["check", FLAGSHIP, "--set", "coop_cta=1"], "; perhaps 'coop_ctas'"),
        (["check", "coop_vs_nccl_oposite_order"], f"close to it: {FLAGSHIP}"),
        (
            ["check", FLAGSHIP, "--zzz", "x"],
            "unknown option '--zzz'; see `eplb-model check --help`",
        ),
        (
            ["sweep", FLAGSHIP, "--vary", "ranks=2", "--stratgy=x"],
            "unknown option '--stratgy=x'; close to it: --strategy; see `eplb-model sweep --help`",
        ),
        (["check", FLAGSHIP, "twice"], "nothing takes 'twice'; see `eplb-model check --help`"),
        (["check", FLAGSHIP, "--set", "nccl_ctas=x"], "expected an integer of at least 1"),
        (["schema", "eplb-reprt/1"], "unknown schema 'eplb-reprt/1'; close to it: eplb-report/1;"),
    ],
)
def test_an_error_names_the_next_step(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_name_without_its_suffix_finds_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("{}")

    assert main(["check", "mine"]) == 2
    assert "mine: unknown vector; close to it: mine.json" in capsys.readouterr().err


@pytest.mark.parametrize("colours", [{}, {"NO_COLOR": "1"}])
def test_nothing_is_coloured(colours, capsys, monkeypatch):
    for name, value in colours.items():
        monkeypatch.setenv(name, value)
    main(["check", FLAGSHIP])

    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err


# --- doctor ------------------------------------------------------------------------------------


def test_the_doctor_finds_what_the_model_needs(capsys):
    assert main(["doctor", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("eplb-doctor/1"))
    needed = [each for each in document["findings"] if each["need"] == "required"]
    assert document["healthy"]
    assert [each["what"] for each in needed] == [
        *("python", "eplb-checker", "networkx", "catalogue", "schemas", "measurements")
    ]
    assert all(each["found"] for each in needed)


@pytest.fixture
def light(monkeypatch):
    """A doctor that looks at fewer vectors."""
    monkeypatch.setattr(doctor, "catalogue", list)


def test_a_doctor_that_misses_something_required_says_what_to_do_and_exits_with_4(light, capsys):
    assert main(["doctor"]) == 4

    printed = capsys.readouterr().out
    assert re.search(r"^MISSING +catalogue +missing; install it again$", printed, re.MULTILINE)
    assert printed.endswith("Missing: catalogue.\n")


def test_an_old_python_is_told(light, monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST", (4, 0))

    first = next(findings())
    assert (first.what, first.found, first.need) == ("python", None, "required")


def test_what_only_some_commands_need_is_no_failure(monkeypatch, capsys):
    extra = Finding("spin", None, "checking the exported Promela", "apt install spin")
    monkeypatch.setattr(doctor, "findings", lambda: iter([extra]))

    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("optional  spin  missing; apt install spin\n")


@pytest.mark.parametrize("answer", [None, "no such program"])
def test_spin_counts_only_if_it_answers(answer, light, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: answer)

    assert [each.found for each in findings() if each.what == "spin"] == [None]


# --- schemas -----------------------------------------------------------------------------------


def test_the_schemas_are_listed_with_what_they_are_of(capsys):
    assert main(["schema"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(schemas())
    assert all(len(line.split()) > 3 for line in lines)


# No documents: lines that a run writes (specs/refinement.md), and lines that only --resume reads.
LINES = {"eplb-observation/1", "eplb-campaign-journal/1"}


@pytest.mark.parametrize("package", ["eplb_model", "eplb_real"])
def test_every_document_that_is_written_has_a_schema(package):
    said = re.compile(r'"(eplb-[a-z-]+/\d+)"')
    texts = (path.read_text("utf-8") for path in (ROOT / package).rglob("*.py"))
    named = {name for text in texts for name in said.findall(text)}

    assert named
    assert named - LINES - set(schemas()) == set()


def test_a_schema_is_printed_as_it_is_published(capsys):
    assert main(["schema", "eplb-report/1"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("eplb-report/1")


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--bugs"],
        ["conform", "nccl_ctas"],
        ["replay", FLAGSHIP, "--schedule", "0.eplb 0.main 0.main 1.main 1.eplb 1.eplb"],
        ["replay", FLAGSHIP, "--schedule", "0.eplb"],
        ["without", "event_wait_after_record", "--op", "consumer: wait_flag recorded"],
        ["sweep", FLAGSHIP, "--vary", "nccl_ctas=4,8"],
    ],
)
def test_every_document_that_is_printed_fits_its_schema(words, capsys):
    main([*words, "--json"])

    printed = capsys.readouterr().out
    document = json.loads(printed if words[0] != "sweep" else printed.splitlines()[-1])
    described = schema(document["schema"])
    jsonschema.validate(document, described)
    properties = described["properties"]
    assert isinstance(properties, dict)
    assert set(document) <= set(properties)


# --- annotations -------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path, monkeypatch) -> str:
    """A vector of the user's own in the current directory."""
    source = Path(__file__).parents[1] / "eplb_model" / "vectors" / f"{FLAGSHIP}.json"
    (tmp_path / "mine, 100%.json").write_text(source.read_text())
    monkeypatch.chdir(tmp_path)
    return "mine, 100%.json"


def test_github_gets_one_annotation_on_the_file_below_the_report(mine, capsys):
    assert main(["check", mine, "--format", "github"]) == 1

    *report, annotation = capsys.readouterr().out.splitlines()
    assert report[0] == f"{FLAGSHIP}: deadlock, on every run"
    assert annotation.startswith(
        f"::error file=mine%2C 100%25.json,title=eplb-model%3A {FLAGSHIP} deadlock::"
        f"{FLAGSHIP}: deadlock, on every run%0A0.main waits until moe has ended%0A"
    )
    assert annotation.endswith(
        "the circle: 0.compute -> 0.side -> 1.side -> 1.compute -> 0.compute"
    )


@pytest.mark.parametrize(
    ("words", "level"),
    [(["coop_vs_nccl_capped"], "notice"), ([FLAGSHIP, "--max-states", "3"], "warning")],
)
def test_the_level_of_an_annotation_follows_the_verdict(words, level, capsys):
    main(["check", *words, "--format", "github"])

    assert capsys.readouterr().out.splitlines()[-1].startswith(f"::{level} title=")


def test_sarif_has_one_result_on_the_file(mine, capsys):
    assert main(["check", mine, "--format", "sarif"]) == 1

    log = json.loads(capsys.readouterr().out)
    (run,) = log["runs"]
    (result,) = run["results"]
    assert log["version"] == "2.1.0"
    assert (result["ruleId"], result["level"]) == ("deadlock", "error")
    assert result["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert result["locations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "mine%2C%20100%25.json"}},
            "logicalLocations": [{"fullyQualifiedName": FLAGSHIP}],
        }
    ]
    assert len(result["properties"]["schedule"]) == 6


def test_sarif_of_what_holds_has_no_result(capsys):
    assert main(["check", "coop_vs_nccl_capped", "--format", "sarif"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["results"] == []


def test_every_verdict_has_a_sentence_and_a_level():
    assert set(SENTENCES) == set(EXIT_CODES)
    assert set(EXIT_CODES.values()) <= set(LEVELS)


# --- completion --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script() -> str:
    """What `eplb-model --completion` prints."""
    return CommandLine("eplb-model", "", {}, "eplb_model.commands", COMMANDS).completion()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ch"], ["check"]),
        (["check", "coop_vs_nccl_c"], ["coop_vs_nccl_capped"]),
        (["render", "coop_vs_nccl_c"], ["coop_vs_nccl_capped"]),
        (["check", "--sw"], ["--switch"]),
        (["replay", FLAGSHIP, "--sch"], ["--schedule"]),
        (["conform", "coop"], []),
        (["nothing", "--s"], []),
    ],
)
def test_bash_completes_commands_options_and_vectors(words, offered, script):
    said = " ".join(["eplb-model", *words])
    asks = f"COMP_WORDS=({said}); COMP_CWORD={len(words)}; _eplb_model; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{script}{asks}"], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == offered


def test_the_completion_is_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--completion"])

    assert stopped.value.code == 0
    assert (
        capsys.readouterr().out.rstrip().endswith("complete -o default -F _eplb_model eplb-model")
    )


def test_the_vectors_that_complete_are_those_of_the_catalogue():
    assert command_line.VECTORS == vector.VECTORS


def test_without_a_command_all_are_shown(capsys):
    code = main([])
    shown = capsys.readouterr()

    assert (code, shown.out) == (2, "")
    assert all(f"    {name}" in shown.err for name in COMMANDS)
